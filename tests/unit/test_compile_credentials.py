"""Credentials: what a policy and its Secret must say, and what reaches the core."""

import json
from dataclasses import replace

import pytest

from aigw.compile.compiler import Compiled
from aigw.errors import Code, Severity
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
    Token,
)
from aigw.render.envoy import render_credentials, render_filter_config
from beds.documents import compile_documents
from beds.resources import BackendSpec, gateway_yaml, resource, rule

KEY = {
    "type": "service_account",
    "client_email": "a@b",
    "private_key": "secret-key",
    "token_uri": "https://tokens.example/x",
}
RESOURCES = gateway_yaml(
    1975, [BackendSpec("gemini", 443, {"name": "GCPVertexAI"})], [rule("m", "gemini")]
)
POLICY = """
---
apiVersion: aigateway.envoyproxy.io/v1beta1
kind: BackendSecurityPolicy
metadata: {name: google}
spec:
  targetRefs: [{group: aigateway.envoyproxy.io, kind: AIServiceBackend, name: gemini}]
  type: GCPCredentials
  gcpCredentials: SPEC
"""
FILE = "{projectName: p, region: eu, credentialsFile: {secretRef: {name: key}}}"


def compiled(text: str, key: object = None) -> Compiled:
    file = key if isinstance(key, str) else json.dumps(key)
    return compile_documents(text + secret("key", "service_account.json", file))


def secret(name: str, key: str, value: str, **more: str) -> str:
    """A further document with a Secret."""
    data = {key: value, **more}
    return "\n---\n" + json.dumps({**resource("v1", "Secret", name), "stringData": data})


def test_a_service_account_reaches_the_core_as_a_token_only() -> None:
    plan = compiled(RESOURCES + POLICY.replace("SPEC", FILE), KEY).plan
    assert plan is not None
    assert plan.credentials == {"default/google": GcpServiceAccount(KEY)}
    entry = next(iter(render_filter_config(plan)["backends"].values()))
    want = {"type": "GCPCredentials", "credential": "default/google", "region": "eu"}
    assert entry["auth"] == {**want, "project": "p"}
    assert render_credentials(plan)["credentials"] == {}
    tokens = {"default/google": Token("t-1", 2_000_000_000)}
    assert render_credentials(plan, tokens)["credentials"] == {
        "default/google": {
            "type": "GCPCredentials",
            "access_token": "t-1",
            "expires_at": 2_000_000_000,
        }
    }
    assert "secret-key" not in json.dumps(render_credentials(plan, tokens)) + repr(plan)


@pytest.mark.parametrize(
    ("key", "part"),
    [
        ("secret", "is not JSON"),
        ({"type": "authorized_user"}, 'has no "type"'),
        ({**KEY, "private_key": ""}, "lacks private_key"),
        ({**KEY, "token_uri": "ftp://x"}, "token_uri that is no URL"),
    ],
)
def test_a_broken_key_file_is_named_without_its_content(key: object, part: str) -> None:
    result = compiled(RESOURCES + POLICY.replace("SPEC", FILE), key)
    messages = [item.message for item in result.errors]
    assert any(part in message for message in messages), messages
    assert "secret" not in " ".join(messages)


OIDC = """
      oidc:
        provider: {issuer: "https://idp.example", tokenEndpoint: "https://idp.example/t"}
        clientID: c
        clientSecret: {name: oidc}
        scopes: [a, b]
"""
FEDERATION = f"""
    projectName: p
    region: eu
    workloadIdentityFederationConfig:
      projectID: "1"
      workloadIdentityPoolName: pool
      workloadIdentityProviderName: idp
      serviceAccountImpersonation: {{serviceAccountName: sa}}
      oidcExchangeToken:{OIDC.replace(chr(10), chr(10) + "  ")}
"""
CLIENT = OidcClient(
    issuer="https://idp.example",
    client_id="c",
    client_secret="canary",
    scopes=("a", "b"),
    token_endpoint="https://idp.example/t",
)
AUDIENCE = (
    "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/idp"
)


def policy(kind: str, member: str, spec: str) -> str:
    """The resources with a policy of another kind, and a Secret of the OIDC client."""
    client = secret("oidc", "client-secret", " canary\n", **{"client-id": "c-of-secret"})
    text = POLICY.replace("GCPCredentials", kind).replace("gcpCredentials", member)
    schema = {"AWSCredentials": "AWSBedrock", "AzureCredentials": "AzureOpenAI\n    version: v1"}
    resources = RESOURCES.replace("GCPVertexAI", schema.get(kind, "GCPVertexAI"))
    return resources + text.replace("SPEC", spec) + client


def aws(spec: str) -> str:
    return policy("AWSCredentials", "awsCredentials", spec)


def azure(spec: str) -> str:
    return policy("AzureCredentials", "azureCredentials", spec)


def gcp(spec: str) -> str:
    return policy("GCPCredentials", "gcpCredentials", spec)


ROLE = f"""
    region: us-east-1
    oidcExchangeToken:
      awsRoleArn: arn{OIDC}"""
ASSERTION = f"""
    clientID: app
    tenantID: tenant
    oidcExchangeToken:{OIDC}"""
SECRET = "{clientID: app, tenantID: tenant, clientSecretRef: {name: oidc}}"


@pytest.mark.parametrize(
    ("text", "credential"),
    [
        (aws("{region: us-east-1}"), AwsDefaultChain("us-east-1")),
        (aws(ROLE), AwsRole("arn", "ai-gateway-google", "us-east-1", CLIENT)),
        (azure(SECRET), AzureApplication("tenant", "app", "canary")),
        (azure(ASSERTION), AzureApplication("tenant", "app", CLIENT)),
        (gcp("{projectName: p, region: eu}"), GcpDefaultCredentials()),
        (gcp(FEDERATION), GcpFederation(AUDIENCE, CLIENT, "sa@p.iam.gserviceaccount.com")),
        (
            azure(ASSERTION.replace("clientID: c\n", "clientIDRef: {name: oidc}\n")),
            AzureApplication("tenant", "app", replace(CLIENT, client_id="c-of-secret")),
        ),
        (
            azure(ASSERTION.replace("scopes: [a, b]", "scopes: []")),
            AzureApplication("tenant", "app", replace(CLIENT, scopes=("openid",))),
        ),
        (
            azure(f"{ASSERTION}\n      grantType: g\n      aud: sts"),
            AzureApplication("tenant", "app", replace(CLIENT, grant_type="g", audience="sts")),
        ),
    ],
)
def test_what_is_exchanged_is_kept_from_the_core(text: str, credential: Credential) -> None:
    result = compiled(text, KEY)
    assert result.plan is not None, result.errors
    assert result.errors == ()
    assert result.plan.credentials == {"default/google": credential}
    assert render_credentials(result.plan)["credentials"] == {}
    assert "canary" not in repr(result.plan)


@pytest.mark.parametrize(
    ("text", "field", "extra"),
    [
        (aws("{region: us-east-1}"), "awsCredentials", "aws"),
        (aws(ROLE), "awsCredentials", "aws"),
        (azure(SECRET), "azureCredentials", "azure"),
        (gcp("{projectName: p, region: eu}"), "gcpCredentials", "gcp"),
    ],
)
def test_a_library_that_is_missing_is_named(text: str, field: str, extra: str) -> None:
    with_it = compile_documents(text, missing_extras={"aws", "azure", "gcp"} - {extra})
    assert with_it.diagnostics == ()
    without = compile_documents(text, missing_extras={extra})
    assert without.plan == with_it.plan
    (finding,) = without.diagnostics
    assert (finding.code, finding.severity) == (Code.MISSING_LIBRARY, Severity.WARNING)
    assert finding.field_path == f"spec.{field}"
    assert f"pip install 'aigw[{extra}]'" in finding.message


def test_keys_need_no_library() -> None:
    text = with_file(
        "{region: us-east-1, credentialsFile: {secretRef: {name: file}}}", f"[default]\n{KEYS}"
    )
    assert compile_documents(text, missing_extras={"aws"}).diagnostics == ()


def test_what_was_had_in_exchange_reaches_the_core() -> None:
    plan = compiled(azure(SECRET), KEY).plan
    assert plan is not None
    entry = next(iter(render_filter_config(plan)["backends"].values()))
    assert entry["auth"] == {"type": "AzureCredentials", "credential": "default/google"}
    assert render_credentials(plan, {"default/google": Token("t", 5)})["credentials"] == {
        "default/google": {"type": "AzureCredentials", "access_token": "t", "expires_at": 5}
    }
    plan = compiled(aws(ROLE), KEY).plan
    assert plan is not None
    keys = {"access_key_id": "a", "secret_access_key": "s", "session_token": "t", "expires_at": 5}
    assert render_credentials(plan, {"default/google": AwsKeys(**keys)})["credentials"] == {
        "default/google": {"type": "AWSCredentials", **keys}
    }


def test_the_name_of_a_session_is_not_longer_than_aws_takes() -> None:
    text = aws(ROLE).replace(
        "name: google}\nspec:\n  targetRefs", f"name: {'n' * 90}}}\nspec:\n  targetRefs"
    )
    plan = compiled(text, KEY).plan
    assert plan is not None
    [role] = plan.credentials.values()
    assert isinstance(role, AwsRole)
    assert len(role.session_name) == 64


FILE_AND_ROLE = f"""{ROLE}
    credentialsFile: {{secretRef: {{name: file}}}}"""
KEYS = "aws_access_key_id = a\naws_secret_access_key = canary\n"


def with_file(spec: str, content: str) -> str:
    return aws(spec) + secret("file", "credentials", content)


def test_a_file_wins_over_the_exchange() -> None:
    result = compiled(with_file(FILE_AND_ROLE, f"[default]\n{KEYS}"), KEY)
    assert result.plan is not None
    assert result.plan.credentials == {"default/google": AwsKeys("a", "canary")}
    paths = [item.field_path for item in result.diagnostics if item.code is Code.NO_EFFECT]
    assert paths == ["spec.awsCredentials.oidcExchangeToken"]


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (f"[other]\n{KEYS}", "has no profile work"),
        ("[work]\naws_access_key_id = a", "has no aws_access_key_id and aws_secret_access_key in"),
        ("[work]\nrole_arn = r\nsource_profile = other", "has role_arn and source_profile in"),
        ("[work]\ncredential_process = /bin/canary", "has credential_process in profile work"),
        (f"[work]\nsso_session = s\n{KEYS}", "has sso_session in profile work"),
    ],
)
def test_a_profile_that_holds_no_keys_is_an_error(content: str, part: str) -> None:
    spec = "{region: r, credentialsFile: {profile: work, secretRef: {name: file}}}"
    result = compiled(with_file(spec, content), KEY)
    [message] = [item.message for item in result.errors if item.code is Code.INVALID_CREDENTIAL]
    assert part in message
    assert "canary" not in message


@pytest.mark.parametrize(
    ("text", "path", "part"),
    [
        (RESOURCES, "spec.schema.name", "needs a BackendSecurityPolicy with GCPCredentials"),
        (
            azure(SECRET.replace("name: oidc", "name: none")),
            "spec.azureCredentials.clientSecretRef",
            "Secret default/none not found",
        ),
        (
            azure(SECRET.replace("name: oidc", "name: key")),
            "spec.azureCredentials.clientSecretRef",
            "no value for the key client-secret",
        ),
        (
            aws(ROLE.replace("{name: oidc}", "{name: none}")),
            "spec.awsCredentials.oidcExchangeToken.oidc.clientSecret",
            "Secret default/none not found",
        ),
        (
            gcp(FEDERATION.replace("https://idp.example/t", "idp.example")),
            "spec.gcpCredentials.workloadIdentityFederationConfig.oidcExchangeToken.oidc.provider."
            "tokenEndpoint",
            "is no http(s) URL",
        ),
    ],
)
def test_what_is_missing_is_said(text: str, path: str, part: str) -> None:
    result = compiled(text, KEY)
    found = [(item.field_path, item.message) for item in result.errors]
    assert any(place == path and part in message for place, message in found), found


def test_what_is_for_browsers_has_no_effect() -> None:
    text = azure(ASSERTION.replace("scopes: [a, b]", "redirectURL: https://x.example"))
    result = compiled(text.replace("{issuer:", "{authorizationEndpoint: x, issuer:"), KEY)
    path = "spec.azureCredentials.oidcExchangeToken.oidc"
    found = {item.field_path for item in result.diagnostics if item.code is Code.NO_EFFECT}
    assert found == {f"{path}.redirectURL", f"{path}.provider.authorizationEndpoint"}
