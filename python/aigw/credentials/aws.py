"""AWS: keys of a role assumed with an OIDC token, or keys that are found around the process."""

import logging
import os
from typing import Any

import botocore.session
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from aigw.credentials import oidc
from aigw.credentials.errors import ExchangeError, reason
from aigw.credentials.web import TIMEOUT_SECONDS, proxy_of
from aigw.plan import AwsDefaultChain, AwsKeys, AwsRole

_STS_PROXY = "AI_GATEWAY_STS_PROXY_URL"

# It tells where it has found credentials, each time.
logging.getLogger("botocore").setLevel(logging.WARNING)


def exchange(credential: AwsRole | AwsDefaultChain) -> AwsKeys:
    """Fresh keys; only those of temporary credentials have an end.

    Raises:
        ExchangeError: no keys.
    """
    if isinstance(credential, AwsRole):
        token = oidc.token_of(credential.oidc)
        try:
            return _assumed(credential, token)
        except (BotoCoreError, ClientError) as error:
            raise ExchangeError(reason(error, token)) from None
    try:
        return _found(credential)
    except OSError as error:
        message = f"{error.filename or 'a file'}: {error.strerror}"
        raise ExchangeError(message) from None
    except (BotoCoreError, ClientError, ValueError) as error:
        raise ExchangeError(reason(error)) from None


def _assumed(role: AwsRole, token: str) -> AwsKeys:
    session = _session(role.region)
    client = session.create_client("sts", config=Config(signature_version=UNSIGNED))
    reply = client.assume_role_with_web_identity(
        RoleArn=role.role_arn, RoleSessionName=role.session_name, WebIdentityToken=token
    )
    keys = reply.get("Credentials")
    if not keys:
        message = "the reply of the security token service has no credentials"
        raise ExchangeError(message)
    end = int(keys["Expiration"].timestamp())
    return AwsKeys(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"], end)


def _found(chain: AwsDefaultChain) -> AwsKeys:
    credentials = _session(chain.region).get_credentials()
    if credentials is None:
        message = (
            "no AWS credentials in the environment, a web identity, the shared files, the "
            "container endpoint or the instance metadata"
        )
        raise ExchangeError(message)
    keys = credentials.get_frozen_credentials()
    # botocore refreshes by itself and tells nobody when; keys that stay the same have no end.
    end = getattr(credentials, "_expiry_time", None)
    at = None if end is None else int(end.timestamp())
    return AwsKeys(keys.access_key, keys.secret_key, keys.token, at)


def _session(region: str) -> Any:  # noqa: ANN401 - botocore has no types
    """A session that remembers nothing. It is asked once: the refresher repeats, with pauses."""
    session = botocore.session.Session()
    session.set_config_variable("region", region)
    trusted = os.environ.get("SSL_CERT_FILE")
    if trusted and not session.get_config_variable("ca_bundle"):
        session.set_config_variable("ca_bundle", trusted)
    options: dict[str, Any] = {
        "connect_timeout": TIMEOUT_SECONDS,
        "read_timeout": TIMEOUT_SECONDS,
        "retries": {"total_max_attempts": 1, "mode": "standard"},
    }
    if proxy := proxy_of(_STS_PROXY):
        options["proxies"] = {"http": proxy, "https": proxy}
    session.set_default_client_config(Config(**options))
    return session
