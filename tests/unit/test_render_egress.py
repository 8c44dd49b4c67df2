"""Ways to providers in Envoy's words: TLS, Unix sockets, proxies; the real Envoy accepts them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aigw.compile.tls_algorithms import CIPHERS, CURVES, RSA_SHA1, SIGNATURES
from aigw.plan import (
    AddressKind,
    Backend,
    BackendGroup,
    Certificate,
    Endpoint,
    Member,
    Plan,
    Proxy,
    Rule,
    SanType,
    Schema,
    SubjectAltName,
    Timeouts,
    Tls,
    TlsParameters,
    Verification,
)
from aigw.render.envoy import (
    DataPlane,
    EnvoyConfig,
    EnvoyTarget,
    envoy_environment,
    render_envoy,
    self_contained,
)
from beds import rendering
from beds.authority import Authority

OWN = Tls("provider.test", Verification.OWN, "Backend default/a")
NAMED = Endpoint("provider.test", 443, "provider.test", AddressKind.DNS)
OTHER = Endpoint("other.test", 443, "other.test", AddressKind.DNS)
PROXIED = replace(NAMED, proxy="HTTPS_PROXY")
SOCKET = Endpoint("/run/model.sock", 0, "localhost", AddressKind.UNIX)
ADDRESS = Endpoint("192.0.2.1", 443, "192.0.2.1", AddressKind.IP)
SECRET = "Basic Y2FuYXJ5"
PROXIES = {
    "HTTPS_PROXY": Proxy("proxy.test", 3128, authorization=SECRET),
    "GatewayConfig default/c": Proxy("::1", 443, has_tls=True),
}
PUBLIC = Authority("public")
PAIR = PUBLIC.issue("gateway.test")


def backend(name: str, *endpoints: Endpoint, **more: Any) -> Backend:  # noqa: ANN401
    fields = {"backend": f"default/{name}", "route": "default/r", "schema": Schema("OpenAI", "v1")}
    host = endpoints[0].hostname
    return Backend(name=name, endpoints=endpoints, host=host, **{**fields, **more})


def plan(*backends: Backend) -> Plan:
    """One rule with a group for each backend."""
    groups = tuple(BackendGroup((Member(item.name, 1),)) for item in backends)
    rule = Rule("default/r/rule/0", "default/r", groups, Timeouts())
    return Plan(
        gateways={},
        ports=(),
        rules={rule.id: rule},
        backends={item.name: item for item in backends},
        certificates={"default/client": Certificate(PAIR.chain, PAIR.key)},
        authorities={"Backend default/a": PUBLIC.pem},
        proxies=PROXIES,
    )


def rendered(tmp_path: Path, data_plane: DataPlane, *backends: Backend) -> EnvoyConfig:
    trusted = tmp_path / "trusted.pem"
    trusted.write_text(PUBLIC.pem)
    target = EnvoyTarget(
        data_plane,
        runtime_dir=str(tmp_path / "runtime"),
        xds_dir=str(tmp_path),
        admin_socket=str(tmp_path / "admin.sock"),
        module_path="/m.so",
        extproc_socket=str(tmp_path / "ext_proc.sock"),
        ca_file=str(trusted),
    )
    return render_envoy(plan(*backends), target)


def clusters(config: EnvoyConfig) -> dict[str, Any]:
    found: Any = config.files["cds/clusters.json"]["resources"]
    return {item["name"].split("@")[0]: item for item in found}


def listeners(config: EnvoyConfig) -> dict[str, Any]:
    found: Any = config.files["lds/listeners.json"]["resources"]
    return {item["name"]: item for item in found}


def validate(config: EnvoyConfig, tmp_path: Path) -> None:
    """The real Envoy accepts it. Only ext_proc: the module needs its library."""
    for path, text in config.secrets.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    rendering.validate(self_contained(config), tmp_path)


PARAMETERS = TlsParameters(
    min_version="1.2",
    max_version="1.3",
    ciphers=(*sorted(CIPHERS), "[AES128-SHA|AES256-SHA]"),
    curves=tuple(sorted(CURVES)),
    signature_algorithms=tuple(sorted({*SIGNATURES, RSA_SHA1})),
    alpn=("h2", "http/1.1"),
)
SAN = (SubjectAltName(SanType.DNS, "san.test"), SubjectAltName(SanType.URI, "spiffe://a/b"))
FULL = replace(
    OWN, client_certificate="default/client", subject_alt_names=SAN, parameters=PARAMETERS
)
MIXTURES = {
    "TLS with everything": (backend("a", NAMED, tls=FULL), backend("b", ADDRESS, tls=OWN)),
    "names of their own": (backend("a", NAMED, OTHER, tls=replace(OWN, server_name="")),),
    "old versions": (
        backend("a", NAMED, tls=replace(OWN, parameters=TlsParameters("1.0", "1.1"))),
    ),
    "only new versions": (backend("a", NAMED, tls=replace(OWN, parameters=TlsParameters("1.3"))),),
    "a proxy": (backend("a", PROXIED, tls=OWN), backend("b", PROXIED, tls=FULL)),
    "a proxy with TLS": (backend("a", replace(ADDRESS, proxy="GatewayConfig default/c"), tls=OWN),),
    "everything": (
        backend("a", PROXIED, tls=FULL),
        backend("b", NAMED),
        backend("c", SOCKET),
        backend("d", ADDRESS, tls=OWN),
        backend("e", Endpoint("localhost", 80, "localhost", AddressKind.DNS)),
    ),
    "HTTP/2 in plain text": (backend("a", SOCKET, http2=True), backend("b", NAMED, http2=True)),
}


@pytest.mark.parametrize("name", list(MIXTURES))
def test_envoy_accepts_it(name: str, tmp_path: Path) -> None:
    validate(rendered(tmp_path, DataPlane.EXTPROC, *MIXTURES[name]), tmp_path)
    # The clusters of the module differ in what resolves names; its filters are not checked.
    config = rendered(tmp_path, DataPlane.MODULE, *MIXTURES[name])
    for cluster in clusters(config).values():
        cluster.get("typed_extension_protocol_options", {}).clear()
    validate(config, tmp_path)


@pytest.mark.parametrize("data_plane", list(DataPlane))
def test_a_proxy_is_asked_for_the_name_and_told_what_no_file_holds(
    data_plane: DataPlane, tmp_path: Path
) -> None:
    config = rendered(tmp_path, data_plane, backend("a", PROXIED, tls=OWN))
    name = "aigw.egress/HTTPS_PROXY/provider.test:443"
    proxy = listeners(config)[name]["filter_chains"][0]["filters"][0]["typed_config"]
    assert proxy["tunneling_config"]["hostname"] == "provider.test:443"
    (header,) = proxy["tunneling_config"]["headers_to_add"]
    variable = "AIGW_PROXY_AUTHORIZATION_HTTPS_PROXY"
    assert header["header"]["value"] == f"%ENVIRONMENT({variable})%"
    assert SECRET not in json.dumps([config.files, config.bootstrap])
    assert SECRET not in "".join(config.secrets.values())
    assert envoy_environment(plan(backend("a", PROXIED)).proxies) == {variable: SECRET}
    found = clusters(config)
    assert "cluster_type" in found["aigw.proxy/HTTPS_PROXY"]
    (own,) = [item for key, item in found.items() if not key.startswith("aigw.")]
    assert own["type"] == "STATIC"


def test_names_among_other_ways_are_looked_up_on_their_own(tmp_path: Path) -> None:
    backends = MIXTURES["everything"]
    of_rule = rendered(tmp_path, DataPlane.EXTPROC, *backends)
    assert "aigw.egress/direct/provider.test:443" in listeners(of_rule)
    assert "aigw.direct/provider.test:443" in clusters(of_rule)
    alone = rendered(tmp_path, DataPlane.MODULE, *backends)
    assert list(listeners(alone)) == ["aigw.egress/HTTPS_PROXY/provider.test:443"]


def test_http2_is_not_offered_where_it_is_not_spoken(tmp_path: Path) -> None:
    mixed = (backend("a", NAMED, tls=FULL), backend("b", NAMED))
    (cluster,) = clusters(rendered(tmp_path, DataPlane.EXTPROC, *mixed)).values()
    match = cluster["transport_socket_matches"][0]
    context = match["transport_socket"]["typed_config"]["common_tls_context"]
    assert context["alpn_protocols"] == ["http/1.1"]
