"""Routes among policies, plain routes, namespaces and grants: an edit gives what a start gives."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from aigw.api.ai_gateway_route import AIGatewayRoute
from aigw.api.load import Loaded, Loader, Source
from aigw.api.secret_sources import Environment
from aigw.compile.compiler import Compiler, compile_plan
from aigw.compile.hosts import covers
from aigw.compile.security.admission import Claim, refusals
from beds.resources import resource

GW = "gateway.networking.k8s.io"
EG = "gateway.envoyproxy.io"
AIGW = "aigateway.envoyproxy.io"
Document = dict[str, Any]
HOSTS = ["*", "*.com", "*.a.com", "x.a.com", "y.a.com", "a.com", "b.org"]
every_host = st.lists(st.sampled_from(HOSTS), min_size=1, max_size=2, unique=True)
hosts = st.lists(st.sampled_from(HOSTS[1:]), min_size=1, max_size=2, unique=True)
teams = st.sampled_from(["red", "blue"])
namespaces = st.sampled_from(["default", "default", "other"])
names = st.sampled_from(["one", "two", "three", "four"])


def placed(document: Document, namespace: str, **metadata: object) -> Document:
    document["metadata"] |= {"namespace": namespace, **metadata}
    return document


def base() -> list[Document]:
    selector = {"matchLabels": {"open": "yes"}}
    everyone = {"namespaces": {"from": "All"}}
    some = {"namespaces": {"from": "Selector", "selector": selector}}
    listeners = [
        {"name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": everyone},
        {"name": "a", "port": 80, "protocol": "HTTP", "hostname": "*.a.com", "allowedRoutes": some},
    ]
    ref = {"group": EG, "kind": "Backend", "name": "b"}
    return [
        placed(
            resource(f"{GW}/v1", "Gateway", "gw", gatewayClassName="c", listeners=listeners),
            "default",
        ),
        resource(
            f"{EG}/v1alpha1", "Backend", "b", endpoints=[{"ip": {"address": "::1", "port": 1}}]
        ),
        resource(
            f"{AIGW}/v1beta1", "AIServiceBackend", "b", schema={"name": "OpenAI"}, backendRef=ref
        ),
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "keys"},
            "stringData": {"someone": "a-long-enough-key"},
        },
    ]


@st.composite
def route(draw: st.DrawFn) -> Document:
    model = {"name": "x-ai-eg-model", "value": draw(st.sampled_from("mn"))}
    rule = {
        "name": "first",
        "matches": [{"headers": [model]}],
        "backendRefs": [{"name": "b", "namespace": "default"}],
    }
    spec: Document = {"parentRefs": [{"name": "gw", "namespace": "default"}], "rules": [rule]}
    if draw(st.booleans()):
        spec["hostnames"] = draw(hosts)
    year = draw(st.integers(2001, 2004))
    made = resource(f"{AIGW}/v1beta1", "AIGatewayRoute", draw(names), **spec)
    labels, time = {"team": draw(teams)}, f"{year}-01-01T00:00:00Z"
    return placed(made, draw(namespaces), labels=labels, creationTimestamp=time)


@st.composite
def plain_route(draw: st.DrawFn) -> Document:
    spec: Document = {
        "parentRefs": [{"name": "gw", "namespace": "default"}],
        "hostnames": draw(hosts),
        "rules": [
            {
                "matches": [{"path": {"value": draw(st.sampled_from(["/", "/v1/models"]))}}],
                "backendRefs": [
                    {"group": EG, "kind": "Backend", "name": "b", "namespace": "default"}
                ],
            }
        ],
    }
    made = resource(f"{GW}/v1", "HTTPRoute", draw(names), **spec)
    return placed(made, draw(namespaces), labels={"team": draw(teams)})


@st.composite
def policy(draw: st.DrawFn) -> Document:
    keys = {"credentialRefs": [{"name": "keys"}], "extractFrom": [{"headers": [draw(names)]}]}
    settings = draw(
        st.sampled_from(
            [
                ("SecurityPolicy", {"apiKeyAuth": keys}),
                ("SecurityPolicy", {"cors": {"allowOrigins": ["*"]}}),
                ("SecurityPolicy", {"oidc": {}}),
                ("BackendTrafficPolicy", {"retry": {"numRetries": 3}}),
                (
                    "BackendTrafficPolicy",
                    {"retry": {"numRetries": 2}, "mergeType": "StrategicMerge"},
                ),
            ]
        )
    )
    reach = draw(st.sampled_from(["Gateway", "route", "section", "labels"]))
    target: Document = {"group": GW, "kind": "HTTPRoute", "name": draw(names)}
    if reach == "Gateway":
        target = {"group": GW, "kind": "Gateway", "name": "gw"}
    elif reach == "section":
        target["sectionName"] = draw(st.sampled_from(["first", "missing"]))
    spec: Document = {"targetRefs": [target]}
    if reach == "labels":
        labels = {"team": draw(teams)}
        spec = {"targetSelectors": [{"group": GW, "kind": "HTTPRoute", "matchLabels": labels}]}
    made = resource(f"{EG}/v1alpha1", settings[0], draw(names), **spec, **settings[1])
    return placed(made, draw(namespaces), creationTimestamp="2002-01-01T00:00:00Z")


@st.composite
def namespace(draw: st.DrawFn) -> Document:
    labels = {"open": draw(st.sampled_from(["yes", "no"]))}
    metadata = {"name": draw(namespaces), "labels": labels}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


@st.composite
def grant(draw: st.DrawFn) -> Document:
    kind = draw(st.sampled_from([(AIGW, "AIGatewayRoute"), (GW, "HTTPRoute")]))
    granted = draw(st.sampled_from([(AIGW, "AIServiceBackend"), (EG, "Backend")]))
    referrer = {"group": kind[0], "kind": kind[1], "namespace": "other"}
    to = [{"group": granted[0], "kind": granted[1]}]
    spec = {"from": [referrer], "to": to}
    return placed(resource(f"{GW}/v1beta1", "ReferenceGrant", draw(names), **spec), "default")


documents = st.one_of(
    route(), route(), route(), plain_route(), policy(), policy(), namespace(), grant()
)


def key(document: Document) -> tuple[str, str, str]:
    metadata = document["metadata"]
    return document["kind"], metadata.get("namespace", "default"), metadata["name"]


def loaded(found: list[Document], loader: Loader) -> Loaded:
    text = "".join(f"---\n{json.dumps(document)}\n" for document in found)
    return loader.load([Source("f.yaml", text)], Environment({}, lambda path: path))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(documents, min_size=8, max_size=24),
    st.lists(st.tuples(st.booleans(), documents), min_size=1, max_size=6),
)
def test_any_edit_gives_what_a_fresh_start_gives(
    start: list[Document], edits: list[tuple[bool, Document]]
) -> None:
    loader, compiler = Loader(), Compiler(7)
    found = {key(document): document for document in (*base(), *start)}
    for is_removal, document in [(False, base()[0]), *edits]:
        if is_removal:
            # Something of the kind that was drawn, if there is any, and it may be another object.
            gone = next((at for at in found if at[0] == document["kind"]), key(document))
            found.pop(gone, None)
        else:
            found[key(document)] = document
        now = loaded([*found.values()], loader)
        compiled, fresh = compiler.compile(now), compile_plan(now, 7)
        assert compiled == fresh
        if compiled.plan and fresh.plan:
            assert [*compiled.plan.rules] == [*fresh.plan.rules]
            assert [*compiled.plan.backends] == [*fresh.plan.backends]


claims = st.builds(Claim, st.sampled_from("ab"), st.sampled_from("xyz"), every_host.map(tuple))


@given(st.lists(claims, unique=True, max_size=20))
def test_the_oldest_claim_that_stands_is_against_others_for_its_hosts(found: list[Claim]) -> None:
    standing: list[Claim] = []
    expected: dict[Claim, Claim] = {}
    for claim in found:
        against = (
            other
            for other in standing
            if other.entrance == claim.entrance
            and other.policy != claim.policy
            and any(covers(a, b) or covers(b, a) for a in claim.hosts for b in other.hosts)
        )
        if older := next(against, None):
            expected[claim] = older
        else:
            standing.append(claim)
    assert refusals(found) == expected


def test_an_edit_of_a_route_compiles_no_other_beside_policies_and_plain_routes() -> None:
    def at(number: int, model: str) -> Document:
        headers = [{"name": "x-ai-eg-model", "value": model}]
        rule = {"matches": [{"headers": headers}], "backendRefs": [{"name": "b"}]}
        spec = {"parentRefs": [{"name": "gw"}], "hostnames": [f"h{number}.a.com"], "rules": [rule]}
        return resource(f"{AIGW}/v1beta1", "AIGatewayRoute", f"r{number}", **spec)

    selector = {"group": GW, "kind": "HTTPRoute", "matchLabels": {}}
    keys = {"credentialRefs": [{"name": "keys"}], "extractFrom": [{"headers": ["x-key"]}]}
    around = [
        *base(),
        resource(
            f"{EG}/v1alpha1", "SecurityPolicy", "s", apiKeyAuth=keys, targetSelectors=[selector]
        ),
        resource(
            f"{EG}/v1alpha1", "BackendTrafficPolicy", "t", retry={}, targetSelectors=[selector]
        ),
        resource(f"{GW}/v1", "HTTPRoute", "web", parentRefs=[{"name": "gw"}], rules=[]),
    ]
    loader, compiler = Loader(), Compiler()
    before = compiler.compile(loaded([*around, *(at(i, "m") for i in range(4))], loader))
    edited = loaded([*around, *(at(i, "n" if i == 2 else "m") for i in range(4))], loader)
    after = compiler.compile(edited)
    assert sum(isinstance(item, AIGatewayRoute) for item in edited.resources) == 4
    assert before.plan is not None
    assert after.plan is not None
    assert before.plan.security
    changed = {
        name for name, rule in after.plan.rules.items() if rule is not before.plan.rules[name]
    }
    assert changed == {"default/r2/rule/0"}
    hosts_before, hosts_after = (
        {host.hostname: host for host in plan.ports[0].listeners[0].virtual_hosts}
        for plan in (before.plan, after.plan)
    )
    moved = {name for name, host in hosts_after.items() if host is not hosts_before[name]}
    assert moved == {"h2.a.com"}
