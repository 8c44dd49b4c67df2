"""Base URLs of providers to resources."""

from __future__ import annotations

import re
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


AZURE = {
    "AZURE_OPENAI_API_KEY": "k",
    "AZURE_OPENAI_ENDPOINT": "https://me.openai.azure.com/",
    "OPENAI_API_VERSION": "2025-04-01",
}


def models(environment: dict[str, str]) -> list[tuple[str, str, str]]:
    """Name, schema and models of each provider, in the order in which they are tried."""
    return [(item.name, item.schema, item.models) for item in providers_of(environment)]


def test_azure_wins_over_openai_and_goes_with_anthropic() -> None:
    both = {**AZURE, "OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k"}
    assert models(both) == [
        ("anthropic", "Anthropic", "claude-.*"),
        ("openai", "AzureOpenAI", ".*"),
    ]
    found = {item["kind"]: item for item in resources(providers_of(AZURE), 1975)}
    schema = {"name": "AzureOpenAI", "version": "2025-04-01"}
    assert found["AIServiceBackend"]["spec"]["schema"] == schema
    assert found["BackendSecurityPolicy"]["spec"]["type"] == "AzureAPIKey"
    assert found["Secret"]["stringData"] == {"apiKey": "${AZURE_OPENAI_API_KEY}"}


@pytest.mark.parametrize("name", ["AZURE_OPENAI_ENDPOINT", "OPENAI_API_VERSION"])
def test_azure_needs_more_than_a_key(name: str) -> None:
    environment = {key: value for key, value in AZURE.items() if key != name}
    with pytest.raises(RunError, match=f"{name} environment variable is required"):
        providers_of(environment)


def test_one_provider_takes_every_model() -> None:
    assert models({"ANTHROPIC_API_KEY": "k"}) == [("anthropic", "Anthropic", ".*")]


def test_another_provider_can_take_everything_else() -> None:
    keys = {"OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k"}
    first, second = models({**keys, "AIGW_DEFAULT_BACKEND": "anthropic"})
    assert (first[0], second) == ("openai", ("anthropic", "Anthropic", ".*"))
    assert re.fullmatch(first[2], "gpt-5-mini")
    assert not re.fullmatch(first[2], "claude-opus-4")
    with pytest.raises(RunError, match="AIGW_DEFAULT_BACKEND: azure is not a provider"):
        providers_of({**keys, "AIGW_DEFAULT_BACKEND": "azure"})
