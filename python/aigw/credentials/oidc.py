"""The token that an OIDC issuer gives a client for another service: the first hop of exchanges."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote_plus, urlencode

from urllib3.exceptions import HTTPError
from urllib3.util import make_headers

from aigw.credentials.errors import ExchangeError, readable, reason
from aigw.credentials.web import Web
from aigw.plan import OidcClient

_FORM = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
_REFUSALS = (400, 401)


def token_of(client: OidcClient) -> str:
    """A token for the client.

    Raises:
        ExchangeError: the issuer is not what was configured, refuses or does not answer.
    """
    try:
        with Web() as web:
            return _Exchange(client, web).token()
    except HTTPError as error:
        message = f"failed to obtain OIDC token: {reason(error, client.client_secret)}"
        raise ExchangeError(message) from None


class _Exchange:
    """One exchange with one issuer."""

    def __init__(self, client: OidcClient, web: Web) -> None:
        self._client = client
        self._web = web

    def token(self) -> str:
        client = self._client
        found = {} if client.token_endpoint else self._discovered()
        endpoint = client.token_endpoint or str(found["token_endpoint"])
        # What the issuer does not tell is tried in the order of RFC 6749.
        known = found.get("token_endpoint_auth_methods_supported")
        listed = known if isinstance(known, list) else []
        usable = [way for way in ("client_secret_basic", "client_secret_post") if way in listed]
        ways = usable or ["client_secret_basic", "client_secret_post"]
        for way in ways[:-1]:
            status, reply = self._asked(endpoint, way)
            if status not in _REFUSALS:
                return self._token_in(status, reply)
        return self._token_in(*self._asked(endpoint, ways[-1]))

    def _discovered(self) -> Mapping[str, Any]:
        issuer = self._client.issuer.rstrip("/")
        reply = self._web.request("GET", f"{issuer}/.well-known/openid-configuration")
        found = _object(reply.data)
        if reply.status != 200:
            why = f"the discovery document of {issuer} has status {reply.status}"
            raise self._failed(why)
        for member in ("issuer", "token_endpoint"):
            if not isinstance(found.get(member), str) or not found[member]:
                why = f"{member} is required in oidc provider config"
                raise self._failed(why)
        if found["issuer"].rstrip("/") != issuer:
            why = f"{issuer} says that the issuer is {found['issuer']}"
            raise self._failed(why)
        return found

    def _asked(self, endpoint: str, way: str) -> tuple[int, Mapping[str, Any]]:
        client, headers = self._client, dict(_FORM)
        fields = {"grant_type": client.grant_type, "scope": " ".join(client.scopes)}
        if client.audience:
            fields["audience"] = client.audience
        if way == "client_secret_basic":
            name, secret = quote_plus(client.client_id), quote_plus(client.client_secret)
            headers |= make_headers(basic_auth=f"{name}:{secret}")
        else:
            fields |= {"client_id": client.client_id, "client_secret": client.client_secret}
        fields = {name: value for name, value in fields.items() if value}
        body = urlencode(fields)
        reply = self._web.request("POST", endpoint, headers=headers, body=body)
        return reply.status, _object(reply.data)

    def _token_in(self, status: int, reply: Mapping[str, Any]) -> str:
        token = reply.get("access_token")
        if status == 200 and isinstance(token, str) and token:
            return token
        words = [str(reply[name]) for name in ("error", "error_description") if reply.get(name)]
        unsaid = f"the reply of the token endpoint has status {status} and no access_token"
        raise self._failed(": ".join(words) or unsaid)

    def _failed(self, why: str) -> ExchangeError:
        why = readable(why, self._client.client_secret)
        return ExchangeError(f"failed to obtain OIDC token: {why}")


def _object(body: bytes) -> Mapping[str, Any]:
    """The object in a reply, empty when there is none."""
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
