"""What is reused between two runs never shows: the result is that of a fresh start."""

from __future__ import annotations

import copy
import dataclasses
import json
from pathlib import Path
from random import Random  # noqa: TC003 - hypothesis reads the annotation
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from aigw.api.ai_gateway_route import AIGatewayRoute
from aigw.api.load import Loaded, Loader, Source, load
from aigw.api.secret_sources import Environment
from aigw.compile.compiler import Compiled, Compiler, compile_plan
from aigw.errors import Code
from beds.all_kinds import all_kinds
from beds.resources import resource

TESTS = Path(__file__).parents[1]
EXAMPLES = sorted((TESTS.parent / "examples").glob("*/*.yaml"))
GW = "gateway.networking.k8s.io/v1"
EG = "gateway.envoyproxy.io/v1alpha1"
AIGW = "aigateway.envoyproxy.io/v1beta1"
Document = dict[str, Any]
ENVIRONMENT = Environment({"OPENAI_API_KEY": "k"}, lambda path: f"content of {path}")


def model(name: str, *refs: Document, **members: object) -> Document:
    headers = [{"name": "x-ai-eg-model", "value": name}]
    return {"matches": [{"headers": headers}], "backendRefs": list(refs), **members}


def web() -> list[Document]:
    """Two Gateways and routes that share what is broken, missing or ambiguous."""
    listeners = [
        {"name": "http", "port": 1975, "protocol": "HTTP"},
        {"name": "own", "port": 1976, "protocol": "HTTP", "hostname": "*.example.com"},
    ]
    aws = {"region": "r", "credentialsFile": {"secretRef": {"name": "missing"}}}
    found = [
        resource(GW, "Gateway", "a", gatewayClassName="c", listeners=listeners),
        resource(GW, "Gateway", "b", gatewayClassName="c", listeners=[{**listeners[0], "port": 2}]),
        resource(EG, "EnvoyProxy", "unused", logging={"level": {"default": "info"}}),
        traffic("two", "HTTPRoute"),
        traffic("a", "Gateway"),
        policy("shared"),
        policy("aws", type="AWSCredentials", awsCredentials=aws),
        secret("shared", apiKey="${OPENAI_API_KEY}"),
    ]
    for name, schema in (("shared", "OpenAI"), ("aws", "AWSBedrock"), ("broken", "Anthropic")):
        ref = {"group": "gateway.envoyproxy.io", "kind": "Backend", "name": name}
        spec: Document = {"schema": {"name": schema, "version": "v"}, "backendRef": ref}
        found.append(resource(AIGW, "AIServiceBackend", name, **spec))
        address = "not an address" if name == "broken" else "127.0.0.1"
        found.append(
            resource(EG, "Backend", name, endpoints=[{"ip": {"address": address, "port": 80}}])
        )
    everywhere = [{"name": "a"}, {"name": "b"}]
    for number, name in enumerate(("one", "two", "three")):
        refs = [{"name": "broken"}, {"name": "shared"}, {"name": "aws", "priority": 1}]
        rules = [model("m", *refs[number:]), model(name, {"name": "shared"}), model(name)]
        spec = {"parentRefs": everywhere[: number + 1], "rules": rules}
        if number:
            spec["hostnames"] = [f"{name}.example.com", "*.example.com"][:number]
        found.append(resource(AIGW, "AIGatewayRoute", name, **spec))
    return found


def traffic(target: str, kind: str) -> Document:
    ref = {"group": "gateway.networking.k8s.io", "kind": kind, "name": target}
    retry = {"numRetries": 2, "retryOn": {"triggers": ["reset"]}}
    return resource(EG, "BackendTrafficPolicy", target, targetRefs=[ref], retry=retry)


def policy(target: str, **spec: object) -> Document:
    ref = {"group": "aigateway.envoyproxy.io", "kind": "AIServiceBackend", "name": target}
    key = {"type": "APIKey", "apiKey": {"secretRef": {"name": target}}}
    return resource(AIGW, "BackendSecurityPolicy", target, targetRefs=[ref], **(spec or key))


def secret(name: str, **values: str) -> Document:
    metadata = {"name": name, "annotations": {"substitution.aigw.run/file/other": "~/key"}}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": values}


def matrix() -> list[Document]:
    """Objects of `tests/matrix`, valid and invalid."""
    found: list[Document] = []
    for path in sorted((TESTS / "matrix").glob("[A-Z]*.yaml")):
        table = yaml.safe_load(path.read_text())
        for number, case in enumerate(table["cases"]):
            spec = {**table["base"], **(case.get("spec") or {})}
            document = resource(AIGW, path.stem, f"case-{number}", **spec)
            found.append(document | (case.get("object") or {}))
    return found


def looking_at_routes() -> list[Document]:
    """What makes a route depend on others."""
    ref = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "three"}
    keys = {"credentialRefs": [{"name": "keys"}], "extractFrom": [{"headers": ["x-key"]}]}
    labels = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "matchLabels": {}}
    retry = {"numRetries": 3}
    plain = {"parentRefs": [{"name": "a"}], "rules": [{"backendRefs": []}]}
    return [
        resource(EG, "SecurityPolicy", "keys", targetRefs=[ref], apiKeyAuth=keys),
        secret("keys", someone="a-long-enough-key"),
        resource(EG, "BackendTrafficPolicy", "all", targetSelectors=[labels], retry=retry),
        resource(GW, "HTTPRoute", "plain", **plain),
        resource(GW, "HTTPRoute", "three", **plain),
    ]


POOL = [
    *web(),
    *looking_at_routes(),
    *all_kinds(),
    *(item for path in EXAMPLES for item in yaml.safe_load_all(path.read_text()) if item),
    *matrix(),
]
WEB = len(web()) + len(looking_at_routes())
RICH = WEB + len(all_kinds())
positions = st.one_of(st.integers(0, RICH - 1), st.integers(0, len(POOL) - 1))


@st.composite
def broken(draw: st.DrawFn, document: Document) -> Document:
    """A document with a member, anywhere, taken away or replaced."""
    result = copy.deepcopy(document)
    at: Any = result
    while True:
        keys: list[Any] = list(at) if isinstance(at, dict) else list(range(len(at)))
        key = draw(st.sampled_from(keys))
        if not isinstance(at[key], dict | list) or not at[key] or draw(st.booleans()):
            break
        at = at[key]
    values = st.sampled_from([None, "", "x", "three", "shared", "b", 0, 1975, [], {}, [1]])
    at[key] = draw(values)
    return result


def at_all(documents: list[Document]) -> str:
    return "".join(f"---\n{json.dumps(document)}\n" for document in documents)


def loaded(text: str, loader: Loader | None = None) -> Loaded:
    return (loader or Loader()).load([Source("f.yaml", text)], ENVIRONMENT)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_edit_gives_what_a_fresh_start_gives(data: st.DataObject) -> None:
    loader, compiler = Loader(), Compiler(7)
    documents = list(POOL[: data.draw(st.sampled_from([RICH, WEB, len(web())]))])
    for _ in range(data.draw(st.integers(1, 6))):
        edit = data.draw(st.sampled_from(["remove", "add", "break", "swap", "restore"]))
        place = data.draw(st.integers(0, max(len(documents) - 1, 0)))
        if edit == "add" or not documents:
            documents.insert(place, POOL[data.draw(positions)])
        elif edit == "remove":
            del documents[place]
        elif edit == "break":
            documents[place] = data.draw(broken(documents[place]))
        elif edit == "swap":
            documents[0], documents[place] = documents[place], documents[0]
        else:
            documents = list(POOL[:RICH])
        text = at_all(documents)
        again = loaded(text, loader)
        assert again == load([Source("f.yaml", text)], ENVIRONMENT)
        assert compiler.compile(again) == compile_plan(again, 7)


@settings(max_examples=40, deadline=None)
@given(st.lists(positions, max_size=60, unique=True), st.randoms(use_true_random=False))
def test_any_documents_compile_and_their_order_does_not_matter(
    chosen: list[int], random: Random
) -> None:
    documents = list({_key(POOL[place]): POOL[place] for place in chosen}.values())
    first = compile_plan(loaded(at_all(documents)))
    random.shuffle(documents)
    second = compile_plan(loaded(at_all(documents)))
    assert second.plan == first.plan
    assert _said(second) == _said(first)


def test_all_kinds_together_are_served_for_the_most_part() -> None:
    compiled = compile_plan(loaded(at_all(POOL[:RICH])))
    known = {"broken"}
    invalid = [item for item in compiled.diagnostics if item.code is Code.INVALID_FIELD]
    assert {item.resource.name for item in invalid if item.resource} == known
    assert compiled.plan is not None
    assert len(compiled.plan.gateways) == 3
    assert compiled.plan.http_rules
    assert compiled.plan.security
    assert compiled.plan.proxies


def _key(document: Document) -> object:
    metadata = document.get("metadata") or {}
    return document.get("kind"), metadata.get("namespace", "default"), metadata.get("name")


def _said(compiled: Compiled) -> list[str]:
    return sorted(str(dataclasses.replace(item, origin=None)) for item in compiled.diagnostics)


def test_an_edit_of_one_document_reads_and_compiles_this_one_only() -> None:
    loader, compiler = Loader(), Compiler()
    first = loaded(at_all(web()), loader)
    before = compiler.compile(first).plan
    documents = web()
    documents[-1]["spec"]["rules"] = documents[-1]["spec"]["rules"][:1]
    second = loaded(at_all(documents), loader)
    fresh = [new for new in second.resources if all(new is not old for old in first.resources)]
    assert [type(item) for item in fresh] == [AIGatewayRoute]
    after = compiler.compile(second).plan
    assert before is not None
    assert after is not None
    changed = {name for name, rule in after.rules.items() if rule is not before.rules[name]}
    assert all(name.startswith("default/three/rule/") for name in changed)
    assert len(after.rules) < len(before.rules)


def test_lines_are_right_wherever_a_document_moves() -> None:
    loader = Loader()
    broken_one = "kind: Backend\nmetadata: {name: x}\napiVersion: v9\n"
    loaded(f"---\n{broken_one}---\n{at_all(web())}", loader)
    moved = loaded(f"# a line\n\n---\na: b\n---\n\n{broken_one}", loader)
    assert [item.origin and item.origin.line for item in moved.diagnostics] == [4, 7]
    assert [item.origin and item.origin.document for item in moved.diagnostics] == [1, 2]


def test_a_variable_and_a_file_that_changed_are_seen() -> None:
    loader, text = Loader(), at_all([secret("s", key="${NAME:-unset}", other="")])

    def values(variables: dict[str, str], content: str) -> object:
        around = Environment(variables, lambda _: content)
        (found,) = loader.load([Source("f", text)], around).resources
        return found

    first = values({}, "a")
    assert values({"OTHER": "x"}, "a") is first
    assert values({"NAME": "set"}, "a") != first
    assert values({}, "b") != first


def test_directives_and_ends_of_documents_keep_a_file_in_one_piece() -> None:
    text = "%TAG ! tag:yaml.org,2002:\n---\na: !str b\n...\n---\nkind: [1\n---\nc: d\n"
    found = loaded(text)
    assert [item.origin and item.origin.line for item in found.diagnostics] == [3, 7]
    text = "---\na: |\n  text\n---x\n--- {b: 1}\n"
    assert len(loaded(text).diagnostics) == 1
