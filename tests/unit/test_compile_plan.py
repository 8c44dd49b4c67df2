"""From YAML to a plan."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from aigw.api.secret_sources import Environment
from aigw.compile.compiler import Compiled
from aigw.compile.expressions import is_log_condition, is_regular_expression, unknown_operator
from aigw.compile.hosts import intersect
from aigw.errors import Code, Severity
from aigw.plan import (
    AddressKind,
    AuthType,
    AwsKeys,
    BodyMutation,
    Endpoint,
    HeaderMutation,
    Plan,
    Rule,
    Timeouts,
    Tls,
)
from beds.documents import Document, compile_documents, faultless
from beds.resources import resource

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*/*.yaml"))
AIGW = "aigateway.envoyproxy.io/v1beta1"
EG = "gateway.envoyproxy.io/v1alpha1"
GW = "gateway.networking.k8s.io/v1"


def gateway(**spec: Any) -> Document:  # noqa: ANN401
    """A Gateway with one listener."""
    listeners = [{"name": "http", "port": 1975, "protocol": "HTTP"}]
    members = {"gatewayClassName": "c", "listeners": listeners, **spec}
    return resource(GW, "Gateway", "ai", **members)


def route(*rules: Document, name: str = "chat", **spec: Any) -> Document:  # noqa: ANN401
    """A route on the Gateway."""
    members = {"parentRefs": [{"name": "ai"}], "rules": list(rules), **spec}
    return resource(AIGW, "AIGatewayRoute", name, **members)


def rule(*refs: Document, model: str = "m", **members: Any) -> Document:  # noqa: ANN401
    """A rule for one model."""
    headers = [{"name": "x-ai-eg-model", "value": model}]
    return {"matches": [{"headers": headers}], "backendRefs": list(refs), **members}


def backend(name: str, schema: str = "OpenAI", **spec: Any) -> list[Document]:  # noqa: ANN401
    """An AIServiceBackend and its Backend."""
    ref = {"group": "gateway.envoyproxy.io", "kind": "Backend", "name": name}
    endpoint = {"fqdn": {"hostname": f"{name}.example", "port": 443}}
    return [
        resource(AIGW, "AIServiceBackend", name, schema={"name": schema}, backendRef=ref, **spec),
        resource(EG, "Backend", name, endpoints=[endpoint]),
    ]


def policy(target: str, kind: str = "APIKey", **spec: Any) -> Document:  # noqa: ANN401
    """A BackendSecurityPolicy."""
    ref = {"group": "aigateway.envoyproxy.io", "kind": "AIServiceBackend", "name": target}
    return resource(
        AIGW, "BackendSecurityPolicy", f"{target}-key", type=kind, targetRefs=[ref], **spec
    )


def secret(name: str, **values: str) -> Document:
    """A Secret."""
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values}


def compiled(*documents: Document, variables: Mapping[str, str] | None = None) -> Compiled:
    """Compiles documents."""
    environment = Environment(variables or {}, lambda path: Path(path).read_text("utf-8"))
    return compile_documents(documents, environment)


def plan_of(*documents: Document) -> Plan:
    """The plan of documents without findings."""
    return faultless(compiled(*documents))


def only_rule(*documents: Document) -> Rule:
    """The one rule of documents without findings."""
    (found,) = plan_of(*documents).rules.values()
    return found


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_every_example_compiles_without_findings(path: Path) -> None:
    names = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    environment = Environment(dict.fromkeys(names, "value"), os.fspath)
    assert faultless(compile_documents(path.read_text("utf-8"), environment)).backends


def test_a_backend_gets_everything_that_an_attempt_needs() -> None:
    plan = plan_of(
        gateway(),
        route(rule({"name": "openai", "modelNameOverride": "gpt"})),
        *backend("openai"),
        policy("openai", apiKey={"secretRef": {"name": "s"}}),
        secret("s", apiKey=" key\n"),
        resource(
            GW,
            "BackendTLSPolicy",
            "t",
            targetRefs=[{"group": "gateway.envoyproxy.io", "kind": "Backend", "name": "openai"}],
            validation={"hostname": "tls.example", "wellKnownCACertificates": "System"},
        ),
    )
    (found,) = plan.backends.values()
    assert found.name == "default/openai/route/chat/rule/0/ref/0"
    assert (found.backend, found.route) == ("default/openai", "default/chat")
    assert found.endpoints == (Endpoint("openai.example", 443, "openai.example", AddressKind.DNS),)
    assert found.host == "openai.example"
    assert found.tls == Tls("tls.example")
    assert found.model_name_override == "gpt"
    assert found.auth is not None
    assert (found.auth.type, found.auth.credential) == (AuthType.API_KEY, "default/openai-key")
    assert found.schema.prefix == "v1"


@pytest.mark.parametrize(
    ("schema", "field"),
    [
        ({"name": "OpenAI", "prefix": "v1 beta"}, "prefix"),
        ({"name": "OpenAI", "prefix": "v1\n"}, "prefix"),
        ({"name": "Anthropic", "prefix": "v1?key=x"}, "prefix"),
        ({"name": "Anthropic", "prefix": "v1#x"}, "prefix"),
        ({"name": "OpenAI", "prefix": "v\u00e4"}, "prefix"),
        ({"name": "OpenAI", "prefix": "v1%2"}, "prefix"),
        ({"name": "OpenAI", "prefix": "v1\\x"}, "prefix"),
        ({"name": "Cohere", "version": "v2 "}, "version"),
    ],
)
def test_a_prefix_that_no_path_can_have_is_an_error(schema: dict[str, str], field: str) -> None:
    bad, endpoint = backend("bad")
    bad["spec"]["schema"] = schema
    rules = (rule({"name": "bad"}), rule({"name": "good"}, model="n"))
    result = compiled(gateway(), route(*rules), bad, endpoint, *backend("good"))
    (finding,) = result.errors
    assert str(finding.resource) == "AIServiceBackend default/bad"
    assert finding.field_path == f"spec.schema.{field}"
    assert result.plan is not None
    assert {found.backend for found in result.plan.backends.values()} == {"default/good"}


@pytest.mark.parametrize("prefix", ["v1beta/openai", "/openai/v1/", "/", "a%20b/c:d,e@f~", "v1"])
def test_a_prefix_is_a_path(prefix: str) -> None:
    documents = backend("a")
    documents[0]["spec"]["schema"]["prefix"] = prefix
    (found,) = plan_of(gateway(), route(rule({"name": "a"})), *documents).backends.values()
    assert found.schema.prefix == prefix


def test_secrets_are_in_no_representation_of_a_plan() -> None:
    plan = plan_of(
        gateway(),
        route(rule({"name": "openai"})),
        *backend("openai"),
        policy("openai", apiKey={"secretRef": {"name": "s"}}),
        secret("s", apiKey="canary-key"),
    )
    assert plan.credentials
    assert "canary-key" not in repr(plan) + repr(list(plan.credentials.values()))


def test_aws_keys_come_from_the_chosen_profile() -> None:
    file = (
        "[default]\naws_access_key_id = A\naws_secret_access_key = B\n"
        "[profile other]\naws_access_key_id=C\naws_secret_access_key=D=\naws_session_token=E\n"
    )
    credentials = {"secretRef": {"name": "s"}, "profile": "other"}
    plan = plan_of(
        gateway(),
        route(rule({"name": "aws"})),
        *backend("aws", "AWSBedrock"),
        policy(
            "aws",
            "AWSCredentials",
            awsCredentials={"region": "eu-west-1", "credentialsFile": credentials},
        ),
        secret("s", credentials=file),
    )
    assert dict(plan.credentials) == {"default/aws-key": AwsKeys("C", "D=", "E")}
    (found,) = plan.backends.values()
    assert found.auth is not None
    assert found.auth.region == "eu-west-1"


def test_priorities_become_groups_without_gaps() -> None:
    found = only_rule(
        gateway(),
        route(rule({"name": "b", "priority": 7}, {"name": "a"}, {"name": "c", "priority": 7})),
        *backend("a"),
        *backend("b"),
        *backend("c"),
    )
    names = [[member.backend.split("/")[1] for member in group.members] for group in found.groups]
    assert names == [["a"], ["b", "c"]]


def test_weight_zero_takes_a_backend_out() -> None:
    plan = plan_of(
        gateway(),
        route(rule({"name": "a", "weight": 0}, {"name": "b"})),
        *backend("a"),
        *backend("b"),
    )
    assert [found.backend for found in plan.backends.values()] == ["default/b"]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({}, Timeouts(60_000)),
        ({"timeouts": {"request": "0s"}}, Timeouts(0)),
        ({"timeouts": {"request": "1m30s"}}, Timeouts(90_000)),
        ({"timeouts": {"backendRequest": "90s"}}, Timeouts(90_000, 90_000)),
        ({"streamIdleTimeout": "500ms"}, Timeouts(60_000, 0, 500)),
    ],
)
def test_timeouts_have_defaults_that_fit_together(
    written: dict[str, Any], expected: Timeouts
) -> None:
    found = only_rule(gateway(), route(rule({"name": "a"}, **written)), *backend("a"))
    assert found.timeouts == expected


def test_one_group_is_not_retried_by_default() -> None:
    assert only_rule(gateway(), route(rule({"name": "a"})), *backend("a")).retry is None


def test_several_groups_are_retried_once_each_and_never_after_a_broken_connection() -> None:
    retry = only_rule(
        gateway(),
        route(rule({"name": "a"}, {"name": "b", "priority": 1})),
        *backend("a"),
        *backend("b"),
    ).retry
    assert retry is not None
    assert retry.num_retries == 1
    assert "reset" not in retry.triggers
    assert {429, 503} <= set(retry.status_codes)


def test_a_limit_per_attempt_lets_the_next_group_answer() -> None:
    retry = only_rule(
        gateway(),
        route(rule({"name": "a"}, {"name": "b", "priority": 1}, streamIdleTimeout="5s")),
        *backend("a"),
        *backend("b"),
    ).retry
    assert retry is not None
    assert "reset" in retry.triggers


def traffic_policy(kind: str, name: str, retries: int, **target: str) -> Document:
    """A BackendTrafficPolicy."""
    ref = {"group": "gateway.networking.k8s.io", "kind": kind, "name": name, **target}
    identity = f"{kind}-{name}-{'-'.join(target.values())}".lower().strip("-")
    return resource(
        EG, "BackendTrafficPolicy", identity, targetRefs=[ref], retry={"numRetries": retries}
    )


def test_the_most_specific_traffic_policy_wins() -> None:
    documents = [
        gateway(),
        route(rule({"name": "a"}, name="special"), rule({"name": "a"}, model="n")),
        route(rule({"name": "a"}, model="o"), name="other"),
        *backend("a"),
        traffic_policy("Gateway", "ai", 1),
        traffic_policy("HTTPRoute", "chat", 2),
        traffic_policy("HTTPRoute", "chat", 3, sectionName="special"),
    ]
    retries = {
        name: found.retry.num_retries if found.retry else None
        for name, found in plan_of(*documents).rules.items()
    }
    assert retries == {
        "default/chat/rule/0": 3,
        "default/chat/rule/1": 2,
        "default/other/rule/0": 1,
    }


def test_matches_with_more_conditions_come_first() -> None:
    wide = {"backendRefs": [{"name": "a"}]}
    two = {"headers": [{"name": "x-ai-eg-model", "value": "m"}, {"name": "x-team", "value": "t"}]}
    narrow = {"backendRefs": [{"name": "a"}], "matches": [two]}
    plan = plan_of(gateway(), route(wide, rule({"name": "a"}), narrow), *backend("a"))
    order = [match.rule[-1] for match in plan.ports[0].listeners[0].virtual_hosts[0].matches]
    assert order == ["2", "1", "0"]


def test_routes_of_less_specific_hosts_follow_those_of_the_host() -> None:
    plan = plan_of(
        gateway(),
        route(rule({"name": "a"}), name="everywhere"),
        route(rule({"name": "a"}), name="scoped", hostnames=["*.example.com", "api.example.com"]),
        *backend("a"),
    )
    hosts = {
        host.hostname: [match.rule for match in host.matches]
        for host in plan.ports[0].listeners[0].virtual_hosts
    }
    assert list(hosts) == ["api.example.com", "*.example.com", "*"]
    assert hosts["api.example.com"] == ["default/scoped/rule/0"]
    assert hosts["*"] == ["default/everywhere/rule/0"]


@pytest.mark.parametrize(
    ("listener", "hostname", "expected"),
    [
        (None, "a.example", "a.example"),
        ("a.example", "*", "a.example"),
        ("*.example", "a.example", "a.example"),
        ("a.example", "*.example", "a.example"),
        ("*.example", "*.b.example", "*.b.example"),
        ("a.example", "b.example", None),
        ("*.example", "example", None),
    ],
)
def test_host_names_of_listener_and_route_are_intersected(
    listener: str | None, hostname: str, expected: str | None
) -> None:
    assert intersect(listener, hostname) == expected


def test_models_are_listed_once_and_only_where_they_can_be_used() -> None:
    plan = compiled(
        gateway(),
        route(
            rule({"name": "a"}, model="m1", modelsOwnedBy="me"),
            rule({"name": "a"}, model="m1"),
            rule({"name": "missing"}, model="m2"),
            {
                "backendRefs": [{"name": "a"}],
                "matches": [
                    {
                        "headers": [
                            {"name": "x-ai-eg-model", "value": "x.*", "type": "RegularExpression"}
                        ]
                    }
                ],
            },
        ),
        *backend("a"),
    ).plan
    assert plan is not None
    assert [
        (model.name, model.owned_by) for model in plan.gateways["default/ai"].models.everywhere
    ] == [("m1", "me")]


def test_a_rule_can_serve_its_models_without_listing_them() -> None:
    hidden = rule({"name": "a"}, model="h", excludeFromModelsEndpoint=True)
    plan = plan_of(gateway(), route(hidden, rule({"name": "a"}, model="m")), *backend("a"))
    assert [model.name for model in plan.gateways["default/ai"].models.everywhere] == ["m"]
    assert len(plan.ports[0].listeners[0].virtual_hosts[0].matches) == 2


def test_model_lists_are_scoped_by_host() -> None:
    scoped = route(rule({"name": "a"}, model="s"), name="scoped", hostnames=["a.example"])
    plan = plan_of(gateway(), route(rule({"name": "a"}, model="u")), scoped, *backend("a"))
    names = {
        host: [model.name for model in models]
        for host, models in plan.gateways["default/ai"].models.by_host.items()
    }
    assert names == {"a.example": ["u", "s"]}
    assert [model.name for model in plan.gateways["default/ai"].models.unscoped] == ["u"]


def test_the_date_of_a_model_is_kept_as_an_instant() -> None:
    created = {"modelsCreatedAt": "2025-02-03T05:05:06+01:00"}
    plan = plan_of(gateway(), route(rule({"name": "a"}, **created)), *backend("a"))
    (model,) = plan.gateways["default/ai"].models.everywhere
    assert (model.created, model.created_at) == (1738555506, "2025-02-03T04:05:06Z")


def test_route_mutations_win_over_backend_mutations() -> None:
    base: Document = {
        "headerMutation": {
            "set": [{"name": "X-A", "value": "1"}, {"name": "x-b", "value": "1"}],
            "remove": ["Cookie", "x-c"],
        },
        "bodyMutation": {"set": [{"path": "a", "value": "1"}], "remove": ["b"]},
    }
    override = {
        "headerMutation": {
            "set": [{"name": "x-b", "value": "2"}, {"name": "x-c", "value": "2"}],
            "remove": ["x-a"],
        },
        "bodyMutation": {"set": [{"path": "b", "value": "2"}], "remove": ["a"]},
    }
    plan = plan_of(gateway(), route(rule({"name": "a", **override})), *backend("a", **base))
    (found,) = plan.backends.values()
    assert found.header_mutation == HeaderMutation(
        set=(("x-b", "2"), ("x-c", "2")), remove=("cookie", "x-c", "x-a")
    )
    assert found.body_mutation == BodyMutation(set=(("b", "2"),), remove=("b", "a"))


def test_the_buffer_limit_of_the_gateway_is_the_body_limit() -> None:
    ref = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "ai"}
    limit = resource(
        EG, "ClientTrafficPolicy", "p", targetRefs=[ref], connection={"bufferLimit": "8Mi"}
    )
    plan = plan_of(gateway(), limit)
    assert plan.gateways["default/ai"].limits.request_body_bytes == 8 * 1024 * 1024


def test_listeners_on_one_port_are_merged() -> None:
    listeners = [
        {"name": "a", "port": 80, "protocol": "HTTP", "hostname": "a.example"},
        {"name": "b", "port": 80, "protocol": "HTTP", "hostname": "b.example"},
    ]
    only_b = route(rule({"name": "x"}), parentRefs=[{"name": "ai", "sectionName": "b"}])
    plan = plan_of(gateway(listeners=listeners), only_b, *backend("x"))
    (listener,) = plan.ports[0].listeners
    hosts = {host.hostname: len(host.matches) for host in listener.virtual_hosts}
    assert hosts == {"a.example": 0, "b.example": 1}


def test_an_ip_endpoint_without_a_name_is_called_by_its_address() -> None:
    server = resource(EG, "Backend", "a", endpoints=[{"ip": {"address": "::1", "port": 80}}])
    plan = plan_of(gateway(), route(rule({"name": "a"})), backend("a")[0], server)
    (found,) = plan.backends.values()
    assert (found.host, found.endpoints[0].kind) == ("[::1]", AddressKind.IP)


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        (".*", True),
        (r"gpt-[45](\.\d)?(-mini)?", True),
        ("(?i)claude-.*", True),
        ("[[:alpha:]]+", True),
        ("(?=x)", False),
        (r"(a)\1", False),
        ("(", False),
        ("a{1001}", False),
        ("(x{1,50}|y){1,300}", False),
        (r"(a{30}\)){50}", False),
        ("(a{2})b{501}", True),
        ("[(]{3}(a{10}){100}", True),
        ("(?x) a", False),
        ("[a-z&&[^b]]", False),
        ("a**", False),
        ("a*?+", False),
        ("(?:a*)+b{2}?c??", True),
        (r"\**", True),
        (r"\x{ff}\p{Lu}\P{Mn}\pN", True),
        (r"\x{100}", False),
        (r"\p{Letter}", False),
        (r"\p{Cn}", False),
    ],
)
def test_regular_expressions_are_checked_as_re2(text: str, valid: bool) -> None:
    assert is_regular_expression(text) is valid


@pytest.mark.parametrize(
    ("template", "bad"),
    [
        ("%START_TIME% %REQ(X-A?:PATH):10% 100%%", None),
        ("%DYNAMIC_METADATA(io.envoy.ai_gateway:total_tokens)%", None),
        ("%START_TIME(%s)%", "%START_TIME(%s)%"),
        ("%NOPE%", "%NOPE%"),
        ("50%", "%"),
        ("%REQ%", "%REQ%"),
    ],
)
def test_log_formats_are_checked(template: str, bad: str | None) -> None:
    assert unknown_operator(template) == bad


def test_log_conditions_are_comparisons_of_headers() -> None:
    assert is_log_condition("request.headers['x-ai-eg-model'] != ''")
    assert not is_log_condition("request.headers['a'] != '' || true")


def test_findings_without_a_gateway_say_so() -> None:
    result = compiled(*backend("a"))
    assert result.plan is None
    assert [(item.code, item.severity) for item in result.diagnostics] == [
        (Code.NOT_FOUND, Severity.ERROR)
    ]
