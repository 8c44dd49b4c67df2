"""Base URLs of providers to resources."""

from __future__ import annotations

from typing import Any

import pytest

from aigw.standalone.autoconfig import providers_of, resources
from aigw.standalone.errors import RunError


def generated(url: str | None, name: str = "OPENAI") -> dict[str, Any]:
    """The specs by kind that one key and its base URL lead to."""
    environment = {f"{name}_API_KEY": "k"} | ({f"{name}_BASE_URL": url} if url else {})
    found = resources(providers_of(environment), 1975)
    return {item["kind"]: item.get("spec", item) for item in found}


@pytest.mark.parametrize(
    ("url", "prefix"),
    [
        ("http://h", None),
        ("http://h/", None),
        ("http://h/v1/", "v1"),
        ("http://h/api/v1", "api/v1"),
        (" http://h/v1 ", "v1"),
        ("http://h/$HOME", "$$HOME"),
    ],
)
def test_the_path_of_a_base_url_is_the_prefix_and_without_one_the_default_applies(
    url: str, prefix: str | None
) -> None:
    assert generated(url)["AIServiceBackend"]["schema"].get("prefix") == prefix


def test_the_base_url_of_anthropics_own_library_works() -> None:
    spec = generated("https://api.anthropic.com", "ANTHROPIC")
    assert spec["AIServiceBackend"]["schema"] == {"name": "Anthropic"}


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("http://H.Example./v1", {"fqdn": {"hostname": "h.example", "port": 80}}),
        ("https://bücher.example", {"fqdn": {"hostname": "xn--bcher-kva.example", "port": 443}}),
        ("http://10.0.0.1:81", {"ip": {"address": "10.0.0.1", "port": 81}}),
        ("http://[::1]:81/v1", {"ip": {"address": "::1", "port": 81}}),
    ],
)
def test_hosts_are_names_or_addresses(url: str, endpoint: dict[str, Any]) -> None:
    assert generated(url)["Backend"]["endpoints"] == [endpoint]


def test_tls_to_an_ipv6_address_needs_no_host_name() -> None:
    specs = generated("https://[2001:db8::1]/v1")
    assert specs["Backend"]["tls"] == {"wellKnownCACertificates": "System"}
    assert "BackendTLSPolicy" not in specs


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("h/v1", "missing hostname"),
        ("ftp://h", "unsupported scheme"),
        ("http://h:99999", "cannot be read"),
        ("http://h:0", "0 is not a port"),
        ("http://user:pa55@h/v1", "name or password"),
        ("http://h/v1?api-version=1", "query"),
        ("http://h/a b", "percent-encoded"),
        ("http://h\r\nx/v1", "percent-encoded"),
        ("http://my_host/v1", "not a host name"),
    ],
)
def test_a_base_url_that_cannot_be_used_is_refused(url: str, reason: str) -> None:
    with pytest.raises(RunError, match=reason) as refused:
        generated(url)
    assert "pa55" not in str(refused.value)
