"""An OIDC client. Shapes of Envoy Gateway's OIDC.

A token exchange uses the provider, the client and the scopes; the rest is for logins of browsers
and has no effect in it.
"""

from typing import Annotated, Literal

from pydantic import Field

from aigw.api.backend_cluster import (
    NO_RETRY_STATUSES,
    NO_RETRY_TIMEOUT,
    NO_SINGLE_REFERENCE,
    BackendCluster,
)
from aigw.api.fields import Boolean, Duration, Text
from aigw.api.model import ApiModel, Rule
from aigw.api.references import SecretObjectReference


class OIDCProvider(BackendCluster):
    """The issuer and its endpoints."""

    RULES = (NO_SINGLE_REFERENCE, NO_RETRY_TIMEOUT, NO_RETRY_STATUSES)

    authorization_endpoint: str | None = None
    end_session_endpoint: str | None = None
    issuer: Text
    """Its endpoints are found at `<issuer>/.well-known/openid-configuration`."""
    token_endpoint: str | None = None
    """Instead of the endpoint that the issuer names."""


class OIDCCookieConfig(ApiModel):
    """Cookies of logins."""

    same_site: Literal["Lax", "Strict", "None"] | None = None


class OIDCCookieNames(ApiModel):
    """Names of cookies."""

    access_token: str | None = None
    id_token: str | None = None


class OIDCDenyRedirectHeader(ApiModel):
    """A header of requests that are refused instead of redirected."""

    name: Text
    type: Literal["Exact", "Prefix", "Suffix", "RegularExpression"] = "Exact"
    value: Annotated[str, Field(min_length=1, max_length=1024)]


class OIDCDenyRedirect(ApiModel):
    """Requests that are refused instead of redirected."""

    headers: Annotated[list[OIDCDenyRedirectHeader], Field(min_length=1, max_length=16)]


class ForwardIDToken(ApiModel):
    """The id token in a header."""

    header: Text


class OIDC(ApiModel):
    """An OIDC client and its provider."""

    RULES = (
        Rule(
            "EG-1",
            "has(self.clientID) != has(self.clientIDRef)",
            "only one of clientID or clientIDRef must be set",
        ),
        Rule(
            "EG-2",
            "!(has(self.forwardAccessToken) && self.forwardAccessToken && "
            "has(self.forwardIDToken) && "
            "self.forwardIDToken.header.lowerAscii() == 'authorization')",
            "forwardAccessToken cannot be true when forwardIDToken.header is Authorization",
        ),
    )

    client_id: Annotated[Text | None, Field(alias="clientID")] = None
    client_id_ref: Annotated[SecretObjectReference | None, Field(alias="clientIDRef")] = None
    """Secret key `client-id`."""
    client_secret: SecretObjectReference
    """Secret key `client-secret`."""
    cookie_config: OIDCCookieConfig | None = None
    cookie_domain: (
        Annotated[
            str,
            Field(
                pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9]))*$",
            ),
        ]
        | None
    ) = None
    cookie_names: OIDCCookieNames | None = None
    csrf_token_ttl: Annotated[Duration | None, Field(alias="csrfTokenTTL")] = None
    default_refresh_token_ttl: Annotated[Duration | None, Field(alias="defaultRefreshTokenTTL")] = (
        None
    )
    default_token_ttl: Annotated[Duration | None, Field(alias="defaultTokenTTL")] = None
    deny_redirect: OIDCDenyRedirect | None = None
    disable_token_encryption: Boolean | None = None
    forward_access_token: Boolean | None = None
    forward_id_token: Annotated[ForwardIDToken | None, Field(alias="forwardIDToken")] = None
    logout_path: str | None = None
    pass_through_auth_header: Boolean | None = None
    provider: OIDCProvider
    redirect_url: Annotated[str | None, Field(alias="redirectURL")] = None
    refresh_token: Boolean = True
    resources: list[str] | None = None
    scopes: list[str] | None = None
    """Scopes of the token, `openid` by default."""
