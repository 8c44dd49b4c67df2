"""Costs and prices: from resources to the filter config, and what is wrong with them."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from aigw import _core
from aigw.compile.compiler import Compiled
from aigw.compile.prices import price_list_of, price_lists
from aigw.errors import Code
from aigw.explain import Question, explain
from aigw.plan import Plan
from aigw.render.envoy import render_filter_config
from aigw.render.envoy.filter_config import joined_filter_config
from beds.documents import AIGW, EG, GW, Document, compile_documents, document, faultless

CONFIG = "aigateway.envoyproxy.io/gateway-config"
INPUT = {"metadataKey": "in", "type": "InputToken"}
TOTAL = {"metadataKey": "k", "type": "TotalToken"}


def cel(text: str, key: str = "k") -> Document:
    return {"metadataKey": key, "type": "CEL", "cel": text}


def gateway(name: str = "ai", config: str | None = "money", port: int = 1975) -> Document:
    listeners = [{"name": "http", "port": port, "protocol": "HTTP"}]
    found = document(GW, "Gateway", name, gatewayClassName="aigw", listeners=listeners)
    if config:
        found["metadata"]["annotations"] = {CONFIG: config}
    return found


def backend(name: str, host: str, schema: str = "OpenAI") -> list[Document]:
    ref = {"group": EG, "kind": "Backend", "name": name}
    endpoint = {"fqdn": {"hostname": host, "port": 443}}
    return [
        document(AIGW, "AIServiceBackend", name, schema={"name": schema}, backendRef=ref),
        document(EG, "Backend", name, endpoints=[endpoint]),
    ]


def route(*backends: str, gateways: tuple[str, ...] = ("ai",), **spec: Any) -> Document:  # noqa: ANN401
    rules = [
        {
            "matches": [{"headers": [{"name": "x-ai-eg-model", "value": f"gpt-4o{name}"}]}],
            "backendRefs": [{"name": name, "modelNameOverride": "gpt-4o"}],
        }
        for name in backends
    ]
    parents = [{"name": name} for name in gateways]
    return document(AIGW, "AIGatewayRoute", "chat", parentRefs=parents, rules=rules, **spec)


def compiled(
    *documents: Document,
    costs: list[Document] | None = None,
    hosts: Mapping[str, str] | None = None,
    **money: Any,  # noqa: ANN401
) -> Compiled:
    hosts = hosts or {"a": "api.openai.com"}
    backends = [item for name, host in hosts.items() for item in backend(name, host)]
    spec = {"llmRequestCosts": costs} if costs else {}
    own = [document(AIGW, "GatewayConfig", "money", **money)] if money else []
    return compile_documents(
        [
            gateway(config="money" if money else None),
            route(*hosts, **spec),
            *backends,
            *own,
            *documents,
        ]
    )


def rendered(plan: Plan) -> Any:  # noqa: ANN401
    config = render_filter_config(plan)
    _core.check_config(json.dumps(config).encode())
    return config


def errors(result: Compiled) -> list[tuple[str, str, str]]:
    return [(str(item.resource), item.field_path, item.message) for item in result.errors]


def test_costs_of_a_route_are_in_its_backends() -> None:
    costs = [TOTAL, INPUT, cel("input_tokens * 0.1 + output_tokens * 2")]
    result = compiled(costs=costs)
    assert result.plan
    assert [(item.code, item.field_path) for item in result.diagnostics] == [
        (Code.CONFLICT, "spec.llmRequestCosts[2].metadataKey")
    ]
    (entry,) = rendered(result.plan)["backends"].values()
    assert entry["costs"] == [
        {"metadata_key": "k", "type": "CEL", "cel": costs[2]["cel"]},
        {"metadata_key": "in", "type": "InputToken"},
    ]
    assert entry["force_usage"] is True


def test_costs_of_a_gateway_are_for_all_its_routes() -> None:
    config = rendered(faultless(compiled(globalLLMRequestCosts=[TOTAL, cel("1u", "c")])))
    assert config["gateways"]["default/ai"]["billing"]["costs"] == [
        {"metadata_key": "k", "type": "TotalToken"},
        {"metadata_key": "c", "type": "CEL", "cel": "1u"},
    ]
    (entry,) = config["backends"].values()
    assert (entry.get("costs"), entry["force_usage"]) == (None, True)


def test_a_route_on_two_gateways_has_the_costs_of_each() -> None:
    documents = [
        gateway("one", "first"),
        gateway("two", "second", 1976),
        gateway("three", None, 1977),
        document(AIGW, "GatewayConfig", "first", globalLLMRequestCosts=[TOTAL]),
        document(AIGW, "GatewayConfig", "second", globalLLMRequestCosts=[INPUT]),
        route("a", gateways=("one", "two", "three")),
        *backend("a", "api.openai.com"),
    ]
    config = rendered(faultless(compile_documents(documents)))
    assert len(config["backends"]) == 1
    found = {name: entry.get("billing") for name, entry in config["gateways"].items()}
    assert found["default/three"] is None
    keys = {name: it["costs"][0]["metadata_key"] for name, it in found.items() if it}
    assert keys == {"default/one": "k", "default/two": "in"}


@pytest.mark.parametrize(
    ("cost", "field", "message"),
    [
        ({**TOTAL, "metadataKey": ""}, "metadataKey", "must not be empty"),
        ({**TOTAL, "metadataKey": "backend_name"}, "metadataKey", "by the gateway itself"),
        ({"metadataKey": "k", "type": "CEL"}, "cel", "is required"),
        (cel(" "), "cel", "is required"),
        (cel("1 1"), "cel", "1:3"),
        (cel("tokens * 2u"), "cel", "undeclared reference to 'tokens'"),
        (cel("input_tokens > 5u ? tokens : 1u"), "cel", "undeclared reference to 'tokens'"),
        (cel("10u / output_tokens"), "cel", "division by zero"),
        (cel("model"), "cel", "not a number"),
        (cel("input_tokens - 1"), "cel", "negative"),
    ],
)
def test_a_cost_that_cannot_work_is_named_and_left_out(
    cost: Document, field: str, message: str
) -> None:
    result = compiled(costs=[cost, INPUT])
    ((resource, path, text),) = errors(result)
    assert (resource, path) == ("AIGatewayRoute default/chat", f"spec.llmRequestCosts[0].{field}")
    assert message in text
    assert result.plan
    (entry,) = rendered(result.plan)["backends"].values()
    assert [item["metadata_key"] for item in entry["costs"]] == ["in"]
    result = compiled(globalLLMRequestCosts=[cost, INPUT])
    ((resource, path, text),) = errors(result)
    assert resource == "GatewayConfig default/money"
    assert path == f"spec.globalLLMRequestCosts[0].{field}"
    assert message in text
    assert result.plan
    billing = rendered(result.plan)["gateways"]["default/ai"]["billing"]
    assert [item["metadata_key"] for item in billing["costs"]] == ["in"]


def test_a_gateway_config_that_nobody_names_is_told() -> None:
    own = document(AIGW, "GatewayConfig", "other", globalLLMRequestCosts=[TOTAL])
    result = compiled(own)
    assert [(item.code, item.field_path) for item in result.diagnostics] == [
        (Code.NO_EFFECT, "spec.globalLLMRequestCosts")
    ]


def test_prices_are_whole_numbers() -> None:
    prices = [
        {"backend": "a", "model": "gpt-4o", "inputPerMillion": "2.5", "outputPerMillion": "10"},
        {"backend": "other/b", "cachedInputPerMillion": "0.000001", "inputPerMillion": "0"},
        {"model": "m", "perRequest": "0.000000000001", "reasoningPerMillion": "7"},
        {"model": "n", "cacheCreationInputPerMillion": "3.75", "inputPerMillion": "3"},
    ]
    config = rendered(faultless(compiled(prices=prices)))
    assert config["gateways"]["default/ai"]["billing"]["prices"] == {
        "source": "GatewayConfig default/money",
        "entries": [
            {"backend": "default/a", "model": "gpt-4o", "input": 2_500_000, "output": 10_000_000},
            {"backend": "other/b", "input": 0, "cached_input": 1},
            {"model": "m", "reasoning": 7_000_000, "request": 1},
            {"model": "n", "input": 3_000_000, "cache_creation_input": 3_750_000},
        ],
    }


@pytest.mark.parametrize(
    "price",
    [
        {"inputPerMillion": "1"},
        {"model": "m"},
        {"model": "m", "reasoningPerMillion": "1"},
        {"model": "m", "inputPerMillion": "-1"},
        {"model": "m", "inputPerMillion": "1e3"},
        {"model": "m", "inputPerMillion": "0.0000001"},
        {"model": "m", "inputPerMillion": "12345678"},
        {"model": "m", "inputPerMillion": 1},
        {"model": "", "inputPerMillion": "1"},
        {"backend": "a/b/c", "inputPerMillion": "1"},
    ],
)
def test_a_price_that_is_none_is_refused(price: Document) -> None:
    result = compiled(prices=[price])
    assert {item.split(".prices")[0] for _, item, _ in errors(result)} == {"spec"}


def test_two_prices_for_the_same_are_refused() -> None:
    price = {"model": "m", "inputPerMillion": "1"}
    ((_, path, message),) = errors(compiled(prices=[price, price]))
    assert (path, "earlier" in message) == ("spec.prices[1]", True)


@pytest.mark.parametrize(
    ("schema", "host", "name"),
    [
        ("OpenAI", "api.openai.com", "openai"),
        ("OpenAI", "API.OPENAI.COM", "openai"),
        ("OpenAI", "openai.example", ""),
        ("OpenAI", "localhost", ""),
        ("OpenAI", "api.groq.com", "groq"),
        ("OpenAI", "openrouter.ai", "openrouter"),
        ("OpenAI", "generativelanguage.googleapis.com", "google"),
        ("Anthropic", "api.anthropic.com", "anthropic"),
        ("AWSBedrock", "vpce-1.example", "aws"),
        ("AWSAnthropic", "bedrock-runtime.eu-west-1.amazonaws.com", "aws"),
        ("AzureOpenAI", "x.openai.azure.com", "azure"),
        ("GCPVertexAI", "us-central1-aiplatform.googleapis.com", "google"),
        ("GCPAnthropic", "h", "google"),
        ("Cohere", "api.cohere.com", "cohere"),
    ],
)
def test_price_lists_are_found_by_host_or_cloud(schema: str, host: str, name: str) -> None:
    assert price_list_of(schema, host) == name


def test_only_lists_in_use_are_in_the_filter_config() -> None:
    assert "prices" not in rendered(faultless(compiled(hosts={"a": "self.example"})))
    first = rendered(faultless(compiled()))
    assert list(first["prices"]["lists"]) == ["openai"]
    assert first["prices"]["source"].startswith("genai-prices ")
    second = rendered(faultless(compiled(hosts={"a": "api.groq.com"})))
    joined: Any = joined_filter_config(first, second)
    assert sorted(joined["prices"]["lists"]) == ["groq", "openai"]
    _core.check_config(json.dumps(joined).encode())
    assert {"aws", "azure", "openai"} <= price_lists(["aws", "azure"]).lists.keys()


MODELS = {
    "OpenAI api.openai.com": ["gpt-4o", "gpt-4o-2024-08-06", "gpt-4o-mini", "o3-mini"],
    "Anthropic api.anthropic.com": ["claude-sonnet-4-5-20250929", "claude-3-5-haiku-latest"],
    "AWSBedrock h": [
        "anthropic.claude-sonnet-4-5-20250929-v1:0",
        "eu.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "amazon.nova-lite-v1:0",
    ],
    "AzureOpenAI h": ["gpt-4o", "gpt-4o-2024-08-06", "o4-mini"],
    "GCPVertexAI h": ["gemini-2.5-flash", "gemini-2.5-pro"],
    "GCPAnthropic h": ["claude-sonnet-4-5@20250929", "claude-3-5-sonnet-v2@20241022"],
    "Cohere api.cohere.com": ["command-r-plus"],
}


@pytest.mark.parametrize(
    ("place", "model"), [(place, model) for place, models in MODELS.items() for model in models]
)
def test_well_known_models_have_prices(place: str, model: str) -> None:
    found = _price(*place.split(), model)
    assert found
    entry, source, rates = found
    assert "/" in entry
    assert source.startswith("genai-prices ")
    assert "input $" in rates


@pytest.mark.parametrize(
    ("place", "model"),
    [
        ("OpenAI api.openai.com", "nobody-knows-it"),
        ("OpenAI api.openai.com", "whisper-1"),
        ("OpenAI api.openai.com", "gpt-audio"),
        ("AWSBedrock h", "arn:aws:bedrock:us-east-1:1:application-inference-profile/abc"),
        ("AzureOpenAI h", "my-deployment"),
        ("OpenAI vllm.example", "gpt-4o"),
    ],
)
def test_what_is_not_known_has_no_price(place: str, model: str) -> None:
    assert _price(*place.split(), model) is None


def _price(schema: str, host: str, model: str) -> tuple[str, str, str] | None:
    name = price_list_of(schema, host)
    prices = price_lists([name] if name else [])
    entry = {
        "name": "n/b/route/r/rule/0/ref/0",
        "backend": "n/b",
        "route": "n/r",
        "host": host,
        "schema": {"name": schema, "version": "2024-10-21"},
        "price_list": name,
    }
    config = {
        "version": 1,
        "generation": "g",
        "gateways": {"g": {}},
        "backends": {"b": entry},
        "prices": {"source": prices.source, "lists": prices.lists},
    }
    exchange = _core.Exchange(
        json.dumps(config).encode(), b'{"version": 1, "credentials": {}}', "g", now=1_790_000_000
    )
    head = [(":method", b"POST"), (":path", b"/v1/chat/completions")]
    exchange.head(head)
    body = {"model": model, "messages": [{"role": "user", "content": "x"}]}
    exchange.body(json.dumps(body).encode())
    return exchange.attempt("b").price_entry()


def test_explain_shows_costs_and_prices() -> None:
    result = compiled(
        costs=[TOTAL],
        hosts={"a": "api.openai.com", "b": "self.example"},
        globalLLMRequestCosts=[{**INPUT, "metadataKey": "k"}, cel("input_tokens * 2", "c")],
    )
    plan = faultless(result)
    (found,) = explain(plan, Question("gpt-4oa")).backends
    assert found.costs == ("k = TotalToken", "c = input_tokens * 2")
    assert "input $" in found.asked.price
    assert "openai/gpt-4o; genai-prices" in found.asked.price
    (found,) = explain(plan, Question("gpt-4ob")).backends
    assert found.asked.price == ""
