"""Azure: tokens of an application of Entra ID, by a client secret or a client assertion.

By MSAL, which azure-identity is a layer over: two packages less, and they bring nothing that is
used here.
"""

import os
import time
from collections.abc import Mapping
from typing import Any

import msal
from msal.exceptions import MsalError
from urllib3.exceptions import HTTPError

from aigw.credentials import oidc
from aigw.credentials.errors import ExchangeError, readable, reason
from aigw.credentials.web import Web, proxy_of
from aigw.plan import AzureApplication, OidcClient, Token

_SCOPE = "https://cognitiveservices.azure.com/.default"
_AUTHORITY = "login.microsoftonline.com"
_AUTHORITY_VARIABLE = "AZURE_AUTHORITY_HOST"
_PROXY = "AI_GATEWAY_AZURE_PROXY_URL"


def exchange(credential: AzureApplication) -> Token:
    """A fresh token.

    Raises:
        ExchangeError: no token.
    """
    proof = credential.proof
    secret = oidc.token_of(proof) if isinstance(proof, OidcClient) else proof
    try:
        with Web(proxy_of(_PROXY)) as web:
            began = time.time()
            reply = _asked(credential, secret, web)
    except (HTTPError, MsalError, ValueError, RuntimeError) as error:
        raise ExchangeError(reason(error, secret)) from None
    token, seconds = reply.get("access_token"), reply.get("expires_in")
    if isinstance(token, str) and token and isinstance(seconds, int):
        return Token(token, int(began) + seconds)
    words = [str(reply[name]) for name in ("error", "error_description") if reply.get(name)]
    message = ": ".join(words) or "the reply has no access token"
    raise ExchangeError(readable(message, secret))


def _asked(credential: AzureApplication, secret: str, web: Web) -> Mapping[str, Any]:
    is_assertion = isinstance(credential.proof, OidcClient)
    application = msal.ConfidentialClientApplication(
        credential.client_id,
        client_credential={"client_assertion": lambda: secret} if is_assertion else secret,
        authority=f"https://{_authority()}/{credential.tenant_id}",
        # It would ask the public cloud whether the authority is one of its own.
        instance_discovery=False,
        http_client=_HttpClient(web),
    )
    reply: Mapping[str, Any] = application.acquire_token_for_client(scopes=[_SCOPE])
    return reply


def _authority() -> str:
    written = os.environ.get(_AUTHORITY_VARIABLE, "").strip()
    return written.removeprefix("https://").strip("/") or _AUTHORITY


class _Response:
    """A reply as MSAL reads it."""

    def __init__(self, status: int, text: str, headers: Mapping[str, str]) -> None:
        self.status_code = status
        self.text = text
        self.headers = headers

    def raise_for_status(self) -> None:
        """For replies that MSAL cannot use otherwise."""
        if self.status_code >= 400:
            message = f"the reply has status {self.status_code}"
            raise RuntimeError(message)


class _HttpClient:
    """What MSAL sends requests with."""

    def __init__(self, web: Web) -> None:
        self._web = web

    def get(
        self,
        url: str,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        **_: object,
    ) -> _Response:
        """Sends a GET."""
        return self._sent("GET", url, fields=params, headers=headers)

    def post(
        self,
        url: str,
        params: Mapping[str, str] | None = None,
        data: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        **_: object,
    ) -> _Response:
        """Sends a form; MSAL gives no parameters with it."""
        del params
        return self._sent("POST", url, fields=data, headers=headers, encode_multipart=False)

    def close(self) -> None:
        """The connections are closed by their owner."""

    def _sent(self, method: str, url: str, **options: Any) -> _Response:  # noqa: ANN401
        reply = self._web.request(method, url, **options)
        return _Response(reply.status, reply.data.decode(errors="replace"), reply.headers)
