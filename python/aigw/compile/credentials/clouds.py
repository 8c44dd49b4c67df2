"""Credentials of AWS, Azure and Google Cloud: what a policy and its Secrets say about them."""

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from aigw.api.backend_security_policy import (
    AWSCredentials,
    AWSCredentialsFile,
    AzureCredentials,
    BackendSecurityPolicy,
    GCPCredentials,
    OIDCExchangeToken,
    WorkloadIdentityFederation,
)
from aigw.api.references import SecretObjectReference
from aigw.compile.report import Report
from aigw.errors import Code
from aigw.plan import (
    AwsDefaultChain,
    AwsKeys,
    AwsRole,
    AzureApplication,
    Credential,
    GcpDefaultCredentials,
    GcpFederation,
    GcpServiceAccount,
    OidcClient,
)

if TYPE_CHECKING:
    from aigw.api.model import ApiModel

SecretValue = Callable[[BackendSecurityPolicy, SecretObjectReference, str, str], str]
"""The value of a Secret: policy, reference, field path, key. Empty after a report."""

# Members of a key file that a token cannot be had without.
_SERVICE_ACCOUNT = ("client_email", "private_key", "token_uri")
# What profiles of a credentials file have instead of keys.
_ELSEWHERE = (
    "role_arn",
    "source_profile",
    "credential_source",
    "credential_process",
    "web_identity_token_file",
    "sso_session",
    "sso_start_url",
    "login_session",
)
_LONGEST_SESSION_NAME = 64
_URL = re.compile(r"https?://[^\s/]+\S*")
# What an exchange reads of an OIDC client and its provider; the rest is for logins of browsers.
_CLIENT_FIELDS = frozenset({"provider", "client_id", "client_id_ref", "client_secret", "scopes"})
_PROVIDER_FIELDS = frozenset({"issuer", "token_endpoint"})


class Clouds:
    """Reads the policies of clouds."""

    def __init__(self, report: Report, secret_value: SecretValue) -> None:
        """Findings go to the report."""
        self._report = report
        self._secret_value = secret_value

    def read(self, policy: BackendSecurityPolicy) -> Credential | None:
        """The credential of one policy, or None after a report."""
        spec = policy.spec
        if spec.aws_credentials is not None:
            return self._aws(policy, spec.aws_credentials)
        if spec.azure_credentials is not None:
            return self._azure(policy, spec.azure_credentials)
        if spec.gcp_credentials is not None:
            return self._gcp(policy, spec.gcp_credentials)
        message = f"{spec.type} is not supported"
        self._report.error(policy.id, Code.UNSUPPORTED, "spec.type", message)
        return None

    def _aws(self, policy: BackendSecurityPolicy, aws: AWSCredentials) -> Credential | None:
        path = "spec.awsCredentials"
        token = aws.oidc_exchange_token
        if aws.credentials_file is not None:
            if token is not None:
                message = "has no effect beside credentialsFile"
                place = f"{path}.oidcExchangeToken"
                self._report.warning(policy.id, Code.NO_EFFECT, place, message)
            return self._aws_file(policy, aws.credentials_file, f"{path}.credentialsFile")
        if token is None:
            return AwsDefaultChain(aws.region)
        client = self._oidc(policy, token, f"{path}.oidcExchangeToken")
        name = f"ai-gateway-{policy.metadata.name}"[:_LONGEST_SESSION_NAME]
        return AwsRole(token.aws_role_arn, name, aws.region, client) if client else None

    def _aws_file(
        self, policy: BackendSecurityPolicy, source: AWSCredentialsFile, path: str
    ) -> AwsKeys | None:
        text = self._secret_value(policy, source.secret_ref, f"{path}.secretRef", "credentials")
        if not text:
            return None
        keys = _aws_keys(text, source.profile)
        if isinstance(keys, str):
            message = f"the credentials file has {keys}"
            self._report.error(policy.id, Code.INVALID_CREDENTIAL, path, message)
            return None
        return keys

    def _azure(
        self, policy: BackendSecurityPolicy, azure: AzureCredentials
    ) -> AzureApplication | None:
        path = "spec.azureCredentials"
        proof: str | OidcClient | None = None
        if azure.client_secret_ref is not None:
            place = f"{path}.clientSecretRef"
            proof = self._secret_value(policy, azure.client_secret_ref, place, "client-secret")
        elif azure.oidc_exchange_token is not None:
            proof = self._oidc(policy, azure.oidc_exchange_token, f"{path}.oidcExchangeToken")
        return AzureApplication(azure.tenant_id, azure.client_id, proof) if proof else None

    def _gcp(self, policy: BackendSecurityPolicy, gcp: GCPCredentials) -> Credential | None:
        path = "spec.gcpCredentials"
        source, federation = gcp.credentials_file, gcp.workload_identity_federation_config
        if federation is not None:
            path = f"{path}.workloadIdentityFederationConfig.oidcExchangeToken"
            client = self._oidc(policy, federation.oidc_exchange_token, path)
            return _federation(federation, client, gcp.project_name) if client else None
        if source is None:
            return GcpDefaultCredentials()
        path, key = f"{path}.credentialsFile", "service_account.json"
        text = self._secret_value(policy, source.secret_ref, f"{path}.secretRef", key)
        if not text:
            return None
        info = _service_account(text)
        if isinstance(info, str):
            message = f"the service-account key {info}"
            self._report.error(policy.id, Code.INVALID_CREDENTIAL, path, message)
            return None
        return GcpServiceAccount(info)

    def _oidc(
        self, policy: BackendSecurityPolicy, token: OIDCExchangeToken, path: str
    ) -> OidcClient | None:
        oidc, path = token.oidc, f"{path}.oidc"
        self._report_idle(policy, oidc, _CLIENT_FIELDS, path)
        self._report_idle(policy, oidc.provider, _PROVIDER_FIELDS, f"{path}.provider")
        client_id = oidc.client_id or ""
        if oidc.client_id_ref is not None:
            place = f"{path}.clientIDRef"
            client_id = self._secret_value(policy, oidc.client_id_ref, place, "client-id")
        place = f"{path}.clientSecret"
        secret = self._secret_value(policy, oidc.client_secret, place, "client-secret")
        issuer, endpoint = oidc.provider.issuer, oidc.provider.token_endpoint or ""
        is_url = True
        for field, url in (("issuer", issuer), ("tokenEndpoint", endpoint)):
            if url and not _URL.fullmatch(url):
                is_url = False
                place = f"{path}.provider.{field}"
                self._report.error(policy.id, Code.INVALID_FIELD, place, "is no http(s) URL")
        if not (client_id and secret and is_url):
            return None
        return OidcClient(
            issuer=issuer,
            client_id=client_id,
            client_secret=secret,
            scopes=tuple(oidc.scopes or ("openid",)),
            token_endpoint=endpoint,
            grant_type=token.grant_type or "client_credentials",
            audience=token.aud or "",
        )

    def _report_idle(
        self, policy: BackendSecurityPolicy, value: "ApiModel", used: frozenset[str], path: str
    ) -> None:
        for name in sorted(set(value.present) - used):
            place = f"{path}.{type(value).model_fields[name].alias}"
            message = "has no effect on the exchange of a token"
            self._report.warning(policy.id, Code.NO_EFFECT, place, message)


def _federation(
    federation: WorkloadIdentityFederation, client: OidcClient, project: str
) -> GcpFederation:
    pool = federation.workload_identity_pool_name
    audience = (
        f"//iam.googleapis.com/projects/{federation.project_id}/locations/global/"
        f"workloadIdentityPools/{pool}/providers/{federation.workload_identity_provider_name}"
    )
    person = federation.service_account_impersonation
    email = f"{person.service_account_name}@{project}.iam.gserviceaccount.com" if person else ""
    return GcpFederation(audience, client, email)


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


def _aws_keys(text: str, profile: str) -> AwsKeys | str:
    """Keys of one profile of an AWS credentials file, or what it has in their place."""
    values: dict[str, str] = {}
    is_there = False
    section = ""
    for raw in text.splitlines():
        line = raw.strip()
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1].strip().removeprefix("profile ").strip()
            is_there = is_there or section == profile
        elif section == profile and "=" in line and not line.startswith(("#", ";")):
            name, _, value = line.partition("=")
            values[name.strip().lower()] = value.strip()
    if not is_there:
        return f"no profile {profile}"
    access, secret = values.get("aws_access_key_id"), values.get("aws_secret_access_key")
    elsewhere = [name for name in _ELSEWHERE if values.get(name)]
    if elsewhere:
        return (
            f"{' and '.join(elsewhere)} in profile {profile}, which is not followed; give "
            "aws_access_key_id and aws_secret_access_key, or leave credentialsFile out to use "
            "the profiles of the machine"
        )
    if not access or not secret:
        return f"no aws_access_key_id and aws_secret_access_key in profile {profile}"
    return AwsKeys(access, secret, values.get("aws_session_token") or None)
