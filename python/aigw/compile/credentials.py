"""BackendSecurityPolicies to credentials."""

import json
from dataclasses import dataclass

from aigw.api.ai_service_backend import AIServiceBackend
from aigw.api.backend_security_policy import BackendSecurityPolicy, KeyInSecret
from aigw.api.references import SecretObjectReference
from aigw.compile.grants import Reference, Values
from aigw.compile.index import Index
from aigw.compile.report import Report
from aigw.errors import Code
from aigw.plan import ApiKey, Auth, AuthType, AwsKeys, Credential, GcpServiceAccount

_KIND = (BackendSecurityPolicy.GROUP, BackendSecurityPolicy.KIND)
# Members of a key file that a token cannot be had without.
_SERVICE_ACCOUNT = ("client_email", "private_key", "token_uri")


@dataclass(frozen=True, slots=True)
class Unusable:
    """The backend must not be served: its credential is missing or has errors."""

    reason: str


class Credentials:
    """Credentials by backend; each policy is read and reported once."""

    def __init__(self, index: Index, report: Report) -> None:
        """Nothing is read yet."""
        self._index = index
        self._report = report
        self._values = Values(index, report)
        self._auths: dict[str, Auth | Unusable] = {}
        self.found: dict[str, Credential] = {}
        self._policies = index.all(BackendSecurityPolicy)

    def auth_of(self, backend: AIServiceBackend) -> Auth | Unusable | None:
        """How `backend` authenticates; None without a policy."""
        identity = backend.id
        rejected = self._index.rejected_policies(_KIND, identity)
        if rejected:
            return Unusable(f"{rejected[0]} has errors")
        policies = [policy for policy in self._policies if _targets(policy, backend)]
        if not policies:
            return None
        if len(policies) > 1:
            names = ", ".join(policy.metadata.name for policy in policies)
            message = (
                "multiple BackendSecurityPolicies found for AIServiceBackend "
                f"{backend.metadata.name}: [{names}]"
            )
            self._report.error(identity, Code.CONFLICT, "", message)
            return Unusable("more than one BackendSecurityPolicy targets it")
        return self._auth(policies[0])

    def _auth(self, policy: BackendSecurityPolicy) -> Auth | Unusable:
        key = policy.id.path
        if key not in self._auths:
            credential = self._read(policy)
            self._auths[key] = Unusable(f"{policy.id} has errors")
            if credential is not None:
                self.found[key] = credential
                self._auths[key] = _auth(policy, key)
        return self._auths[key]

    def _read(self, policy: BackendSecurityPolicy) -> Credential | None:
        spec = policy.spec
        keys: dict[str, tuple[str, KeyInSecret | None]] = {
            "APIKey": ("apiKey", spec.api_key),
            "AnthropicAPIKey": ("anthropicAPIKey", spec.anthropic_api_key),
            "AzureAPIKey": ("azureAPIKey", spec.azure_api_key),
        }
        if spec.type == "AWSCredentials":
            return self._read_aws(policy)
        if spec.type == "GCPCredentials":
            return self._read_gcp(policy)
        field, member = keys.get(spec.type, ("", None))
        if member is None:
            message = f"{spec.type} is not supported yet"
            self._report.error(policy.id, Code.UNSUPPORTED, "spec.type", message)
            return None
        key = self._secret_value(policy, member.secret_ref, f"spec.{field}.secretRef", "apiKey")
        return ApiKey(AuthType(spec.type), key) if key else None

    def _read_aws(self, policy: BackendSecurityPolicy) -> AwsKeys | None:
        aws = policy.spec.aws_credentials
        source = aws.credentials_file if aws else None
        if source is None:
            message = "the default AWS credential chain is not supported yet; set credentialsFile"
            self._report.error(policy.id, Code.UNSUPPORTED, "spec.awsCredentials", message)
            return None
        path = "spec.awsCredentials.credentialsFile"
        text = self._secret_value(policy, source.secret_ref, f"{path}.secretRef", "credentials")
        if not text:
            return None
        keys = _aws_keys(text, source.profile)
        if keys is None:
            message = (
                f"the credentials file has no aws_access_key_id and aws_secret_access_key in "
                f"profile {source.profile}"
            )
            self._report.error(policy.id, Code.INVALID_CREDENTIAL, path, message)
        return keys

    def _read_gcp(self, policy: BackendSecurityPolicy) -> GcpServiceAccount | None:
        gcp = policy.spec.gcp_credentials
        source = gcp.credentials_file if gcp else None
        if source is None:
            message = (
                "application default credentials of GCP are not supported yet; set credentialsFile"
            )
            self._report.error(policy.id, Code.UNSUPPORTED, "spec.gcpCredentials", message)
            return None
        path = "spec.gcpCredentials.credentialsFile"
        key = "service_account.json"
        text = self._secret_value(policy, source.secret_ref, f"{path}.secretRef", key)
        if not text:
            return None
        info = _service_account(text)
        if isinstance(info, str):
            message = f"the service-account key {info}"
            self._report.error(policy.id, Code.INVALID_CREDENTIAL, path, message)
            return None
        return GcpServiceAccount(info)

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


def _targets(policy: BackendSecurityPolicy, backend: AIServiceBackend) -> bool:
    return policy.namespace == backend.namespace and any(
        (ref.group, ref.kind, ref.name) == (backend.GROUP, backend.KIND, backend.metadata.name)
        for ref in policy.spec.target_refs
    )


def _auth(policy: BackendSecurityPolicy, key: str) -> Auth:
    kind = AuthType(policy.spec.type)
    aws, gcp = policy.spec.aws_credentials, policy.spec.gcp_credentials
    if gcp is not None:
        return Auth(kind, key, gcp.region, gcp.project_name)
    return Auth(kind, key, aws.region if aws else "")


def _service_account(text: str) -> dict[str, str] | str:
    """The members of a key file, or what is wrong with it."""
    try:
        found = json.loads(text)
    except ValueError:
        return "is not JSON"
    if not isinstance(found, dict) or found.get("type") != "service_account":
        return 'has no "type": "service_account"'
    info = {name: value for name, value in found.items() if isinstance(value, str)}
    missing = [name for name in _SERVICE_ACCOUNT if not info.get(name)]
    if missing:
        return f"lacks {', '.join(missing)}"
    if not info["token_uri"].startswith(("https://", "http://")):
        return "has a token_uri that is no URL"
    return info


def _aws_keys(text: str, profile: str) -> AwsKeys | None:
    """Keys of one profile of an AWS credentials file; None when incomplete."""
    values: dict[str, str] = {}
    section = ""
    for raw in text.splitlines():
        line = raw.strip()
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1].strip().removeprefix("profile ").strip()
        elif section == profile and "=" in line and not line.startswith(("#", ";")):
            name, _, value = line.partition("=")
            values[name.strip().lower()] = value.strip()
    access, secret = values.get("aws_access_key_id"), values.get("aws_secret_access_key")
    if not access or not secret:
        return None
    return AwsKeys(access, secret, values.get("aws_session_token") or None)
