"""Micro-benchmarks of the configuration half: YAML to plan to Envoy's files."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
import yaml

from aigw.api.load import Loaded, Loader, Source, load
from aigw.api.secret_sources import Environment
from aigw.compile.compiler import Compiler, compile_plan
from aigw.render.envoy import DataPlane, EnvoyTarget, render_envoy, render_filter_config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_benchmark.fixture import BenchmarkFixture

GROUP = "aigateway.envoyproxy.io/v1beta1"
BACKEND = {"group": "gateway.envoyproxy.io", "kind": "Backend", "name": "b"}
TARGET = EnvoyTarget(
    data_plane=DataPlane.MODULE,
    runtime_dir="/run/core",
    xds_dir="/run/envoy",
    admin_socket="/run/admin.sock",
    module_path="/run/module.so",
)


def configuration(routes: int) -> str:
    """One Gateway, one backend, `routes` routes of one model each."""
    listener = {"name": "http", "protocol": "HTTP", "port": 1975}
    documents: list[dict[str, object]] = [
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "metadata": {"name": "gw"},
            "spec": {"gatewayClassName": "aigw", "listeners": [listener]},
        },
        {
            "apiVersion": "gateway.envoyproxy.io/v1alpha1",
            "kind": "Backend",
            "metadata": {"name": "b"},
            "spec": {"endpoints": [{"ip": {"address": "127.0.0.1", "port": 1}}]},
        },
        {
            "apiVersion": GROUP,
            "kind": "AIServiceBackend",
            "metadata": {"name": "b"},
            "spec": {"schema": {"name": "OpenAI"}, "backendRef": BACKEND},
        },
    ]
    for number in range(routes):
        match = {"headers": [{"name": "x-ai-eg-model", "value": f"model-{number}"}]}
        documents.append(
            {
                "apiVersion": GROUP,
                "kind": "AIGatewayRoute",
                "metadata": {"name": f"r{number}"},
                "spec": {
                    "parentRefs": [{"name": "gw"}],
                    "rules": [{"matches": [match], "backendRefs": [{"name": "b"}]}],
                },
            }
        )
    return yaml.safe_dump_all(documents)


def environment() -> Environment:
    return Environment({}, lambda path: path)


@pytest.mark.parametrize("routes", [1, 100, 1000])
def test_load(benchmark: BenchmarkFixture, routes: int) -> None:
    text = configuration(routes)
    benchmark.pedantic(lambda: load([Source("f", text)], environment()), rounds=3)


@pytest.mark.parametrize("routes", [1, 100, 1000])
def test_compile_and_render(benchmark: BenchmarkFixture, routes: int) -> None:
    loaded = load([Source("f", configuration(routes))], environment())

    def run() -> None:
        plan = compile_plan(loaded).plan
        assert plan is not None
        render_filter_config(plan)
        render_envoy(plan, TARGET)

    benchmark.pedantic(run, rounds=3)


def test_load_again_after_an_edit(benchmark: BenchmarkFixture) -> None:
    """One of 5,000 documents has changed."""
    loader, texts = Loader(), edits(5000)
    benchmark.pedantic(lambda: loader.load([Source("f", next(texts))], environment()), rounds=5)


def test_compile_5000(benchmark: BenchmarkFixture) -> None:
    loaded = load([Source("f", configuration(5000))], environment())
    benchmark.pedantic(lambda: compile_plan(loaded), rounds=3)


def test_compile_again_after_an_edit(benchmark: BenchmarkFixture) -> None:
    """One of 5,000 routes has changed."""
    loader, compiler, texts = Loader(), Compiler(), edits(5000)

    def again() -> tuple[tuple[Loaded], dict[str, object]]:
        return (loader.load([Source("f", next(texts))], environment()),), {}

    compiler.compile(*again()[0])
    benchmark.pedantic(compiler.compile, setup=again, rounds=5)


@pytest.mark.parametrize("change", ["model", "host"])
def test_compile_again_beside_policies(benchmark: BenchmarkFixture, change: str) -> None:
    """One of 5,000 routes has changed; each has a host, and one of three SecurityPolicies."""
    loader, compiler = Loader(), Compiler()
    texts = edits(5000, with_policies(configuration(5000)), change)

    def again() -> tuple[tuple[Loaded], dict[str, object]]:
        return (loader.load([Source("f", next(texts))], environment()),), {}

    compiler.compile(*again()[0])
    benchmark.pedantic(compiler.compile, setup=again, rounds=5)


def test_compile_5000_with_policies(benchmark: BenchmarkFixture) -> None:
    loaded = load([Source("f", with_policies(configuration(5000)))], environment())
    benchmark.pedantic(lambda: compile_plan(loaded), rounds=3)


def with_policies(text: str) -> str:
    """The same with a host and a label for each route, and what reads these."""
    documents = list(yaml.load_all(text, yaml.CSafeLoader))
    for number, route in enumerate(documents[3:]):
        route["metadata"]["labels"] = {"team": f"team-{number % 3}"}
        route["spec"]["hostnames"] = [f"h{number}.example.com"]
    for number in range(3):
        labels = {"team": f"team-{number}"}
        selector = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute"}
        keys = {
            "credentialRefs": [{"name": "keys"}],
            "extractFrom": [{"headers": [f"x-key-{number}"]}],
        }
        for kind, members in (
            ("SecurityPolicy", {"apiKeyAuth": keys}),
            ("BackendTrafficPolicy", {"retry": {"numRetries": 1 + number}}),
        ):
            spec = {**members, "targetSelectors": [{**selector, "matchLabels": labels}]}
            documents.append(
                {
                    "apiVersion": "gateway.envoyproxy.io/v1alpha1",
                    "kind": kind,
                    "metadata": {"name": f"team-{number}"},
                    "spec": spec,
                }
            )
    secret = {"someone": "a-long-enough-key"}
    web = {"parentRefs": [{"name": "gw"}], "rules": [{"backendRefs": [BACKEND]}]}
    documents += [
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": secret},
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": {"name": "web"},
            "spec": web,
        },
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": "default", "labels": {"open": "yes"}},
        },
    ]
    return yaml.dump_all(documents, Dumper=yaml.CSafeDumper)


def edits(routes: int, text: str = "", change: str = "model") -> Iterator[str]:
    """Texts that differ in one route, in its model or in its host."""
    text = text or configuration(routes)
    old = {"model": "value: model-7\n", "host": "- h7.example.com\n"}[change]
    new = {"model": "value: model-x{}\n", "host": "- x{}.example.com\n"}[change]
    assert old in text
    for number in itertools.count():
        yield text.replace(old, new.format(number))
