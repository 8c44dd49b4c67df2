"""AI routes on a real Envoy Gateway: what clients and providers see."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import openai
import pytest
import yaml

from aigw.extension import Served, Settings, rewrite
from aigw.providers import FakeProvider, Match, Reply
from beds import recorded_xds
from beds.provider import ProviderBed
from beds.resources import (
    GROUP,
    BackendSpec,
    anthropic_key,
    api_key,
    gateway_yaml,
    resource,
    rule,
)
from kube.bed.process import BedError, wait
from kube.extension_bed import run_extension, settings_of_envoy_gateway

if TYPE_CHECKING:
    from collections.abc import Iterator

    from beds.ports import FreePorts
    from beds.provider import LoopThread
    from kube.bed.api_server import ApiServer
    from kube.bed.cluster import Cluster
    from kube.bed.envoy_gateway import EnvoyGateways
    from kube.extension_bed import ExtensionBed

EG = "gateway.envoyproxy.io/v1alpha1"
GW = "gateway.networking.k8s.io"
KEY, CLAUDE_KEY, CLIENT_KEY = "canary-key-one", "canary-key-claude", "canary-key-client"
QUESTION: dict[str, Any] = {"messages": [{"role": "user", "content": "When is high tide?"}]}
PAGE = "https://pages.example"
HOST = "any.test"
LARGE = "x" * 3_000_000


def route(name: str, host: str, *rules: dict[str, Any]) -> dict[str, Any]:
    """A route of a host."""
    spec = {"parentRefs": [{"name": "gw"}], "hostnames": [host], "rules": list(rules)}
    return resource(f"{GROUP}/v1beta1", "AIGatewayRoute", name, **spec)


def keys_for(name: str) -> list[dict[str, Any]]:
    """A policy for a route: clients need a key."""
    target = {"group": GW, "kind": "HTTPRoute", "name": name}
    keys = {"credentialRefs": [{"name": name}], "extractFrom": [{"headers": ["x-client-key"]}]}
    policy = resource(EG, "SecurityPolicy", name, targetRefs=[target], apiKeyAuth=keys)
    return [policy, {**resource("v1", "Secret", name), "stringData": {"client": CLIENT_KEY}}]


def pages_may_call(name: str) -> dict[str, Any]:
    """A policy for a route: web pages may call."""
    target = {"group": GW, "kind": "HTTPRoute", "name": name}
    cors = {"allowOrigins": [PAGE], "allowMethods": ["POST"], "allowHeaders": ["content-type"]}
    return resource(EG, "SecurityPolicy", name, targetRefs=[target], cors=cors)


def documents(port: int, one: int, two: int, namespace: str) -> list[dict[str, Any]]:
    """A Gateway with a route for everybody, and two hosts whose routes differ in their policies."""
    named = {"fqdn": {"hostname": "localhost", "port": one}}
    backends = [
        BackendSpec("one", one, auth=api_key("one", KEY)),
        BackendSpec("two", two),
        BackendSpec("claude", two, {"name": "Anthropic"}, anthropic_key("claude", CLAUDE_KEY)),
        BackendSpec("named", one, auth=api_key("named", KEY), endpoint=named),
        BackendSpec("dead", 9),
        BackendSpec("gone", 9, endpoint={"fqdn": {"hostname": "localhost", "port": 9}}),
    ]
    both = [{"name": "one", "priority": 0}, {"name": "two", "priority": 1}]
    rules = [
        rule("m", "one"),
        rule("claude", "claude"),
        rule("named", "named"),
        rule("both", *both),
        rule("dead", {"name": "dead", "priority": 0}, {"name": "claude", "priority": 1}),
    ]
    rules += [
        rule("mixed", {"name": "one", "priority": 1}, {"name": "gone", "priority": 0}),
        rule("ordered", {"name": "two", "priority": 1}, {"name": "named", "priority": 0}),
    ]
    more = [
        route("a-guarded", "guarded.test", rule("guarded", "two")),
        *keys_for("a-guarded"),
        route("pages", "pages.test", rule("m", "one")),
        pages_may_call("pages"),
        route("b-open", "guarded.test", rule("open", "two")),
        route("c-open", "lock.test", rule("open", "two")),
        route("d-guarded", "lock.test", rule("guarded", "two")),
    ]
    text = gateway_yaml(port, backends, rules, *more)
    found = list(yaml.safe_load_all(text.replace("gatewayClassName: aigw", "gatewayClassName: eg")))
    for item in found:
        if item["kind"] == "AIGatewayRoute":
            item["spec"].setdefault("hostnames", [HOST])
    return in_namespace(found, namespace)


def in_namespace(found: list[dict[str, Any]], namespace: str) -> list[dict[str, Any]]:
    """The same documents in a namespace."""
    for item in found:
        item["metadata"]["namespace"] = namespace
    return found


@pytest.fixture(scope="module")
def bed(
    tmp_path_factory: pytest.TempPathFactory,
    free_port: FreePorts,
    api_server: ApiServer,
    envoy_gateways: EnvoyGateways,
) -> Iterator[ExtensionBed]:
    home = api_server.folder / "home"
    with run_extension(tmp_path_factory.mktemp("x"), free_port(), home) as running:
        envoy_gateways(settings_of_envoy_gateway(running.port))
        yield running


@pytest.fixture(scope="module")
def providers(loop_thread: LoopThread) -> Iterator[tuple[ProviderBed, ProviderBed]]:
    one, two = (ProviderBed(loop_thread, FakeProvider()) for _ in range(2))
    yield one, two
    one.stop()
    two.stop()


@pytest.fixture(scope="module")
def url(
    cluster: Cluster,
    bed: ExtensionBed,
    providers: tuple[ProviderBed, ProviderBed],
    free_port: FreePorts,
) -> Iterator[str]:
    port, namespace = free_port(), cluster.new_namespace()
    one, two = (provider.port for provider in providers)
    found = documents(port, one, two, namespace)
    bed.apply(cluster, found, tuple(in_namespace(keys_for("d-guarded"), namespace)))
    address = f"http://127.0.0.1:{port}"
    expected = {("m", HOST, ""): 200, ("guarded", "guarded.test", ""): 401}
    expected["open", "lock.test", ""] = 200
    seen: dict[tuple[str, str, str], int] = {}

    def is_ready() -> bool:
        seen.update({asked: ask(address, *asked) for asked in expected})
        return seen == expected

    try:
        wait(is_ready, "answers of all hosts", 30)
    except BedError:
        pytest.fail(f"not served as expected: {seen}")
    yield address
    cluster.delete({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})


def ask(url: str, model: str, host: str = HOST, key: str = "") -> int:
    """The status of a chat; 0 while nobody listens."""
    try:
        return send(url, model, host, key).status_code
    except httpx.TransportError:
        return 0


def send(
    url: str,
    model: str,
    host: str = HOST,
    key: str = "",
    **more: Any,  # noqa: ANN401 - members of the body
) -> httpx.Response:
    """A chat."""
    headers = {"host": host, **({"x-client-key": key} if key else {}), **more.pop("headers", {})}
    body = {"model": model, **QUESTION, **more}
    return httpx.post(f"{url}/v1/chat/completions", json=body, headers=headers, timeout=20)


def client(url: str) -> openai.OpenAI:
    """The official library."""
    return openai.OpenAI(
        base_url=f"{url}/v1", api_key="of-the-client", max_retries=0, default_headers={"host": HOST}
    )


def test_the_official_library_gets_an_answer(
    url: str, providers: tuple[ProviderBed, ProviderBed]
) -> None:
    with client(url) as api:
        reply = api.chat.completions.create(model="m", **QUESTION)
    assert reply.choices[0].message.content
    got = providers[0].received[-1]
    assert got.header_values("authorization") == [f"Bearer {KEY}"]
    internal = (b"x-ai-eg-", b"x-aigw-", b"x-forwarded-", b"x-envoy-", b"x-request-id")
    assert not [name for name, _ in got.headers if name.lower().startswith(internal)]


def test_streams_arrive_event_by_event(url: str) -> None:
    with client(url) as api:
        events = list(api.chat.completions.create(model="m", stream=True, **QUESTION))
    assert len(events) > 1


def test_another_schema_is_translated(url: str, providers: tuple[ProviderBed, ProviderBed]) -> None:
    with client(url) as api:
        reply = api.chat.completions.create(model="claude", max_tokens=100, **QUESTION)
    assert reply.choices[0].message.content
    got = providers[1].received[-1]
    assert got.path == "/v1/messages"
    assert got.header_values("x-api-key") == [CLAUDE_KEY]


def test_a_provider_by_name_gets_its_own_host(
    url: str, providers: tuple[ProviderBed, ProviderBed]
) -> None:
    assert ask(url, "named") == 200
    (host,) = providers[0].received[-1].header_values("host")
    assert host.partition(":")[0] == "localhost"


def test_a_refused_connection_moves_on_to_the_next_priority(
    url: str, providers: tuple[ProviderBed, ProviderBed]
) -> None:
    assert {ask(url, "dead") for _ in range(10)} == {200}
    assert providers[1].received[-1].path == "/v1/messages"


def test_a_failing_provider_is_left_for_the_next_with_nothing_of_its_own(
    url: str, providers: tuple[ProviderBed, ProviderBed]
) -> None:
    one, two = providers
    one.on(Reply(503, (), b"canary-of-the-first"), match=Match(("x-case", "fail")))
    reply = send(url, "both", headers={"x-case": "fail"})
    assert reply.status_code == 200
    assert "canary-of-the-first" not in reply.text
    assert not two.received[-1].header_values("authorization")


def test_priorities_hold_among_names_and_addresses(
    url: str, providers: tuple[ProviderBed, ProviderBed]
) -> None:
    one, two = providers
    before = len(one.received), len(two.received)
    assert {ask(url, "mixed") for _ in range(5)} == {200}
    assert {ask(url, "ordered") for _ in range(5)} == {200}
    assert (len(one.received), len(two.received)) == (before[0] + 10, before[1])
    assert one.received[-1].header_values("authorization") == [f"Bearer {KEY}"]
    one.on(Reply(503, (), b"canary-of-the-first"), match=Match(("x-case", "fail in order")))
    reply = send(url, "ordered", headers={"x-case": "fail in order"})
    assert reply.status_code == 200
    assert not two.received[-1].header_values("authorization")


def test_an_unknown_model_and_no_model_are_json_errors(url: str) -> None:
    unknown = send(url, "nobody")
    assert unknown.status_code == 404
    assert unknown.json()["error"]["type"] == "NotFound"
    assert "models on offer" in unknown.json()["error"]["message"]
    assert unknown.headers["content-type"] == "application/json"
    nameless = httpx.post(
        f"{url}/v1/chat/completions", json={"messages": []}, headers={"host": HOST}
    )
    assert nameless.status_code == 400
    assert nameless.json()["type"] == "error"


def test_models_are_listed(url: str) -> None:
    with client(url) as api:
        listed = {model.id for model in api.models.list()}
    assert {"m", "claude", "both"} <= listed


def test_large_bodies_pass_in_both_directions(
    url: str, providers: tuple[ProviderBed, ProviderBed]
) -> None:
    body = {"choices": [], "model": "m", "padding": LARGE}
    large = Reply(200, (("content-type", "application/json"),), json.dumps(body).encode())
    providers[0].on(large, match=Match(("x-case", "large")))
    reply = send(url, "m", headers={"x-case": "large"}, padding=LARGE)
    assert reply.status_code == 200
    assert reply.json()["padding"] == LARGE
    assert json.loads(providers[0].received[-1].body)["padding"] == LARGE


def test_clients_cannot_choose_a_route_by_internal_headers(
    url: str, providers: tuple[ProviderBed, ProviderBed]
) -> None:
    before = len(providers[1].received)
    forged = {"x-ai-eg-model": "guarded", "x-gateway-destination-endpoint": "127.0.0.1:9"}
    assert send(url, "guarded", "guarded.test", headers=forged).status_code == 401
    assert send(url, "open", "guarded.test", headers=forged).status_code == 401
    assert send(url, "nobody", headers={"x-ai-eg-model": "m"}).status_code == 404
    assert len(providers[1].received) == before


def test_routes_with_other_policies_behind_one_host_are_not_served(
    url: str, providers: tuple[ProviderBed, ProviderBed]
) -> None:
    assert ask(url, "guarded", "guarded.test", CLIENT_KEY) == 200
    assert not providers[1].received[-1].header_values("x-client-key")
    assert ask(url, "guarded", "guarded.test", "wrong") == 401
    assert ask(url, "open", "guarded.test") == 401
    assert ask(url, "open", "guarded.test", CLIENT_KEY) == 503


def test_a_policy_that_only_envoy_gateway_knows_is_a_lock_as_well(url: str) -> None:
    """The first match is on the open route; the second has a policy, which nobody checked."""
    assert ask(url, "open", "lock.test") == 200
    reply = send(url, "guarded", "lock.test")
    assert reply.status_code == 403
    assert reply.json()["type"] == "error"
    assert ask(url, "guarded", "lock.test", CLIENT_KEY) == 403


def test_web_pages_may_call_where_a_policy_lets_them(url: str) -> None:
    sent = {"host": "pages.test", "origin": PAGE, "access-control-request-method": "POST"}
    preflight = httpx.options(f"{url}/v1/chat/completions", headers=sent)
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == PAGE
    reply = send(url, "m", "pages.test", headers={"origin": PAGE})
    assert reply.status_code == 200
    assert reply.headers["access-control-allow-origin"] == PAGE
    nameless = httpx.post(f"{url}/v1/chat/completions", json={}, headers={"host": "pages.test"})
    assert nameless.status_code == 400
    assert nameless.json()["type"] == "error"
    assert send(url, "nobody", "pages.test").status_code == 404


def test_errors_of_envoy_are_json(url: str) -> None:
    reply = send(url, "guarded", "guarded.test")
    assert reply.status_code == 401
    assert reply.json()["type"] == "error"


def test_a_second_run_over_the_same_translation_changes_nothing(
    bed: ExtensionBed, url: str
) -> None:
    del url
    assert bed.plan is not None
    namespace = next(iter(bed.plan.rules)).partition("/")[0]
    recorded = recorded_xds.collected(list(bed.asked), namespace)
    served, settings = Served(bed.plan), Settings()
    once = rewrite(recorded_xds.bundle(recorded), served, settings).bundle
    assert once != recorded_xds.bundle(recorded)
    assert rewrite(once, served, settings).bundle == once


def test_nothing_secret_is_in_the_configuration_of_envoy(bed: ExtensionBed, url: str) -> None:
    del url
    dump = bed.admin("/config_dump?include_eds")
    assert "per_route_rule_backend_name" in dump
    assert KEY not in dump
    assert CLAUDE_KEY not in dump
    assert CLIENT_KEY not in dump
