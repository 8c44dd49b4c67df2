"""The documents for the core, and formats of access logs."""

import json
from dataclasses import replace

import pytest

from aigw.plan import (
    AddressKind,
    ApiKey,
    Auth,
    AuthType,
    AwsKeys,
    Backend,
    BackendGroup,
    BodyMutation,
    Cost,
    CostType,
    Endpoint,
    Gateway,
    HeaderMutation,
    Listener,
    Member,
    Model,
    ModelLists,
    Plan,
    Port,
    Rule,
    Schema,
    Timeouts,
)
from aigw.render.envoy import (
    log_arguments,
    render_credentials,
    render_filter_config,
    system_ca_file,
)
from aigw.render.envoy.access_log import rewrite_condition, rewrite_operators
from aigw.render.envoy.local_replies import (
    MAX_LISTED_BYTES,
    Shape,
    error_body,
    unknown_model_message,
)

NAME = "default/openai/route/chat/rule/0/ref/0"
BACKEND = Backend(
    name=NAME,
    backend="default/openai",
    route="default/chat",
    schema=Schema("OpenAI", "v1"),
    endpoints=(Endpoint("api.openai.com", 443, "api.openai.com", AddressKind.DNS),),
    host="api.openai.com",
    model_name_override="gpt-x",
    auth=Auth(AuthType.API_KEY, "default/openai-apikey", "us-east-1"),
    header_mutation=HeaderMutation((("x-a", "1"),), ("cookie",)),
    body_mutation=BodyMutation((("a.b", "1"),), ("x",)),
    costs=(Cost("tokens", CostType.TOTAL),),
)
MODEL = Model("m", "me", 1738555506, "2025-02-03T04:05:06Z")
PLAN = Plan(
    gateways={"default/ai": Gateway(ModelLists((MODEL,), {"a.example": (MODEL,)}, (MODEL,)))},
    ports=(Port(1975, "default/ai", (Listener("default/ai/http", ()),)),),
    rules={
        "default/chat/rule/0": Rule(
            "default/chat/rule/0",
            "default/chat",
            (BackendGroup((Member(NAME, 1),)),),
            Timeouts(60_000),
        )
    },
    backends={NAME: BACKEND},
    credentials={
        "default/openai-apikey": ApiKey(AuthType.API_KEY, "canary-key"),
        "default/aws": AwsKeys("A", "canary-secret"),
    },
)


def changed(**members: object) -> Plan:
    """The plan with members of its backend replaced."""
    return replace(PLAN, backends={NAME: replace(BACKEND, **members)})  # type: ignore[arg-type]


def backend_id(plan: Plan) -> str:
    """Id of the only backend."""
    backends = render_filter_config(plan)["backends"]
    assert isinstance(backends, dict)
    (found,) = backends
    return str(found)


def test_the_document_has_the_shape_that_the_core_reads() -> None:
    document = render_filter_config(PLAN)
    model = {
        "name": "m",
        "owned_by": "me",
        "created": 1738555506,
        "created_at": "2025-02-03T04:05:06Z",
    }
    assert document["version"] == 1
    assert document["gateways"] == {
        "default/ai": {
            "limits": {"request_body_bytes": 52428800, "response_body_bytes": 52428800},
            "endpoint_prefixes": {
                "root": "/",
                "openai": "/",
                "cohere": "/cohere",
                "anthropic": "/anthropic",
            },
            "credential_headers": [],
            "identity": {},
            "models": [model],
            "models_by_host": {"a.example": [model]},
            "unscoped_models": [model],
        }
    }
    assert document["backends"] == {
        backend_id(PLAN): {
            "name": NAME,
            "backend": "default/openai",
            "route": "default/chat",
            "schema": {"name": "OpenAI", "prefix": "v1", "version": ""},
            "host": "api.openai.com",
            "model_name_override": "gpt-x",
            "auth": {
                "type": "APIKey",
                "credential": "default/openai-apikey",
                "region": "us-east-1",
            },
            "header_mutation": {"set": [{"name": "x-a", "value": "1"}], "remove": ["cookie"]},
            "body_mutation": {"set": [{"path": "a.b", "value": "1"}], "remove": ["x"]},
            "costs": [{"metadata_key": "tokens", "type": "TotalToken"}],
            "force_usage": True,
        }
    }


def test_an_id_is_the_name_and_a_hash_of_the_content() -> None:
    name, _, digest = backend_id(PLAN).rpartition("@")
    assert name == NAME
    assert len(digest) == 8
    assert int(digest, 16) >= 0
    assert backend_id(changed(model_name_override="other")) != backend_id(PLAN)


def test_a_new_key_changes_neither_id_nor_generation() -> None:
    rotated = replace(PLAN, credentials={"default/openai-apikey": ApiKey(AuthType.API_KEY, "new")})
    assert render_filter_config(rotated) == render_filter_config(PLAN)


def test_the_generation_follows_the_content() -> None:
    generation = render_filter_config(PLAN)["generation"]
    assert generation == render_filter_config(PLAN)["generation"]
    assert generation != render_filter_config(changed(host="b.example"))["generation"]


def test_keys_are_only_in_the_credentials_document() -> None:
    assert "canary" not in json.dumps(render_filter_config(PLAN))
    assert render_credentials(PLAN) == {
        "version": 1,
        "credentials": {
            "default/openai-apikey": {"type": "APIKey", "key": "canary-key"},
            "default/aws": {
                "type": "AWSCredentials",
                "access_key_id": "A",
                "secret_access_key": "canary-secret",
                "session_token": None,
            },
        },
    }


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("%REQ(X-AI-EG-MODEL)%", "%DYNAMIC_METADATA(io.envoy.ai_gateway:original_model)%"),
        ("%REQ(x-ai-eg-model):9%", "%DYNAMIC_METADATA(io.envoy.ai_gateway:original_model):9%"),
        (
            "a %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% b",
            "a %DYNAMIC_METADATA(io.envoy.ai_gateway:original_path)% b",
        ),
        (
            "%REQ(X-AI-EG-ORIGINAL-PATH)%",
            "%DYNAMIC_METADATA(io.envoy.ai_gateway:original_path)%",
        ),
        ("%REQ(X-TEAM?X-OTHER)% %REQ(:PATH)%", "%REQ(X-TEAM?X-OTHER)% %REQ(:PATH)%"),
    ],
)
def test_operators_on_internal_headers_read_metadata_instead(template: str, expected: str) -> None:
    assert rewrite_operators(template) == expected


def test_conditions_on_internal_headers_read_metadata_instead() -> None:
    assert rewrite_condition("request.headers['x-ai-eg-model'] != ''") == (
        "metadata.filter_metadata['io.envoy.ai_gateway']['original_model'] != ''"
    )


def test_the_list_of_models_on_offer_is_bounded() -> None:
    message = unknown_model_message([f"model-{number}" for number in range(10_000)])
    assert len(message) < MAX_LISTED_BYTES + 200
    assert "model-0, model-1" in message
    assert message.endswith(" more")


def test_cohere_clients_find_the_message_at_the_top() -> None:
    assert json.loads(error_body(404, "NotFound", "m", Shape.COHERE))["message"] == "m"
    assert "message" not in json.loads(error_body(404, "NotFound", "m"))


def test_log_levels_become_arguments_and_unknown_components_do_not() -> None:
    assert log_arguments({}) == ["-l", "warn"]
    assert log_arguments({"default": "error", "http": "debug", "nope": "debug"}) == [
        "-l",
        "error",
        "--component-log-level",
        "http:debug",
    ]


def test_the_chosen_bundle_of_authorities_wins_if_it_exists() -> None:
    usual = "/etc/ssl/certs/ca-certificates.crt"
    assert system_ca_file({"SSL_CERT_FILE": "/mine"}, {"/mine", usual}.__contains__) == "/mine"
    assert system_ca_file({"SSL_CERT_FILE": "/mine"}, {usual}.__contains__) == usual
    assert system_ca_file({}, {"/nothing"}.__contains__) == ""
