"""How Backends and Gateways reach providers: TLS, Unix sockets, proxies, fallbacks."""

from typing import Any

import pytest

from aigw.compile.compiler import Compiled
from aigw.compile.proxies import Exceptions, proxy_at, proxy_of
from aigw.errors import Code
from aigw.plan import (
    AddressKind,
    Backend,
    Endpoint,
    Plan,
    Proxy,
    SanType,
    SubjectAltName,
    TlsParameters,
    Verification,
)
from beds.authority import Authority
from beds.documents import AIGW, EG, GW, Document, compile_documents, document

PUBLIC = Authority("public")
COMPANY = Authority("company")
PAIR = COMPANY.issue("gateway.test")
OWN = [{"group": "", "kind": "ConfigMap", "name": "public"}]
CERTIFICATE = {"clientCertificateRef": {"name": "client"}}
HOST = "provider.test"


def service(name: str, **backend: Any) -> list[Document]:  # noqa: ANN401
    """An AIServiceBackend with its Backend."""
    ref = {"group": EG, "kind": "Backend", "name": name}
    endpoints = [{"fqdn": {"hostname": HOST, "port": 443}}]
    return [
        document(AIGW, "AIServiceBackend", name, schema={"name": "OpenAI"}, backendRef=ref),
        document(EG, "Backend", name, **{"endpoints": endpoints, **backend}),
    ]


def gateway(name: str = "ai", port: int = 1975, **spec: Any) -> Document:  # noqa: ANN401
    listener = {"name": "http", "port": port, "protocol": "HTTP"}
    return document(GW, "Gateway", name, gatewayClassName="c", listeners=[listener], **spec)


def route(*names: str, parents: tuple[str, ...] = ("ai",)) -> Document:
    refs = [{"name": name} for name in names]
    parent_refs = [{"name": name} for name in parents]
    return document(
        AIGW, "AIGatewayRoute", "r", parentRefs=parent_refs, rules=[{"backendRefs": refs}]
    )


VALUES: list[Document] = [
    {**document("", "ConfigMap", "public"), "data": {"ca.crt": PUBLIC.pem}},
    {**document("", "ConfigMap", "empty"), "data": {}},
    {**document("", "Secret", "company"), "stringData": {"ca.crt": COMPANY.pem}},
    {
        **document("", "Secret", "client"),
        "stringData": PAIR.data,
    },
    {**document("", "Secret", "broken"), "stringData": {"tls.crt": "x", "tls.key": "y"}},
]


def compiled(*documents: Document, **variables: str) -> Compiled:
    return compile_documents([*documents, *VALUES], variables=variables)


def one(*extra: Document, own: Document | None = None, **backend: Any) -> Compiled:  # noqa: ANN401
    """One Gateway, one route, one backend."""
    return compiled(own or gateway(), route("a"), *service("a", **backend), *extra)


def plan(result: Compiled) -> Plan:
    assert result.plan is not None
    return result.plan


def served(result: Compiled) -> Backend:
    (found,) = plan(result).backends.values()
    return found


def errors(result: Compiled) -> set[tuple[str, Code]]:
    return {(f"{item.resource}: {item.field_path}", item.code) for item in result.errors}


def policy(name: str = "p", **validation: Any) -> Document:  # noqa: ANN401
    target = {"group": EG, "kind": "Backend", "name": "a"}
    validation = {"hostname": "policy.test", **validation}
    if "caCertificateRefs" not in validation:
        validation.setdefault("wellKnownCACertificates", "System")
    return document(GW, "BackendTLSPolicy", name, targetRefs=[target], validation=validation)


def test_own_authorities_are_all_those_that_are_named() -> None:
    refs = [*OWN, {"group": "", "kind": "Secret", "name": "company"}]
    result = one(tls={"caCertificateRefs": refs})
    tls = served(result).tls
    assert tls is not None
    assert (tls.verification, tls.server_name) == (Verification.OWN, HOST)
    text = plan(result).authorities[tls.authorities]
    assert PUBLIC.pem in text
    assert COMPANY.pem in text


@pytest.mark.parametrize(
    ("refs", "code"),
    [
        ([{"group": "", "kind": "ConfigMap", "name": "nothing"}], Code.NOT_FOUND),
        ([{"group": "", "kind": "ConfigMap", "name": "empty"}], Code.INVALID_CREDENTIAL),
        ([*OWN, {"group": "", "kind": "Secret", "name": "client"}], Code.INVALID_CREDENTIAL),
        ([{"group": "", "kind": "Service", "name": "public"}], Code.UNSUPPORTED),
    ],
)
@pytest.mark.parametrize("by_policy", ["the Backend", "a policy"])
def test_a_backend_without_its_authorities_is_left_out(
    refs: list[Document], code: Code, by_policy: str
) -> None:
    if by_policy == "a policy":
        result = one(policy(caCertificateRefs=refs))
        owner = "BackendTLSPolicy default/p: spec.validation"
    else:
        result = one(tls={"caCertificateRefs": refs})
        owner = "Backend default/a: spec.tls"
    assert not plan(result).backends
    place = f"{owner}.caCertificateRefs[{len(refs) - 1}]"
    assert (place + (".kind" if code is Code.UNSUPPORTED else ""), code) in errors(result)


@pytest.mark.parametrize(
    ("name", "code"), [("nothing", Code.NOT_FOUND), ("broken", Code.INVALID_CREDENTIAL)]
)
def test_a_backend_without_its_certificate_is_left_out(name: str, code: Code) -> None:
    result = one(tls={"clientCertificateRef": {"name": name}})
    assert not plan(result).backends
    assert errors(result) == {("Backend default/a: spec.tls.clientCertificateRef", code)}


def test_a_certificate_of_another_namespace_needs_a_grant() -> None:
    result = one(tls={"clientCertificateRef": {"name": "client", "namespace": "other"}})
    assert not plan(result).backends
    assert {code for _, code in errors(result)} == {Code.NOT_PERMITTED}


def test_parameters_reach_the_plan() -> None:
    result = one(
        tls={
            **CERTIFICATE,
            "minVersion": "1.2",
            "maxVersion": "Auto",
            "ciphers": ["[ECDHE-RSA-AES128-GCM-SHA256|ECDHE-RSA-CHACHA20-POLY1305]"],
            "ecdhCurves": ["P-256"],
            "signatureAlgorithms": ["ecdsa_secp256r1_sha256"],
            "alpnProtocols": ["http/1.1"],
        }
    )
    tls = served(result).tls
    assert tls is not None
    assert tls.client_certificate == "default/client"
    assert plan(result).certificates["default/client"].chain == PAIR.chain
    assert tls.parameters == TlsParameters(
        min_version="1.2",
        ciphers=("[ECDHE-RSA-AES128-GCM-SHA256|ECDHE-RSA-CHACHA20-POLY1305]",),
        curves=("P-256",),
        signature_algorithms=("ecdsa_secp256r1_sha256",),
        alpn=("http/1.1",),
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [("ciphers", "NULL-MD5"), ("ecdhCurves", "P-1"), ("signatureAlgorithms", "none")],
)
def test_what_envoy_does_not_know_takes_one_backend_out_and_not_all(field: str, value: str) -> None:
    result = one(tls={field: [value]})
    assert not plan(result).backends
    assert errors(result) == {(f"Backend default/a: spec.tls.{field}[0]", Code.INVALID_FIELD)}


@pytest.mark.parametrize(
    ("tls", "rule"),
    [
        ({"minVersion": "1.3", "maxVersion": "1.2"}, "TLS-2"),
        ({"maxVersion": "1.1"}, "TLS-2"),
        ({"minVersion": "1.3", "ciphers": ["AES128-SHA"]}, "TLS-1"),
        ({"caCertificateRefs": OWN, "wellKnownCACertificates": "System"}, "BE-4"),
        ({"caCertificateRefs": OWN, "insecureSkipVerify": True}, "BE-5"),
        ({"wellKnownCACertificates": "System", "insecureSkipVerify": True}, "BE-5"),
    ],
)
def test_settings_that_contradict_each_other_break_a_rule(tls: Document, rule: str) -> None:
    assert any(rule in str(item) for item in one(tls=tls).errors)


@pytest.mark.parametrize(
    "tls",
    [
        {"minVersion": "1.2", "maxVersion": "1.2", "ciphers": ["AES128-SHA"]},
        {"minVersion": "Auto", "maxVersion": "Auto"},
        {"minVersion": "1.0", "maxVersion": "1.1"},
        {"insecureSkipVerify": True},
        {},
    ],
)
def test_settings_that_fit_are_served(tls: Document) -> None:
    assert served(one(tls=tls)).tls


def test_a_policy_decides_on_name_and_trust_and_the_backend_on_the_rest() -> None:
    names = [
        {"type": "Hostname", "hostname": "san.test"},
        {"type": "URI", "uri": "spiffe://test/provider"},
    ]
    written = policy(caCertificateRefs=OWN, subjectAltNames=names)
    own = {**CERTIFICATE, "insecureSkipVerify": True, "sni": "own.test", "minVersion": "1.3"}
    tls = served(one(written, tls=own)).tls
    assert tls is not None
    assert (tls.server_name, tls.verification) == ("policy.test", Verification.OWN)
    assert tls.subject_alt_names == (
        SubjectAltName(SanType.DNS, "san.test"),
        SubjectAltName(SanType.URI, "spiffe://test/provider"),
    )
    assert tls.client_certificate == "default/client"
    assert tls.parameters.min_version == "1.3"


@pytest.mark.parametrize(
    ("validation", "rule"),
    [
        ({"caCertificateRefs": OWN, "wellKnownCACertificates": "System"}, "BTP-2"),
        ({"subjectAltNames": [{"type": "URI", "hostname": "a.test"}]}, "BTP-3"),
        ({"subjectAltNames": [{"type": "Hostname", "uri": "a://b", "hostname": "a"}]}, "BTP-3"),
    ],
)
def test_a_policy_that_contradicts_itself_leaves_its_backend_out(
    validation: Document, rule: str
) -> None:
    result = one(policy(**validation))
    assert any(rule in str(item) for item in result.errors)
    assert not plan(result).backends


def test_of_two_policies_the_older_one_decides_and_the_other_is_named() -> None:
    older, younger = policy("z", hostname="older.test"), policy("b", hostname="younger.test")
    older["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    younger["metadata"]["creationTimestamp"] = "2026-02-01T00:00:00Z"
    result = one(younger, older)
    tls = served(result).tls
    assert tls is not None
    assert tls.server_name == "older.test"
    (finding,) = [item for item in result.diagnostics if item.code is Code.CONFLICT]
    assert "BackendTLSPolicy default/b" in str(finding)


def envoy_proxy(**settings: Any) -> list[Document]:  # noqa: ANN401
    return [document(EG, "EnvoyProxy", "settings", backendTLS=settings)]


WITH_PROXY = {
    "infrastructure": {"parametersRef": {"group": EG, "kind": "EnvoyProxy", "name": "settings"}}
}


def test_an_envoy_proxy_has_defaults_for_tls() -> None:
    settings = envoy_proxy(**CERTIFICATE, minVersion="1.2", ecdhCurves=["P-384"])
    own = gateway(**WITH_PROXY)
    tls = served(one(*settings, own=own, tls={"minVersion": "1.3"})).tls
    assert tls is not None
    assert tls.client_certificate == "default/client"
    assert (tls.parameters.min_version, tls.parameters.curves) == ("1.3", ("P-384",))
    assert served(one(*settings, own=own)).tls is None


@pytest.mark.parametrize("place", ["tls", "backendTLS"])
def test_the_certificate_of_a_gateway_comes_before_that_of_its_envoy_proxy(place: str) -> None:
    spec = {"tls": {"backend": CERTIFICATE}} if place == "tls" else {place: CERTIFICATE}
    settings = envoy_proxy(clientCertificateRef={"name": "other"})
    tls = served(one(*settings, own=gateway(**spec), tls={})).tls
    assert tls is not None
    assert tls.client_certificate == "default/client"


def test_without_the_certificate_of_its_gateway_a_backend_is_left_out() -> None:
    settings = envoy_proxy(clientCertificateRef={"name": "nothing"})
    result = one(*settings, own=gateway(**WITH_PROXY), tls={})
    assert not plan(result).backends
    assert errors(result) == {
        ("EnvoyProxy default/settings: spec.backendTLS.clientCertificateRef", Code.NOT_FOUND),
        ("AIGatewayRoute default/r: spec.rules[0].backendRefs[0]", Code.LEFT_OUT),
    }
    own = one(*settings, own=gateway(**WITH_PROXY), tls=CERTIFICATE)
    assert served(own).tls


@pytest.mark.parametrize(
    ("hosts", "name"),
    [
        (("a.test", "a.test"), "a.test"),
        (("a.test", "b.test"), ""),
        (("192.0.2.1", "192.0.2.2"), "192.0.2.1"),
    ],
)
def test_endpoints_with_names_of_their_own_are_asked_for_them(
    hosts: tuple[str, ...], name: str
) -> None:
    endpoints = [{"fqdn": {"hostname": host, "port": 443}} for host in hosts]
    tls = served(one(endpoints=endpoints, tls={})).tls
    assert tls is not None
    assert tls.server_name == name
    fixed = served(one(endpoints=endpoints, tls={"sni": "c.test"})).tls
    assert fixed is not None
    assert fixed.server_name == "c.test"


def test_a_unix_socket_is_an_endpoint() -> None:
    endpoints = [{"unix": {"path": "/run/model.sock"}, "hostname": "model.test"}]
    (found,) = served(one(endpoints=endpoints)).endpoints
    assert found == Endpoint("/run/model.sock", 0, "model.test", AddressKind.UNIX)


def test_h2c_is_for_plain_text() -> None:
    protocols = {"appProtocols": [f"{EG}/h2c"]}
    assert served(one(**protocols)).http2
    result = one(**protocols, tls={})
    assert not served(result).http2
    assert ("spec.appProtocols[0]", Code.NO_EFFECT) in {
        (item.field_path, item.code) for item in result.diagnostics
    }


def test_h2c_of_some_backends_is_named() -> None:
    mixed = [*service("a", appProtocols=[f"{EG}/h2c"]), *service("b")]
    (finding,) = compiled(gateway(), route("a", "b"), *mixed).diagnostics
    assert "extproc" in finding.message


def test_an_envoy_proxy_with_errors_takes_out_what_its_tls_settings_were_for() -> None:
    broken = document(EG, "EnvoyProxy", "settings", backendTLS={"minVersion": "1.3"}, concurrency=1)
    assert not plan(one(broken, own=gateway(**WITH_PROXY), tls={})).backends
    assert served(one(broken, own=gateway(**WITH_PROXY))).tls is None


SOCKET = [{"unix": {"path": "/x"}}]


def rules_notes(*backends: Document, **variables: str) -> list[str]:
    fallback = service("b", fallback=True)
    result = compiled(gateway(), route("a", "b"), *backends, *fallback, **variables)
    return [item.message for item in result.diagnostics]


def test_what_is_lost_in_plain_text_is_named() -> None:
    (proxied,) = rules_notes(*service("a"), HTTP_PROXY="http://p:1")
    assert "proxy" in proxied
    (named,) = rules_notes(*service("a", endpoints=SOCKET))
    assert "extproc" in named
    assert not rules_notes(*service("a"))


def test_fallbacks_are_a_group_after_the_others() -> None:
    backends = [*service("a", fallback=True), *service("b"), *service("c")]
    (rule,) = plan(compiled(gateway(), route("a", "b", "c"), *backends)).rules.values()
    groups = [[one.backend.split("/")[1] for one in group.members] for group in rule.groups]
    assert groups == [["b", "c"], ["a"]]
    assert rule.retry is not None
    assert rule.retry.num_retries == 1


SECURE: Document = {"tls": {}}


@pytest.mark.parametrize(
    ("variables", "backend", "key"),
    [
        ({"HTTPS_PROXY": "http://p:1"}, SECURE, "HTTPS_PROXY"),
        ({"https_proxy": "p:1", "HTTPS_PROXY": "ftp://x"}, SECURE, "HTTPS_PROXY"),
        ({"HTTP_PROXY": "http://p:1"}, SECURE, ""),
        ({"HTTP_PROXY": "http://p:1"}, {}, "HTTP_PROXY"),
        ({"HTTPS_PROXY": "http://p:1"}, {}, ""),
        ({"ALL_PROXY": "http://p:1", "HTTP_PROXY": "http://q:1"}, SECURE, "ALL_PROXY"),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": "other, .provider.test"}, SECURE, ""),
        ({"ALL_PROXY": "http://p:1", "no_proxy": "*"}, SECURE, ""),
        ({"HTTPS_PROXY": ""}, SECURE, ""),
    ],
)
def test_the_environment_chooses_a_proxy(
    variables: dict[str, str], backend: Document, key: str
) -> None:
    result = compiled(gateway(), route("a"), *service("a", **backend), **variables)
    (endpoint,) = served(result).endpoints
    assert endpoint.proxy == key
    assert dict(plan(result).proxies) == ({key: Proxy("p", 1)} if key else {})


@pytest.mark.parametrize(
    "endpoint",
    [
        {"ip": {"address": "127.0.0.2", "port": 1}},
        {"ip": {"address": "::1", "port": 1}},
        {"fqdn": {"hostname": "localhost", "port": 1}},
        {"unix": {"path": "/x"}},
    ],
)
def test_this_machine_is_never_behind_a_proxy(endpoint: Document) -> None:
    backend = service("a", endpoints=[endpoint])
    result = compiled(gateway(), route("a"), *backend, ALL_PROXY="socks5://p:1")
    assert served(result).endpoints[0].proxy == ""
    assert not result.errors


def test_a_proxy_that_cannot_be_used_takes_its_backends_out() -> None:
    value = "socks5://user:canary@p:1"
    result = compiled(gateway(), route("a"), *service("a"), ALL_PROXY=value)
    assert not plan(result).backends
    texts = [str(item) for item in result.errors]
    assert any("ALL_PROXY: socks5 proxies are not supported" in text for text in texts)
    assert not any("canary" in text for text in texts)


def configured(name: str, port: int, address: str) -> list[Document]:
    own = gateway(name, port)
    own["metadata"]["annotations"] = {f"{AIGW}/gateway-config": name}
    return [own, document(AIGW, "GatewayConfig", name, forwardProxy={"address": address})]


def test_a_gateway_config_comes_before_the_environment() -> None:
    documents = [*configured("ai", 1975, "[::1]:3128"), route("a"), *service("a", tls={})]
    result = compiled(*documents, HTTPS_PROXY="http://p:1")
    assert dict(plan(result).proxies) == {"GatewayConfig default/ai@::1:3128": Proxy("::1", 3128)}
    excepted = compiled(*documents, NO_PROXY=HOST)
    assert served(excepted).endpoints[0].proxy == ""


def test_a_bad_address_of_a_gateway_config_counts_as_none() -> None:
    result = compiled(*configured("ai", 1975, "nonsense"), route("a"), *service("a"))
    assert served(result).endpoints[0].proxy == ""
    assert {path for path, _ in errors(result)} == {
        "GatewayConfig default/ai: spec.forwardProxy.address"
    }


def test_a_forward_proxy_that_no_gateway_names_is_named() -> None:
    config = document(AIGW, "GatewayConfig", "x", forwardProxy={"address": "p:1"})
    (finding,) = one(config).diagnostics
    assert (finding.code, finding.field_path) == (Code.NO_EFFECT, "spec.forwardProxy")


def test_gateways_with_other_ways_have_other_backends() -> None:
    documents = [*configured("ai", 1975, "p:1"), *configured("two", 1976, "q:1")]
    result = compiled(*documents, route("a", parents=("ai", "two")), *service("a", tls={}))
    found = plan(result)
    assert set(found.backends) == {
        "default/a/route/r/rule/0/ref/0",
        "default/a/route/r/rule/0/ref/0@default/two",
    }
    assert set(found.rules) == {"default/r/rule/0", "default/r/rule/0@default/two"}
    for rule in found.rules.values():
        (member,) = rule.groups[0].members
        assert member.backend.endswith("@default/two") == rule.id.endswith("@default/two")
    assert {proxy.host for proxy in found.proxies.values()} == {"p", "q"}


@pytest.mark.parametrize(
    ("value", "proxy"),
    [
        ("http://proxy.test:3128", Proxy("proxy.test", 3128)),
        ("proxy.test", Proxy("proxy.test", 80)),
        ("https://proxy.test/", Proxy("proxy.test", 443, has_tls=True)),
        ("http://[::1]:3128", Proxy("::1", 3128)),
        ("http://u:p%40@h:1", Proxy("h", 1, authorization="Basic dTpwQA==")),
        ("http://u@h:1", Proxy("h", 1, authorization="Basic dTo=")),
    ],
)
def test_urls_of_proxies(value: str, proxy: Proxy) -> None:
    assert proxy_of(value) == proxy
    assert "Basic" not in repr(proxy)


@pytest.mark.parametrize(
    "value",
    ["socks5h://h:1", "http://", "http://h:x", "http://h:99999", "http://h/path", "http://a b:1"],
)
def test_values_that_are_no_proxy(value: str) -> None:
    assert isinstance(proxy_of(value), str)


def test_addresses_of_forward_proxies() -> None:
    assert proxy_at("h:3128") == Proxy("h", 3128)
    assert proxy_at("[::1]:1") == Proxy("::1", 1)
    assert proxy_at("h") is None


@pytest.mark.parametrize(
    ("text", "host", "is_covered"),
    [
        ("", "a.test", False),
        ("*", "a.test", True),
        ("a.test", "a.test", True),
        ("a.test", "A.test.", True),
        ("a.test", "b.a.test", True),
        (".a.test", "b.a.test", True),
        ("*.a.test", "b.a.test", True),
        ("a.test", "ba.test", False),
        ("test", "a.test", True),
        ("x,  a.test", "a.test", True),
        ("x a.test", "a.test", True),
        ("a.test:443", "a.test", True),
        ("a.test:80", "a.test", False),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.0.0.0/8", "10.test", False),
        ("10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1:80", "10.0.0.1", False),
        ("::1/64", "::2", True),
        ("[fd00::1]:443", "fd00::1", True),
        ("0.1", "10.0.0.1", False),
        (",,", "a.test", False),
    ],
)
def test_no_proxy(text: str, host: str, is_covered: bool) -> None:
    assert Exceptions(text).cover(host, 443) is is_covered
