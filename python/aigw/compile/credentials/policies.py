"""BackendSecurityPolicies to credentials."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from aigw.api.ai_service_backend import AIServiceBackend
from aigw.api.backend_security_policy import BackendSecurityPolicy, KeyInSecret
from aigw.api.references import SecretObjectReference
from aigw.compile.credentials.clouds import Clouds
from aigw.compile.credentials.override import faults_of, override_of
from aigw.compile.grants import Reference, Values
from aigw.compile.index import Index
from aigw.compile.report import Once, Report
from aigw.errors import Code, ResourceId
from aigw.extras import advice
from aigw.plan import (
    ApiKey,
    Auth,
    AuthType,
    AwsDefaultChain,
    AwsKeys,
    AwsRole,
    AzureApplication,
    Credential,
    GcpDefaultCredentials,
    GcpFederation,
    GcpServiceAccount,
)

_KIND = (BackendSecurityPolicy.GROUP, BackendSecurityPolicy.KIND)


@dataclass(frozen=True, slots=True)
class Unusable:
    """The backend must not be served: its credential is missing or has errors."""

    reason: str


class Credentials:
    """Credentials by backend; each policy is read and reported once."""

    def __init__(self, index: Index, report: Report, missing_extras: Collection[str]) -> None:
        """Nothing is read yet."""
        self._missing_extras = missing_extras
        self._index = index
        self._report = report
        self._values = Values(index, report)
        self._once: Once[Auth | Unusable] = Once(report)
        self.found: dict[str, Credential] = {}
        self._policies = _by_target(index.all(BackendSecurityPolicy))
        self._clouds = Clouds(report, self._secret_value)

    def auth_of(self, backend: AIServiceBackend) -> Auth | Unusable | None:
        """How `backend` authenticates; None without a policy."""
        identity = backend.id
        rejected = self._index.rejected_policies(_KIND, identity)
        if rejected:
            return Unusable(f"{rejected[0]} has errors")
        policies = self._policies.get(identity, [])
        if not policies:
            return None
        if len(policies) > 1:
            names = ", ".join(policy.metadata.name for policy in policies)
            message = (
                "multiple BackendSecurityPolicies found for AIServiceBackend "
                f"{backend.metadata.name}: [{names}]"
            )
            self._report.error(identity, Code.CONFLICT, "", message)
            for policy in policies:
                self._report.error(policy.id, Code.CONFLICT, "spec.targetRefs", message)
            return Unusable("more than one BackendSecurityPolicy targets it")
        policy = policies[0]
        return self._once.get(policy.id, lambda: self._auth(policy))

    def _auth(self, policy: BackendSecurityPolicy) -> Auth | Unusable:
        return self._compiled(policy) or Unusable(f"{policy.id} has errors")

    def _compiled(self, policy: BackendSecurityPolicy) -> Auth | None:
        faults = tuple(faults_of(policy))
        self._report.faults(policy.id, faults)
        override = override_of(policy)
        if faults:
            return None
        if override and not override.falls_back:
            # Its Secret is never used and need not be there.
            return replace(_auth(policy, ""), override=override)
        credential = self._read(policy)
        if credential is None:
            return None
        self._check_library(policy, credential)
        key = policy.id.path
        self.found[key] = credential
        return replace(_auth(policy, key), override=override)

    def _check_library(self, policy: BackendSecurityPolicy, credential: Credential) -> None:
        field, extra = _extra_of(credential)
        if extra in self._missing_extras:
            message = f"the library for this credential is not installed; {advice(extra)}"
            self._report.warning(policy.id, Code.MISSING_LIBRARY, f"spec.{field}", message)

    def _read(self, policy: BackendSecurityPolicy) -> Credential | None:
        spec = policy.spec
        keys: dict[str, tuple[str, KeyInSecret | None]] = {
            "APIKey": ("apiKey", spec.api_key),
            "AnthropicAPIKey": ("anthropicAPIKey", spec.anthropic_api_key),
            "AzureAPIKey": ("azureAPIKey", spec.azure_api_key),
        }
        field, member = keys.get(spec.type, ("", None))
        if member is None:
            return self._clouds.read(policy)
        key = self._secret_value(policy, member.secret_ref, f"spec.{field}.secretRef", "apiKey")
        return ApiKey(AuthType(spec.type), key) if key else None

    def _secret_value(
        self, policy: BackendSecurityPolicy, ref: SecretObjectReference, path: str, key: str
    ) -> str:
        """The trimmed value, or an empty text after a report."""
        secret = self._values.secret(Reference(policy, ref, path))
        if secret is None:
            return ""
        where = str(secret.id)
        value = secret.values.get(key, "").strip()
        if not value:
            message = f"{where} has no value for the key {key}"
            self._report.error(policy.id, Code.INVALID_CREDENTIAL, path, message)
        elif key == "apiKey" and not value.isprintable():
            message = f"the value of the key {key} in {where} is not a single line of text"
            self._report.error(policy.id, Code.INVALID_CREDENTIAL, path, message)
            return ""
        return value


def _extra_of(credential: Credential) -> tuple[str, str]:
    """The field that has it, and the extra that it needs, if any."""
    match credential:
        case ApiKey() | AwsKeys():
            return "", ""
        case AwsRole() | AwsDefaultChain():
            return "awsCredentials", "aws"
        case AzureApplication():
            return "azureCredentials", "azure"
        case GcpServiceAccount() | GcpFederation() | GcpDefaultCredentials():
            return "gcpCredentials", "gcp"


def _by_target(
    policies: Iterable[BackendSecurityPolicy],
) -> dict[ResourceId, list[BackendSecurityPolicy]]:
    found: dict[ResourceId, list[BackendSecurityPolicy]] = {}
    for policy in policies:
        targets = (
            ResourceId(ref.group, ref.kind, policy.namespace, ref.name)
            for ref in policy.spec.target_refs
        )
        for target in dict.fromkeys(targets):
            found.setdefault(target, []).append(policy)
    return found


def _auth(policy: BackendSecurityPolicy, key: str) -> Auth:
    kind = AuthType(policy.spec.type)
    aws, gcp = policy.spec.aws_credentials, policy.spec.gcp_credentials
    if gcp is not None:
        return Auth(kind, key, gcp.region, gcp.project_name)
    return Auth(kind, key, aws.region if aws else "")
