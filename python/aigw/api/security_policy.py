"""SecurityPolicy: who may call, and from which web pages."""

from typing import Annotated, ClassVar

from pydantic import Field

from aigw.api.client_auth import APIKeyAuth, LocalJWKS, RemoteJWKS
from aigw.api.fields import Boolean, Duration, HeaderName, ObjectName, Text, UniqueBy
from aigw.api.labels import LabelSelector
from aigw.api.model import ApiModel, Resource, Rule
from aigw.api.references import SecretObjectReference, SectionTargetReference, TargetRefs


class BasicAuth(ApiModel):
    """Clients with user names and passwords."""

    users: SecretObjectReference
    """Secret with the key `.htpasswd`: a line `user:{SHA}hash` for each user."""
    forward_username_header: HeaderName | None = None
    """Header that gets the user name."""


class ClaimToHeader(ApiModel):
    """A claim that becomes a header."""

    claim: Text
    """Dots go into objects."""
    header: HeaderName


class JWTHeaderExtractor(ApiModel):
    """A header with a token."""

    name: HeaderName
    value_prefix: str | None = None
    """Text before the token."""


class JWTExtractor(ApiModel):
    """Places of a token; none: `Authorization: Bearer` and the query parameter `access_token`."""

    cookies: list[Text] | None = None
    headers: list[JWTHeaderExtractor] | None = None
    params: list[Text] | None = None
    """Query parameters."""


class JWTProvider(ApiModel):
    """An issuer of tokens."""

    RULES = (
        Rule(
            "EG-24",
            "has(self.remoteJWKS) != has(self.localJWKS)",
            "exactly one of remoteJWKS or localJWKS must be specified.",
        ),
    )

    name: ObjectName
    issuer: Annotated[str, Field(max_length=253)] | None = None
    """Absent: of any issuer."""
    audiences: Annotated[list[str], Field(max_length=8)] | None = None
    """One of them must be in the token; none: for any audience."""
    remote_jwks: Annotated[RemoteJWKS | None, Field(alias="remoteJWKS")] = None
    local_jwks: Annotated[LocalJWKS | None, Field(alias="localJWKS")] = None
    claim_to_headers: list[ClaimToHeader] | None = None
    extract_from: JWTExtractor | None = None
    recompute_route: Boolean | None = None
    """Chooses the route again, by headers made of claims."""


class JWT(ApiModel):
    """Clients with tokens."""

    optional: Boolean | None = None
    """Accepts requests without a token too."""
    providers: Annotated[list[JWTProvider], Field(min_length=1, max_length=16), UniqueBy("name")]


Origin = Annotated[
    str,
    Field(
        min_length=1,
        max_length=253,
        pattern=r"^(\*|https?:\/\/(\*|(\*\.)?(([\w-]+\.?)+)?[\w-]+)(:(\d{1,5}|\*))?)$",
    ),
]


class CORS(ApiModel):
    """Which web pages may call."""

    allow_origins: list[Origin] | None = None
    """`scheme://host[:port]`; `*` stands for any text in it, or for every origin."""
    allow_methods: list[HeaderName] | None = None
    allow_headers: list[HeaderName] | None = None
    expose_headers: list[HeaderName] | None = None
    max_age: Duration | None = None
    """How long browsers may keep the answer."""
    allow_credentials: Boolean | None = None


class TargetSelector(LabelSelector):
    """Targets by their labels."""

    group: str = "gateway.networking.k8s.io"
    kind: str


class SecurityPolicySpec(ApiModel):
    """Spec of a SecurityPolicy."""

    NOT_YET = frozenset({"authorization", "extAuth", "mergeType", "oidc"})

    target_ref: SectionTargetReference | None = None
    target_refs: TargetRefs | None = None
    target_selectors: list[TargetSelector] | None = None
    api_key_auth: APIKeyAuth | None = None
    basic_auth: BasicAuth | None = None
    cors: CORS | None = None
    jwt: JWT | None = None

    @property
    def targets(self) -> list[SectionTargetReference]:
        """All targets by name, whichever field names them."""
        return [*([self.target_ref] if self.target_ref else []), *(self.target_refs or [])]

    @property
    def selectors(self) -> list[TargetSelector]:
        """Targets by their labels."""
        return self.target_selectors or []


class SecurityPolicy(Resource):
    """Authentication of clients of a Gateway, a listener or a route."""

    GROUP: ClassVar[str] = "gateway.envoyproxy.io"
    KIND: ClassVar[str] = "SecurityPolicy"

    spec: SecurityPolicySpec
