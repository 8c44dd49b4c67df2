"""One exchange of a credential for an access token, by the provider's own library."""

from datetime import UTC

from aigw.errors import AigwError
from aigw.plan import Credential, GcpServiceAccount, Token

_GCP_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_TIMEOUT_SECONDS = 5.0
_LONGEST_REASON = 200


class ExchangeError(AigwError):
    """No token was given. The text holds no secret."""


def needs_exchange(credential: Credential) -> bool:
    """Whether requests carry a token in place of the credential itself."""
    return isinstance(credential, GcpServiceAccount)


def exchange(credential: GcpServiceAccount) -> Token:
    """A fresh token. Blocks for seconds at most.

    Raises:
        ExchangeError: the key is unusable, or the provider refuses it or does not answer.
    """
    # Only few configurations need it, and it takes a while to load.
    import urllib3  # noqa: PLC0415
    from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415
    from google.auth.transport.urllib3 import Request  # noqa: PLC0415
    from google.oauth2 import service_account  # noqa: PLC0415

    try:
        account = service_account.Credentials.from_service_account_info(
            dict(credential.info), scopes=[_GCP_SCOPE]
        )
    except (GoogleAuthError, ValueError):
        message = "the private key of the service account cannot be read"
        raise ExchangeError(message) from None
    pool = urllib3.PoolManager(timeout=_TIMEOUT_SECONDS, retries=False)
    try:
        account.refresh(Request(pool))
    except GoogleAuthError as error:
        raise ExchangeError(_reason(error)) from None
    finally:
        pool.clear()
    if not account.token or account.expiry is None:
        message = "the provider's reply has no access token"
        raise ExchangeError(message)
    return Token(account.token, int(account.expiry.replace(tzinfo=UTC).timestamp()))


def _reason(error: Exception) -> str:
    first = error.args[0] if error.args else type(error).__name__
    text = " ".join(str(first).split())
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}…"
