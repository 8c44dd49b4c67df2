"""backendRefs of rules to backends of the plan."""

import re
from dataclasses import dataclass, replace

from aigw.api.ai_gateway_route import AIGatewayRoute, AIGatewayRouteRuleBackendRef
from aigw.api.ai_service_backend import AIServiceBackend, VersionedAPISchema
from aigw.api.backend import Backend as BackendResource
from aigw.api.gateway import Gateway
from aigw.compile import mutations
from aigw.compile.credentials.policies import Credentials, Unusable
from aigw.compile.egress import Egress
from aigw.compile.endpoints import Upstreams
from aigw.compile.grants import Grants, Referrer, not_permitted
from aigw.compile.index import Index
from aigw.compile.mutations import Place
from aigw.compile.prices import price_list_of
from aigw.compile.report import Once, Report
from aigw.errors import Code, ResourceId
from aigw.plan import Auth, AuthType, Backend, Cost, Schema

_DEFAULT_VERSIONS = {
    "AWSAnthropic": "bedrock-2023-05-31",
    "Cohere": "v2",
    "GCPAnthropic": "vertex-2023-10-16",
}
_IN_PATHS = {"OpenAI": ("prefix",), "Anthropic": ("prefix",), "Cohere": ("prefix", "version")}
# Characters of a path as RFC 3986 has them, and its separators.
_PATH = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*")
_DEFAULT_PREFIXES = {"OpenAI": "v1", "Anthropic": "v1"}
CHAT_ONLY = "aigateway.envoyproxy.io/chat-only"
"""Annotation of AIServiceBackends whose server has chat completions and no other text endpoint:
completions and responses are served by these."""
_UNVERSIONED = ("OpenAI", "Anthropic", "GCPVertexAI")
_AWS_SCHEMAS = ("AWSBedrock", "AWSAnthropic")
_GCP_SCHEMAS = ("GCPVertexAI", "GCPAnthropic")


@dataclass(frozen=True, slots=True)
class RefPlace:
    """A backendRef and where it is written; `costs` are those of its route.

    `gateway` is the one that the route is served on.
    """

    gateway: Gateway
    route: AIGatewayRoute
    rule: int
    index: int
    ref: AIGatewayRouteRuleBackendRef
    costs: tuple[Cost, ...] = ()

    @property
    def path(self) -> str:
        """Field path in the route."""
        return f"spec.rules[{self.rule}].backendRefs[{self.index}]"

    @property
    def name(self) -> str:
        """Name of the backend in the plan."""
        namespace, route = self.route.namespace, self.route.metadata.name
        return f"{namespace}/{self.ref.name}/route/{route}/rule/{self.rule}/ref/{self.index}"


class Backends:
    """Compiles references; AIServiceBackends are read and reported once."""

    def __init__(
        self,
        index: Index,
        report: Report,
        credentials: Credentials,
        upstreams: Upstreams,
        egress: Egress,
    ) -> None:
        """Nothing is read yet."""
        self._index = index
        self._report = report
        self._credentials = credentials
        self._upstreams = upstreams
        self._egress = egress
        self._grants = Grants(index)
        self._once: Once[Backend | None] = Once(report)

    def resolve(self, place: RefPlace) -> Backend | None:
        """The backend of one reference, or None after a report."""
        found = self._service_backend(place)
        if found is None:
            return None
        ref, route = place.ref, place.route
        at = Place(route.id, f"{place.path}.headerMutation")
        headers_ok = mutations.check_headers(ref.header_mutation, at, self._report)
        at = Place(route.id, f"{place.path}.bodyMutation")
        if not mutations.check_body(ref.body_mutation, at, self._report) or not headers_ok:
            return None
        if not self._may_reach(place, found):
            return None
        base = self._compiled(found)
        if base is None:
            message = f"{found.id} cannot be used and is left out"
            self._report.warning(route.id, Code.LEFT_OUT, place.path, message)
            return None
        reached = self._egress.applied(place.gateway, base)
        if isinstance(reached, str):
            message = f"{found.id} is left out, because {reached}"
            self._report.error(route.id, Code.LEFT_OUT, place.path, message)
            return None
        spec = found.spec
        return replace(
            reached,
            name=place.name,
            route=route.id.path,
            model_name_override=ref.model_name_override or "",
            header_mutation=mutations.merge_headers(spec.header_mutation, ref.header_mutation),
            body_mutation=mutations.merge_body(spec.body_mutation, ref.body_mutation),
            costs=place.costs,
            price_list=price_list_of(reached.schema.name, reached.host),
        )

    def _service_backend(self, place: RefPlace) -> AIServiceBackend | None:
        ref, route = place.ref, place.route
        namespace = ref.namespace or route.namespace
        if ref.is_pool:
            message = "InferencePool backends are not supported yet"
            self._report.error(route.id, Code.UNSUPPORTED, place.path, message)
            return None
        target = ResourceId(AIServiceBackend.GROUP, AIServiceBackend.KIND, namespace, ref.name)
        if not self._grants.allow(Referrer.of(route), target):
            message = (
                f"cross-namespace reference from AIGatewayRoute in namespace {route.namespace} "
                f"to AIServiceBackend {ref.name} in namespace {namespace} is not permitted: "
                f"no valid ReferenceGrant found in namespace {namespace}"
            )
            self._report.error(route.id, Code.NOT_PERMITTED, f"{place.path}.namespace", message)
            return None
        found = self._index.get(AIServiceBackend, namespace, ref.name)
        if found is None and self._index.is_rejected(AIServiceBackend, namespace, ref.name):
            message = f"AIServiceBackend {namespace}/{ref.name} has errors and is left out"
            self._report.warning(route.id, Code.LEFT_OUT, place.path, message)
        elif found is None:
            message = f"AIServiceBackend {ref.name}.{namespace} not found"
            self._report.error(route.id, Code.NOT_FOUND, place.path, message)
        return found

    def _may_reach(self, place: RefPlace, found: AIServiceBackend) -> bool:
        """A route reaches the Backend itself: the grant is for HTTPRoutes of its namespace."""
        ref, route = found.spec.backend_ref, place.route
        namespace = ref.namespace or found.namespace
        target = ResourceId(BackendResource.GROUP, BackendResource.KIND, namespace, ref.name)
        referrer = Referrer.route(route.namespace)
        if self._grants.allow(referrer, target):
            return True
        message = f"{found.id}: {not_permitted(referrer, target)}"
        self._report.error(route.id, Code.NOT_PERMITTED, place.path, message)
        return False

    def _compiled(self, found: AIServiceBackend) -> Backend | None:
        return self._once.get(found.id.path, lambda: self._compile(found))

    def _compile(self, found: AIServiceBackend) -> Backend | None:
        spec, at = found.spec, found.id
        headers_ok = mutations.check_headers(
            spec.header_mutation, Place(at, "spec.headerMutation"), self._report
        )
        body_ok = mutations.check_body(
            spec.body_mutation, Place(at, "spec.bodyMutation"), self._report
        )
        schema = self._schema(found, spec.api_schema)
        has_paths = self._has_paths(found, schema)
        auth = self._credentials.auth_of(found)
        if isinstance(auth, Unusable):
            message = f"is left out because {auth.reason}"
            self._report.warning(at, Code.LEFT_OUT, "", message)
        backend = self._with_upstream(found)
        if backend is None or isinstance(auth, Unusable):
            return None
        if not self._has_fitting_auth(found, auth):
            return None
        if not (headers_ok and body_ok and has_paths):
            return None
        return replace(backend, schema=schema, auth=auth)

    def _has_fitting_auth(self, found: AIServiceBackend, auth: Auth | None) -> bool:
        name = found.spec.api_schema.name
        if name in _GCP_SCHEMAS and (auth is None or auth.type != AuthType.GCP_CREDENTIALS):
            message = (
                f"the schema {name} needs a BackendSecurityPolicy with GCPCredentials: project "
                "and region are part of its paths"
            )
            self._report.error(found.id, Code.INVALID_CREDENTIAL, "spec.schema.name", message)
            return False
        if name in _AWS_SCHEMAS and (auth is None or auth.type != AuthType.AWS_CREDENTIALS):
            message = f"the schema {name} needs a BackendSecurityPolicy with AWSCredentials"
            self._report.warning(found.id, Code.INVALID_CREDENTIAL, "spec.schema.name", message)
        return True

    def _schema(self, found: AIServiceBackend, written: VersionedAPISchema) -> Schema:
        name = written.name
        unused = [("prefix", written.prefix, name not in _DEFAULT_PREFIXES)]
        unused.append(("version", written.version, name in _UNVERSIONED))
        for field, value, is_unused in unused:
            if value and is_unused:
                message = f"has no meaning for the schema {name}"
                self._report.warning(found.id, Code.NO_EFFECT, f"spec.schema.{field}", message)
        version = written.version or _DEFAULT_VERSIONS.get(name, "")
        if name == "AzureOpenAI" and not version:
            message = "is empty; AzureOpenAI wants the api-version of its requests here"
            self._report.warning(found.id, Code.INVALID_FIELD, "spec.schema.version", message)
        prefix = written.prefix or _DEFAULT_PREFIXES.get(name, "")
        return Schema(name, prefix, version, self._is_chat_only(found, name))

    def _has_paths(self, found: AIServiceBackend, schema: Schema) -> bool:
        """Whether what is part of the paths of requests can be."""
        parts = {"prefix": schema.prefix, "version": schema.version}
        fields = _IN_PATHS.get(schema.name, ())
        bad = [field for field in fields if not _PATH.fullmatch(parts[field])]
        for field in bad:
            message = "is part of a path: only segments without a query, encoded where they must be"
            self._report.error(found.id, Code.INVALID_FIELD, f"spec.schema.{field}", message)
        return not bad

    def _is_chat_only(self, found: AIServiceBackend, schema: str) -> bool:
        value = found.metadata.annotations.get(CHAT_ONLY)
        path = f"metadata.annotations[{CHAT_ONLY}]"
        if value not in (None, "true", "false"):
            self._report.error(found.id, Code.INVALID_FIELD, path, "must be true or false")
        elif value == "true" and schema != "OpenAI":
            message = f"has no meaning for the schema {schema}"
            self._report.warning(found.id, Code.NO_EFFECT, path, message)
        return value == "true" and schema == "OpenAI"

    def _with_upstream(self, found: AIServiceBackend) -> Backend | None:
        ref = found.spec.backend_ref
        namespace = ref.namespace or found.namespace
        if ref.port is not None:
            message = "has no effect; the endpoints of the Backend have their own"
            self._report.warning(found.id, Code.NO_EFFECT, "spec.backendRef.port", message)
        upstream = self._upstreams.get(namespace, ref.name)
        if upstream is None:
            self._report_missing(found, namespace, ref.name)
            return None
        hosts = {endpoint.hostname for endpoint in upstream.endpoints}
        if len(hosts) > 1 and found.spec.api_schema.name in _AWS_SCHEMAS:
            message = "its endpoints have different host names; requests are signed for the first"
            self._report.warning(found.id, Code.INVALID_FIELD, "spec.backendRef", message)
        return Backend(
            name="",
            backend=found.id.path,
            route="",
            schema=Schema(""),
            endpoints=upstream.endpoints,
            host=upstream.endpoints[0].hostname,
            tls=upstream.tls,
            http2=upstream.http2,
            is_fallback=upstream.is_fallback,
        )

    def _report_missing(self, found: AIServiceBackend, namespace: str, name: str) -> None:
        is_there = self._index.get(BackendResource, namespace, name) is not None
        if is_there or self._index.is_rejected(BackendResource, namespace, name):
            message = f"is left out because Backend {namespace}/{name} has errors"
            self._report.warning(found.id, Code.LEFT_OUT, "spec.backendRef", message)
        else:
            message = f"Backend {namespace}/{name} not found"
            self._report.error(found.id, Code.NOT_FOUND, "spec.backendRef", message)
