"""All of it in a cluster: what a team applies is what its clients and providers see."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

import openai
import pytest
import yaml

from aigw.providers import FakeProvider
from beds.provider import ProviderBed
from beds.resources import BackendSpec, anthropic_key, api_key, gateway_yaml, rule
from kube.bed.process import Program
from kube.extension_bed import settings_of_envoy_gateway

if TYPE_CHECKING:
    from collections.abc import Iterator

    from beds.ports import FreePorts
    from beds.provider import LoopThread
    from kube.bed.api_server import ApiServer
    from kube.bed.cluster import Cluster
    from kube.bed.envoy_gateway import EnvoyGateways

Json = dict[str, Any]
NAMESPACE = "team"
KEY, NEW_KEY, CLAUDE_KEY = "canary-key-one", "canary-key-two", "canary-key-claude"
QUESTION: Json = {"messages": [{"role": "user", "content": "When is high tide?"}]}


@pytest.fixture(scope="module")
def programs(
    tmp_path_factory: pytest.TempPathFactory,
    free_port: FreePorts,
    api_server: ApiServer,
    envoy_gateways: EnvoyGateways,
) -> Iterator[Program]:
    """Controller, Envoy Gateway, and the sidecar of the one Gateway."""
    folder = tmp_path_factory.mktemp("cluster")
    port, stream, core = free_port(), f"unix:{folder}/stream.sock", folder / "core.sock"
    aigw = [sys.executable, "-m", "aigw"]
    with contextlib.ExitStack() as stack:
        controller = Program.start(
            "aigw-controller",
            [
                *(*aigw, "controller", "--namespace=default"),
                *("--kubeconfig", api_server.kubeconfig, "--webhook-port=127.0.0.1:0"),
                *(f"--port=127.0.0.1:{port}", f"--stream-port={stream}"),
                f"--extproc-socket={core}",
            ],
            folder,
        )
        stack.callback(controller.stop)
        sidecar = Program.start(
            "sidecar",
            [
                *(sys.executable, "-m", "aigw.extproc", "--runtime", folder / "run"),
                *("--socket", core, f"--gateway={NAMESPACE}/gw", f"--controller={stream}"),
            ],
            folder,
        )
        stack.callback(sidecar.stop)
        envoy_gateways(settings_of_envoy_gateway(port))
        yield controller


@pytest.fixture(scope="module")
def provider(loop_thread: LoopThread) -> Iterator[ProviderBed]:
    """Of every schema."""
    bed = ProviderBed(loop_thread, FakeProvider())
    yield bed
    bed.stop()


@pytest.fixture(scope="module")
def url(
    cluster: Cluster, programs: Program, provider: ProviderBed, free_port: FreePorts
) -> Iterator[str]:
    """Of the Gateway, once it serves."""
    cluster.new_namespace(NAMESPACE)
    port = free_port()
    load(cluster, documents(port, provider.port))
    address = f"http://127.0.0.1:{port}"
    programs.wait(lambda: status(address, "m") == 200, "first answer", 40)
    yield address
    cluster.delete({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})


def documents(port: int, provider: int) -> list[Json]:
    backends = [
        BackendSpec("one", provider, auth=api_key("one", KEY)),
        BackendSpec("claude", provider, {"name": "Anthropic"}, anthropic_key("claude", CLAUDE_KEY)),
        BackendSpec("dead", 9),
    ]
    both = [{"name": "dead", "priority": 0}, {"name": "one", "priority": 1}]
    rules = [rule("m", "one"), rule("claude", "claude"), rule("both", *both)]
    text = gateway_yaml(port, backends, rules)
    return list(yaml.safe_load_all(text.replace("gatewayClassName: aigw", "gatewayClassName: eg")))


def load(cluster: Cluster, found: list[Json]) -> None:
    for item in found:
        if item["kind"] != "GatewayClass":
            item["metadata"]["namespace"] = NAMESPACE
            cluster.apply(item)


def client(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key="of-the-client", max_retries=0)


def status(url: str, model: str) -> int:
    try:
        with client(url) as api:
            api.chat.completions.create(model=model, **QUESTION)
    except openai.APIStatusError as error:
        return error.status_code
    except openai.APIConnectionError:
        return 0
    return 200


def accepted(cluster: Cluster) -> dict[str, tuple[str, str]]:
    """Status and reason of the route's conditions."""
    found = cluster.get("AIGatewayRoute", "route", NAMESPACE) or {}
    return {
        item["type"]: (item["status"], item["reason"])
        for item in found.get("status", {}).get("conditions", ())
    }


def test_the_official_library_gets_answers_streams_and_another_schema(
    url: str, provider: ProviderBed
) -> None:
    with client(url) as api:
        assert api.chat.completions.create(model="m", **QUESTION).choices[0].message.content
        assert provider.received[-1].header_values("authorization") == [f"Bearer {KEY}"]
        chunks = list(api.chat.completions.create(model="claude", stream=True, **QUESTION))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert provider.received[-1].header_values("x-api-key") == [CLAUDE_KEY]


def test_a_dead_backend_is_passed_over_and_an_unknown_model_is_told(url: str) -> None:
    assert status(url, "both") == 200
    assert status(url, "nobody") == 404


def test_statuses_say_what_is_in_force(url: str, cluster: Cluster) -> None:
    del url
    programmed = ("True", "Programmed")
    cluster.wait(lambda: accepted(cluster).get("Programmed") == programmed, "Programmed")
    assert list(accepted(cluster)) == ["ResolvedRefs", "Programmed", "Accepted"]


def test_an_edit_and_a_new_key_show_in_traffic(
    url: str, cluster: Cluster, provider: ProviderBed
) -> None:
    secret = next(item for item in cluster.list("Secret", NAMESPACE) if KEY in str(decoded(item)))
    cluster.patch(secret, {"stringData": {"apiKey": NEW_KEY}})

    def has_new_key() -> bool:
        assert status(url, "m") == 200
        return provider.received[-1].header_values("authorization") == [f"Bearer {NEW_KEY}"]

    cluster.wait(has_new_key, "the new key", 5)
    route = cluster.get("AIGatewayRoute", "route", NAMESPACE)
    assert route
    cluster.patch(route, {"spec": {"rules": [rule("renamed", "one")]}})
    cluster.wait(lambda: status(url, "renamed") == 200, "the new model")
    assert status(url, "m") == 404


def decoded(secret: Json) -> list[bytes]:
    import base64

    return [base64.b64decode(value) for value in secret.get("data", {}).values()]
