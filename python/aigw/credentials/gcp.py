"""Google Cloud: tokens of service accounts, workload identity pools and default credentials."""

import logging
from datetime import UTC
from typing import Any

import google.auth
from google.auth import identity_pool
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.urllib3 import Request
from google.oauth2 import service_account

from aigw.credentials import oidc
from aigw.credentials.errors import ExchangeError, reason
from aigw.credentials.web import Web, proxy_of
from aigw.plan import GcpDefaultCredentials, GcpFederation, GcpServiceAccount, Token

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
TOKEN_SERVICE = "https://sts.googleapis.com/v1/token"  # noqa: S105 - an address
IAM_SERVICE = "https://iamcredentials.googleapis.com"
_PROXY = "AI_GATEWAY_GCP_AUTH_PROXY_URL"

# What it warns of on the way is in the reason in the end.
logging.getLogger("google.auth").setLevel(logging.ERROR)

Source = GcpServiceAccount | GcpFederation | GcpDefaultCredentials


def exchange(credential: Source) -> Token:
    """A fresh token.

    Raises:
        ExchangeError: no token.
    """
    subject = oidc.token_of(credential.oidc) if isinstance(credential, GcpFederation) else ""
    with Web(proxy_of(_PROXY)) as web:
        request = Request(web)
        try:
            library = _library(credential, subject, request)
            if not library.valid:  # what was looked for may have come with a token
                library.refresh(request)
        except GoogleAuthError as error:
            raise ExchangeError(_context(credential) + reason(error, subject)) from None
    if not library.token or library.expiry is None:
        message = "the provider's reply has no access token"
        raise ExchangeError(message)
    return Token(library.token, int(library.expiry.replace(tzinfo=UTC).timestamp()))


def _library(credential: Source, subject: str, request: Request) -> Any:  # noqa: ANN401
    """The library's own credentials, which know how to get a token."""
    match credential:
        case GcpServiceAccount():
            return _account(credential)
        case GcpFederation():
            return _federation(credential, subject)
        case GcpDefaultCredentials():
            return google.auth.default(scopes=[SCOPE], request=request)[0]


def _account(credential: GcpServiceAccount) -> Any:  # noqa: ANN401
    try:
        return service_account.Credentials.from_service_account_info(
            dict(credential.info), scopes=[SCOPE]
        )
    except (GoogleAuthError, ValueError):
        message = "the private key of the service account cannot be read"
        raise ExchangeError(message) from None


def _federation(credential: GcpFederation, subject: str) -> Any:  # noqa: ANN401
    email = credential.service_account
    url = f"{IAM_SERVICE}/v1/projects/-/serviceAccounts/{email}:generateAccessToken"
    return identity_pool.Credentials(
        audience=credential.audience,
        subject_token_type="urn:ietf:params:oauth:token-type:jwt",  # noqa: S106 - a type
        token_url=TOKEN_SERVICE,
        subject_token_supplier=_Subject(subject),
        service_account_impersonation_url=url if email else None,
        scopes=[SCOPE],
    )


class _Subject(identity_pool.SubjectTokenSupplier):
    """Hands over a token that was had before."""

    def __init__(self, token: str) -> None:
        self._token = token

    def get_subject_token(self, context: object, request: object) -> str:
        """The token."""
        del context, request
        return self._token


def _context(credential: Source) -> str:
    return "workload identity federation: " if isinstance(credential, GcpFederation) else ""
