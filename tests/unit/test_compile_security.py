"""SecurityPolicies: what is read, which one counts, and what is not served without it."""

import json

import pytest

from aigw.plan.security import ApiKeys, Cors, Passwords, Place, Tokens
from aigw.plan.security import Source as Credential
from beds.resources import Resource, resource
from beds.security import (
    GW,
    RSA,
    SHA,
    compiled,
    gateway,
    hosts,
    keys,
    listener,
    plain_route,
    plan,
    policy,
    provider,
    route,
    secret,
    security,
    served,
    texts,
)

POINT = {
    "crv": "P-256",
    "x": "VJe4DGeDp4GC0kAx2ful_qJ8gBdKuNTe0eAPGBKVaaA",
    "y": "4uf6GmaQd9k-pxGHmbBeHPggnMQf_r9HhpfHqLA7uuc",
}


# --- what is read ---


def test_api_keys() -> None:
    more = {
        "extractFrom": [{"headers": ["X-Key"], "params": ["k"]}, {"cookies": ["c"]}],
        "forwardClientIDHeader": "X-Client",
    }
    result = compiled(route("r"), policy("p", ("HTTPRoute", "r"), **keys(**more)))
    assert result.diagnostics == ()
    sources = (
        Credential(Place.HEADER, "x-key"),
        Credential(Place.QUERY, "k"),
        Credential(Place.COOKIE, "c"),
    )
    clients = (("alice", "canary-a"), ("bob", "canary-b"))
    assert security(result).api_keys == ApiKeys(clients, sources, "x-client")
    assert served(hosts(result)["*"], result) == ["r"]


def test_passwords() -> None:
    users = secret("users", **{".htpasswd": f"# all\n\n  a:{SHA}  \nb:{SHA}"})
    spec = {"basicAuth": {"users": {"name": "users"}, "forwardUsernameHeader": "X-User"}}
    result = compiled(route("r"), users, policy("p", ("Gateway", "gw"), **spec))
    expected = Passwords((f"a:{SHA}", f"b:{SHA}"), "x-user")
    assert security(result).passwords == expected
    assert [*security(result).sources] == [Credential(Place.HEADER, "authorization")]


def test_tokens_with_written_keys_have_public_members_only() -> None:
    result = compiled(route("r"), policy("p", ("Gateway", "gw"), **provider()))
    tokens = security(result).tokens
    assert isinstance(tokens, Tokens)
    assert json.loads(str(tokens.issuers[0].keys)) == {
        "keys": [{name: RSA[name] for name in ("kid", "kty", "n", "e")}]
    }
    names = {source.name for source in tokens.issuers[0].sources}
    assert names == {"authorization", "access_token"}


def test_keys_of_an_issuer_in_a_config_map() -> None:
    ref = {"group": "", "kind": "ConfigMap", "name": "m"}
    local = {"type": "ValueRef", "valueRef": ref}
    data = {**resource("v1", "ConfigMap", "m"), "data": {"other": json.dumps({"keys": [RSA]})}}
    spec = provider(localJWKS=local)
    assert security(compiled(route("r"), data, policy("p", ("Gateway", "gw"), **spec))).tokens


def test_web_pages() -> None:
    cors = {
        "allowOrigins": ["https://*.a.test", "*", "http://localhost:*"],
        "allowMethods": ["GET"],
        "maxAge": "1m",
        "allowCredentials": True,
    }
    result = compiled(route("r"), policy("p", ("Gateway", "gw"), cors=cors))
    origins = ("https://*.a.test", "*", "http://localhost:*")
    expected = Cors(origins, ("GET",), max_age_s=60, allows_credentials=True)
    assert security(result).cors == expected


# --- what cannot work ---

BAD: dict[str, tuple[Resource, str]] = {
    "a missing secret": (keys("missing"), "Secret default/missing not found"),
    "an empty secret": (keys("empty"), "hold no key of any client"),
    "one key for two clients": (keys("same"), "clients a and b have the same key"),
    "no place": (keys(extractFrom=[{}]), "names no place of a key"),
    "a header that is none": (keys(extractFrom=[{"headers": ["a b"]}]), "is not the name of a"),
    "a key in the host": (keys(extractFrom=[{"headers": ["Host"]}]), "has a meaning of its own"),
    "a token in the length": (
        provider(extractFrom={"headers": [{"name": "content-length"}]}),
        "extractFrom.headers[0].name: the header content-length has a meaning",
    ),
    "an empty parameter": (keys(extractFrom=[{"params": [""]}]), "an empty name"),
    "a client id as credential": (
        keys(forwardClientIDHeader="Authorization"),
        "has a meaning of its own",
    ),
    "a client id as model": (keys(forwardClientIDHeader="x-ai-eg-model"), "meaning of its own"),
    "no users": ({"basicAuth": {"users": {"name": "empty"}}}, "no users under the key .htpasswd"),
    "bcrypt": ({"basicAuth": {"users": {"name": "bcrypt"}}}, "only {SHA}"),
    "a short hash": ({"basicAuth": {"users": {"name": "short"}}}, "not a SHA-1 in base64"),
    "a user twice": ({"basicAuth": {"users": {"name": "twice"}}}, "is there twice"),
    "both key sets": (provider(remoteJWKS={"uri": "https://a.test"}), "exactly one of remoteJWKS"),
    "a bad key set": (provider(localJWKS={"inline": "{}"}), "must be a JSON Web Key Set"),
    "keys of a backend": (
        provider(localJWKS=None, remoteJWKS={"uri": "https://a", "backendRefs": []}),
        "backendRefs: is not supported yet",
    ),
    "an odd url": (provider(localJWKS=None, remoteJWKS={"uri": "ftp://a"}), "must be an http or"),
    "a route chosen again": (provider(recomputeRoute=True), "recomputeRoute: is not supported"),
    "authorization": ({**keys(), "authorization": {}}, "authorization: is not supported yet"),
    "oidc": ({"oidc": {}}, "oidc: is not supported yet"),
    "extAuth": ({"extAuth": {}}, "extAuth: is not supported yet"),
    "an unknown field": ({"lock": {}}, "spec.lock: unknown field"),
}
SECRETS = (
    secret("empty"),
    secret("same", a="canary-1", b="canary-1"),
    secret("bcrypt", **{".htpasswd": "u:{BCRYPT}canary"}),
    secret("short", **{".htpasswd": "u:{SHA}canary"}),
    secret("twice", **{".htpasswd": f"u:{SHA}\nu:{SHA}"}),
)


@pytest.mark.parametrize("case", sorted(BAD))
def test_a_policy_that_cannot_be_enforced_keeps_its_route_out(case: str) -> None:
    spec, text = BAD[case]
    result = compiled(route("r", "r.test"), *SECRETS, policy("p", ("HTTPRoute", "r"), **spec))
    assert text in texts(result)
    assert "SecurityPolicy default/p protects it and cannot be enforced" in texts(result)
    assert plan(result).backends == {}
    host = hosts(result)["r.test"]
    assert served(host, result) == []
    assert not hosts(result)["*"].is_closed
    assert plan(result).gateways["default/gw"].models.everywhere == ()


def test_a_gateway_whose_policy_cannot_be_enforced_is_closed() -> None:
    result = compiled(route("r", "r.test"), policy("p", ("Gateway", "gw"), **keys("missing")))
    assert {name: host.is_closed for name, host in hosts(result).items()} == {
        "r.test": True,
        "*": True,
    }


def test_one_client_without_a_usable_key_does_not_keep_the_others_out() -> None:
    mixed = secret("mixed", a="", b="canary\n", c="canary-c")
    result = compiled(route("r"), mixed, policy("p", ("Gateway", "gw"), **keys("mixed")))
    found = security(result).api_keys
    assert found is not None
    assert found.clients == (("c", "canary-c"),)
    assert "'a'" in texts(result)
    assert "'b'" in texts(result)


def test_the_first_secret_wins_for_a_client() -> None:
    second = secret("second", alice="canary-x", carl="canary-c")
    refs = [{"name": "clients"}, {"name": "second"}]
    result = compiled(
        route("r"), second, policy("p", ("Gateway", "gw"), **keys(credentialRefs=refs))
    )
    found = security(result).api_keys
    assert found is not None
    assert dict(found.clients)["alice"] == "canary-a"


def test_a_secret_of_another_namespace_needs_a_grant() -> None:
    far = {**secret("far", x="canary"), "metadata": {"name": "far", "namespace": "other"}}
    refs = [{"name": "far", "namespace": "other"}]
    spec = keys(credentialRefs=refs)
    documents = [route("r"), far, policy("p", ("Gateway", "gw"), **spec)]
    assert "ReferenceGrant" in texts(compiled(*documents))
    grant = resource(f"{GW}/v1beta1", "ReferenceGrant", "g")
    grant["metadata"]["namespace"] = "other"
    grant["spec"] = {
        "from": [
            {"group": "gateway.envoyproxy.io", "kind": "SecurityPolicy", "namespace": "default"}
        ],
        "to": [{"group": "", "kind": "Secret"}],
    }
    assert compiled(*documents, grant).diagnostics == ()


@pytest.mark.parametrize(
    "key",
    [
        {"kty": "oct", "k": "canary"},
        {"kty": "RSA", "e": "AQAB"},
        {"kty": "RSA", "e": "AQAB", "n": "AQAB"},
        {"kty": "RSA", "e": "A", "n": RSA["n"]},
        {"kty": "RSA", "e": "AQAB", "n": RSA["n"], "alg": "ES256"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": "EC", "crv": "P-256", "x": "A" * 43, "y": "A" * 43},
        {"kty": "EC", **POINT, "alg": "ES384"},
        {"kty": "EC", "crv": "Ed25519", "x": "A" * 43, "y": "A" * 43},
        {"kty": "OKP", "crv": "X25519", "x": "A" * 43},
        {"kty": "RSA", "e": "AQAB", "n": 1},
        1,
    ],
)
def test_a_key_that_envoy_would_refuse_the_listener_for_is_refused(key: object) -> None:
    spec = provider(localJWKS={"inline": json.dumps({"keys": [key]})})
    result = compiled(route("r"), policy("p", ("Gateway", "gw"), **spec))
    assert "localJWKS: keys[0]: " in texts(result)
    assert hosts(result)["*"].is_closed


def test_keys_of_other_kinds() -> None:
    found = [{"kty": "EC", **POINT}, {"kty": "OKP", "crv": "Ed25519", "x": "A" * 43}]
    spec = provider(localJWKS={"inline": json.dumps({"keys": found})})
    assert compiled(route("r"), policy("p", ("Gateway", "gw"), **spec)).diagnostics == ()


# --- which policy counts ---


def test_the_most_specific_policy_counts_as_a_whole() -> None:
    result = compiled(
        gateway(listener("a", "a.test"), listener("b", "b.test")),
        route("own", "own.a.test", "b.test"),
        route("other", "a.test"),
        policy("whole", ("Gateway", "gw"), **keys("others")),
        policy("part", ("Gateway", "gw", "a"), cors={"allowOrigins": ["*"]}),
        policy("mine", ("HTTPRoute", "own"), **keys()),
    )
    assert "no listener" not in texts(result)
    on_a, on_b = security(result, "a.test"), security(result, "b.test")
    assert (on_a.api_keys, bool(on_a.cors)) == (None, True)
    assert on_b.api_keys is not None
    assert dict(on_b.api_keys.clients).keys() == {"alice", "bob"}


def test_the_older_of_two_policies_of_a_target_counts_and_the_other_is_named() -> None:
    result = compiled(
        route("r"),
        policy("a", ("Gateway", "gw"), age="2025-01-02T00:00:00Z", **keys("others")),
        policy("b", ("Gateway", "gw"), age="2025-01-01T00:00:00Z", **keys()),
    )
    assert "SecurityPolicy default/b already applies" in texts(result)
    found = security(result).api_keys
    assert found is not None
    assert dict(found.clients).keys() == {"alice", "bob"}


def test_targets_by_labels() -> None:
    selector = {"kind": "HTTPRoute", "matchLabels": {"team": "red"}}
    result = compiled(
        route("red", "red.test", labels={"team": "red"}),
        route("blue", "blue.test", labels={"team": "blue"}),
        policy("p", **keys(), targetSelectors=[selector]),
    )
    assert hosts(result)["red.test"].security
    assert not hosts(result)["blue.test"].security


@pytest.mark.parametrize(
    ("target", "text"),
    [
        (("HTTPRoute", "missing"), "HTTPRoute default/missing not found"),
        (("GRPCRoute", "r"), "GRPCRoute is not supported as a target"),
        (("Gateway", "gw", "missing"), "has no listener of the name missing"),
        (("HTTPRoute", "r", "rule"), "rules of one route cannot have policies of their own"),
    ],
)
def test_a_target_that_is_not_there_is_named(target: tuple[str, str], text: str) -> None:
    assert text in texts(compiled(route("r"), policy("p", target, **keys())))


def test_a_policy_of_a_single_rule_keeps_the_route_out() -> None:
    result = compiled(route("r"), policy("p", ("HTTPRoute", "r", "rule"), **keys()))
    assert plan(result).backends == {}


def test_plain_routes_have_policies_too() -> None:
    selector = {"kind": "HTTPRoute", "matchLabels": {"a": "b"}}
    result = compiled(
        route("r", "a.test"),
        plain_route("own", "a.test"),
        plain_route("labelled", "b.test", labels={"a": "b"}),
        plain_route("other", "c.test"),
        policy("p", ("Gateway", "gw"), **keys()),
        policy("q", ("HTTPRoute", "own"), **keys("others")),
        policy("s", cors={"allowOrigins": ["*"]}, targetSelectors=[selector]),
    )
    assert result.errors == ()
    found = hosts(result)
    whole = found["*"].security
    assert found["a.test"].security == whole == found["c.test"].http[0].security
    assert found["a.test"].http[0].security not in ("", whole)
    assert plan(result).security[found["b.test"].http[0].security].cors


def test_a_plain_route_whose_policy_cannot_be_enforced_is_not_served() -> None:
    result = compiled(
        route("r", "a.test"),
        plain_route("own"),
        policy("q", ("HTTPRoute", "own"), **keys("missing")),
    )
    assert "HTTPRoute default/own: is not served" in texts(result)
    assert [match.rule for match in hosts(result)["*"].http] == ["default/own/http/0/withheld"]


# --- routes behind one host ---


def test_routes_of_one_host_with_different_policies_are_not_served_together() -> None:
    result = compiled(
        route("new", age="2025-01-02T00:00:00Z"),
        route("old", age="2025-01-01T00:00:00Z"),
        route("same", age="2025-01-03T00:00:00Z"),
        policy("a", ("HTTPRoute", "old"), **keys()),
        policy("c", ("HTTPRoute", "same"), **keys()),
        policy("b", ("HTTPRoute", "new"), **keys("others")),
    )
    host = hosts(result)["*"]
    assert served(host, result) == ["old", "same"]
    assert {match.security for match in host.matches} == {host.security}
    named = {str(item.resource) for item in result.errors}
    assert named == {"AIGatewayRoute default/new", "AIGatewayRoute default/old"}
    listed = {model.name for model in plan(result).gateways["default/gw"].models.everywhere}
    assert listed == {"old", "same"}


@pytest.mark.parametrize(
    ("first", "second", "is_conflict"),
    [
        ("a.test", "b.test", False),
        ("a.test", "a.test", True),
        ("*.test", "a.test", True),
        ("a.test", "*.test", True),
        ("*.a.test", "*.b.test", False),
    ],
)
def test_hosts_that_overlap_are_one(first: str, second: str, is_conflict: bool) -> None:
    result = compiled(
        route("a", first), route("b", second), policy("p", ("HTTPRoute", "b"), **keys())
    )
    assert bool(result.errors) is is_conflict
    assert ("default/b/rule/0" in plan(result).rules) is not is_conflict


def test_a_route_without_a_policy_does_not_open_a_host_that_has_one() -> None:
    """The open route is older: the protected one is not served, and nobody gets in instead."""
    result = compiled(route("a"), route("b"), policy("p", ("HTTPRoute", "b"), **keys()))
    assert served(hosts(result)["*"], result) == ["a"]


def test_listeners_of_one_port_keep_their_policies_apart() -> None:
    result = compiled(
        gateway(listener("all"), listener("some", "*.some.test")),
        route("r"),
        policy("p", ("Gateway", "gw", "some"), **keys()),
    )
    assert result.errors == ()
    assert not hosts(result)["*"].security
    some = hosts(result)["*.some.test"]
    assert some.security
    assert {match.security for match in some.matches} == {some.security}
