"""What a data plane must do, in our words: no Envoy, no Kubernetes, no files.

Made by `aigw.compile`, read by `aigw.render`. All values are final: defaults are applied,
references are resolved, mutations are merged, and everything that could not be used has been
left out (and named in a diagnostic). Durations are integer milliseconds, sizes are bytes.
"""

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aigw.plan_http import HttpBackend, HttpMatch, HttpRule
    from aigw.plan_security import Security

from aigw.plan_traffic import ClientTraffic, PortTraffic, Traffic


class MatchType(StrEnum):
    """How a header value is compared."""

    EXACT = "Exact"
    REGULAR_EXPRESSION = "RegularExpression"


@dataclass(frozen=True, slots=True)
class HeaderMatch:
    """One header condition; `name` is lower case, expressions match the whole value."""

    name: str
    value: str
    type: MatchType = MatchType.EXACT


@dataclass(frozen=True, slots=True)
class RouteMatch:
    """All header conditions must hold; then the rule with id `rule` takes the request.

    With `paths`, only requests to one of these endpoints. `security` is a key of `Plan.security`,
    or empty.
    """

    headers: tuple[HeaderMatch, ...]
    rule: str
    paths: tuple[str, ...] = ()
    security: str = ""


@dataclass(frozen=True, slots=True)
class VirtualHost:
    """Matches for one host name, in the order in which they are tried.

    `hostname` is exact, `*.suffix`, or `*` for every host. `http` are matches for plain requests,
    other than those to `api_paths`, which are for `matches`. `security` (a key of
    `Plan.security`) is for all requests whose model is not known yet. With `is_closed` there
    should be some and cannot be: then only routes with their own are served.
    """

    hostname: str
    matches: tuple[RouteMatch, ...]
    security: str = ""
    is_closed: bool = False
    http: tuple["HttpMatch", ...] = ()
    api_paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Listener:
    """An entrance behind a port: `name` is `<ns>/<gateway>/<listener>`.

    With `certificates` (keys of `Plan.certificates`) it is HTTPS, for clients that ask for
    `server_name`: exact, `*.suffix`, or `*` for every client. HTTP listeners of one port are
    merged into one that has neither.
    """

    name: str
    virtual_hosts: tuple[VirtualHost, ...]
    server_name: str = "*"
    certificates: tuple[str, ...] = ()
    traffic: ClientTraffic = field(default_factory=ClientTraffic)


@dataclass(frozen=True, slots=True)
class Port:
    """A port of one Gateway; several listeners only where all of them are HTTPS."""

    number: int
    gateway: str
    listeners: tuple[Listener, ...]
    traffic: PortTraffic = field(default_factory=PortTraffic)


@dataclass(frozen=True, slots=True)
class Schema:
    """API that a provider speaks; `prefix` as written, with or without slashes.

    `chat_only`: an OpenAI-compatible server without completions and responses.
    """

    name: str
    prefix: str = ""
    version: str = ""
    chat_only: bool = False


class AddressKind(StrEnum):
    """How an endpoint's address is found."""

    DNS = "dns"
    IP = "ip"
    UNIX = "unix"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One server of a backend. `hostname` is what it sees as the host of the request.

    The address of a Unix socket is its path, and its port is 0. `proxy` is a key of
    `Plan.proxies`, or empty.
    """

    address: str
    port: int
    hostname: str
    kind: AddressKind
    proxy: str = ""


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP CONNECT proxy; `authorization` is the value of its header, or empty."""

    host: str
    port: int
    has_tls: bool = False
    authorization: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate chain and its key, both PEM."""

    chain: str
    key: str = field(repr=False)


class Verification(StrEnum):
    """How a provider's certificate is checked."""

    SYSTEM = "system"
    OWN = "own"
    NONE = "none"


class SanType(StrEnum):
    """Kinds of names in a certificate."""

    DNS = "DNS"
    URI = "URI"


@dataclass(frozen=True, slots=True)
class SubjectAltName:
    """A name that a provider's certificate may have."""

    type: SanType
    value: str


@dataclass(frozen=True, slots=True)
class TlsParameters:
    """Versions (`1.0` to `1.3`) and algorithms by Envoy's names; empty: Envoy's default."""

    min_version: str = ""
    max_version: str = ""
    ciphers: tuple[str, ...] = ()
    curves: tuple[str, ...] = ()
    signature_algorithms: tuple[str, ...] = ()
    alpn: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Tls:
    """TLS to a backend: SNI and certificate name, and who is trusted.

    Without a server name, each endpoint is asked for its own host name.
    `authorities` is a key of `Plan.authorities` where the verification is `OWN`;
    `client_certificate` is a key of `Plan.certificates`, or empty. With `subject_alt_names`
    the certificate must have one of these, whatever the server name.
    """

    server_name: str
    verification: Verification = Verification.SYSTEM
    authorities: str = ""
    client_certificate: str = ""
    subject_alt_names: tuple[SubjectAltName, ...] = ()
    parameters: TlsParameters = TlsParameters()


@dataclass(frozen=True, slots=True)
class HeaderMutation:
    """Header changes before an attempt; names are lower case, removals come first."""

    set: tuple[tuple[str, str], ...] = ()
    remove: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BodyMutation:
    """Changes of the provider's JSON body: (path, value) pairs, removals come first."""

    set: tuple[tuple[str, str], ...] = ()
    remove: tuple[str, ...] = ()


class AuthType(StrEnum):
    """Credential kinds, named as `BackendSecurityPolicy.spec.type`."""

    API_KEY = "APIKey"
    ANTHROPIC_API_KEY = "AnthropicAPIKey"
    AZURE_API_KEY = "AzureAPIKey"
    AWS_CREDENTIALS = "AWSCredentials"
    AZURE_CREDENTIALS = "AzureCredentials"
    GCP_CREDENTIALS = "GCPCredentials"


@dataclass(frozen=True, slots=True)
class HeaderSource:
    """One header; for AWS those of access key id, secret access key and session token."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MetadataSource:
    """Dynamic metadata of the proxy; for AWS an object."""

    namespace: str
    key: str


@dataclass(frozen=True, slots=True)
class CredentialOverride:
    """Where requests bring a credential, and whether those without one get the configured one."""

    source: HeaderSource | MetadataSource
    falls_back: bool = True


@dataclass(frozen=True, slots=True)
class Auth:
    """How a backend authenticates; `credential` is a key of `Plan.credentials`.

    It is empty where every request must bring its own. `region` is of AWS or GCP, `project` of GCP.
    """

    type: AuthType
    credential: str
    region: str = ""
    project: str = ""
    override: CredentialOverride | None = None


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key sent in a header; which one follows from `type`."""

    type: AuthType
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class AwsKeys:
    """AWS keys; temporary ones have a session token and an end in Unix seconds."""

    access_key_id: str = field(repr=False)
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    expires_at: int | None = None


@dataclass(frozen=True, slots=True)
class OidcClient:
    """A client that an OIDC issuer gives tokens for other services.

    Without `token_endpoint` it is the one that the issuer names.
    """

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    scopes: tuple[str, ...] = ("openid",)
    token_endpoint: str = ""
    grant_type: str = "client_credentials"
    audience: str = ""


@dataclass(frozen=True, slots=True)
class AwsRole:
    """An AWS role that is assumed with the token of an OIDC client."""

    role_arn: str
    session_name: str
    region: str
    oidc: OidcClient


@dataclass(frozen=True, slots=True)
class AwsDefaultChain:
    """The AWS credentials that are found around the process, asked for in `region`."""

    region: str


@dataclass(frozen=True, slots=True)
class AzureApplication:
    """An application of Entra ID; it proves itself by a client secret or by an OIDC token."""

    tenant_id: str
    client_id: str
    proof: str | OidcClient = field(repr=False)


@dataclass(frozen=True, slots=True)
class GcpServiceAccount:
    """A service account that gets access tokens: the members of its key file."""

    info: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class GcpFederation:
    """A workload identity pool's provider; `service_account` is whom to act as, if anybody."""

    audience: str
    oidc: OidcClient
    service_account: str = ""


@dataclass(frozen=True, slots=True)
class GcpDefaultCredentials:
    """The Application Default Credentials that are found around the process."""


@dataclass(frozen=True, slots=True)
class Token:
    """An access token that a credential was exchanged for; `expires_at` in Unix seconds."""

    access_token: str = field(repr=False)
    expires_at: int


Exchangeable = (
    AwsRole
    | AwsDefaultChain
    | AzureApplication
    | GcpServiceAccount
    | GcpFederation
    | GcpDefaultCredentials
)
"""Credentials that are no use to a provider before they are exchanged."""

Issued = Token | AwsKeys
"""What a credential is exchanged for."""

Credential = ApiKey | AwsKeys | Exchangeable


class CostType(StrEnum):
    """Token counts that a route writes as metadata."""

    INPUT = "InputToken"
    CACHED_INPUT = "CachedInputToken"
    CACHE_CREATION_INPUT = "CacheCreationInputToken"
    OUTPUT = "OutputToken"
    TOTAL = "TotalToken"
    REASONING = "ReasoningToken"


@dataclass(frozen=True, slots=True)
class Cost:
    """Write the count `type` under `metadata_key` when a response is complete."""

    metadata_key: str
    type: CostType


@dataclass(frozen=True, slots=True)
class Backend:
    """One backendRef of one rule, with everything an attempt against it needs.

    `name` is `<ns>/<backend>/route/<route>/rule/<i>/ref/<j>`, `backend` and `route` are
    `<ns>/<name>`; the name ends in `@<ns>/<gateway>` where another Gateway reaches it otherwise.
    `host` is the host of the first endpoint: signatures cover it. `http2`: plain HTTP/2 without
    negotiation. `is_fallback`: after the others of its priority.
    """

    name: str
    backend: str
    route: str
    schema: Schema
    endpoints: tuple[Endpoint, ...]
    host: str
    tls: Tls | None = None
    model_name_override: str = ""
    auth: Auth | None = None
    header_mutation: HeaderMutation = HeaderMutation()
    body_mutation: BodyMutation = BodyMutation()
    costs: tuple[Cost, ...] = ()
    http2: bool = False
    is_fallback: bool = False


@dataclass(frozen=True, slots=True)
class Member:
    """A backend inside a group, by name, with its relative weight (at least 1)."""

    backend: str
    weight: int


@dataclass(frozen=True, slots=True)
class BackendGroup:
    """Backends of equal priority."""

    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When and how often an attempt is repeated.

    `triggers` are the words of BackendTrafficPolicy; `status_codes` count when
    `retriable-status-codes` is among them. After `attempts_per_group` attempts the next group
    of the rule is used.
    """

    num_retries: int
    triggers: tuple[str, ...]
    status_codes: tuple[int, ...] = ()
    attempts_per_group: int = 1
    back_off_base_ms: int = 25
    back_off_max_ms: int = 250


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Limits of an exchange; 0 means no limit.

    `request_ms`: everything, streams included. `attempt_ms`: one attempt until its response
    starts. `stream_idle_ms`: silence of the provider.
    """

    request_ms: int = 0
    attempt_ms: int = 0
    stream_idle_ms: int = 0


@dataclass(frozen=True, slots=True)
class Rule:
    """Where requests of one route rule go: groups in the order in which they are tried.

    `id` is `<ns>/<route>/rule/<i>`, and ends in `@<ns>/<gateway>` where another Gateway has the
    same rule with other settings. No groups means that no backend is usable: such requests
    are answered with 503 and never fall through to another rule.
    """

    id: str
    route: str
    groups: tuple[BackendGroup, ...]
    timeouts: Timeouts
    retry: RetryPolicy | None = None
    traffic: Traffic = field(default_factory=Traffic)


@dataclass(frozen=True, slots=True)
class Model:
    """A model on offer; `created` in Unix seconds, `created_at` the same instant in RFC 3339."""

    name: str
    owned_by: str
    created: int
    created_at: str


@dataclass(frozen=True, slots=True)
class ModelLists:
    """What the model listing answers.

    `by_host` is empty when no route has host names; otherwise each list includes the unscoped
    models, and `everywhere` equals `unscoped`.
    """

    everywhere: tuple[Model, ...] = ()
    by_host: Mapping[str, tuple[Model, ...]] = field(default_factory=dict)
    unscoped: tuple[Model, ...] = ()


@dataclass(frozen=True, slots=True)
class Collector:
    """An OTLP collector, asked by gRPC; `name` tells it from others.

    `headers` go with every export, `resource` are the attributes of the resource.
    """

    name: str
    endpoints: tuple[Endpoint, ...]
    tls: Tls | None = None
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    resource: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class AccessLog:
    """One access log, to a file or to a collector.

    At most one of `json` and `text` is set; both None: our default. Formats use Envoy's command
    operators, as in EnvoyProxy. `matches` are CEL conditions, all of which must hold.
    """

    path: str = ""
    collector: Collector | None = None
    json: Mapping[str, object] | None = None
    text: str | None = None
    matches: tuple[str, ...] = ()


DEFAULT_BODY_LIMIT = 50 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Largest bodies that are held in memory."""

    request_body_bytes: int = DEFAULT_BODY_LIMIT
    response_body_bytes: int = DEFAULT_BODY_LIMIT


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Access logs (None: not configured, use the host's default) and Envoy log levels."""

    access_logs: tuple[AccessLog, ...] | None = None
    log_levels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EndpointPrefixes:
    """Where the endpoints of each API are; `root` comes before the others."""

    root: str = "/"
    openai: str = "/"
    cohere: str = "/cohere"
    anthropic: str = "/anthropic"

    def path(self, api: str, rest: str = "") -> str:
        """A path behind the prefix of an API, without repeated slashes and one at the end."""
        # Three slashes at the start become one, two would stay.
        return posixpath.normpath(f"///{self.root}/{api}/{rest}")


@dataclass(frozen=True, slots=True)
class Gateway:
    """What belongs to one Gateway as a whole.

    `credential_headers` bring credentials for its backends; nobody else gets them.
    """

    models: ModelLists = ModelLists()
    limits: Limits = Limits()
    telemetry: Telemetry = Telemetry()
    credential_headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """All that is served. Gateways are keyed by `<ns>/<name>`, ports are in order.

    `rules` and `backends` are keyed by `Rule.id` and `Backend.name`, those for plain routes the
    same way, `certificates` by the `<ns>/<name>` of their Secret, `authorities` (PEM bundles) and
    `proxies` by a name of their source, `security` by a hash of all but its secrets.
    """

    gateways: Mapping[str, Gateway]
    ports: tuple[Port, ...]
    rules: Mapping[str, Rule]
    backends: Mapping[str, Backend]
    credentials: Mapping[str, Credential] = field(default_factory=dict, repr=False)
    certificates: Mapping[str, Certificate] = field(default_factory=dict, repr=False)
    authorities: Mapping[str, str] = field(default_factory=dict, repr=False)
    proxies: Mapping[str, Proxy] = field(default_factory=dict)
    prefixes: EndpointPrefixes = EndpointPrefixes()
    metadata_namespaces: tuple[str, ...] = ()
    """Dynamic metadata that the core gets to see besides its own."""
    security: Mapping[str, "Security"] = field(default_factory=dict)
    http_rules: Mapping[str, "HttpRule"] = field(default_factory=dict)
    http_backends: Mapping[str, "HttpBackend"] = field(default_factory=dict)
