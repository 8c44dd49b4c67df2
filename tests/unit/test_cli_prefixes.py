"""Options that say where clients find the endpoints."""

import argparse

import pytest

from aigw.cli.prefixes import endpoint_prefixes, root_prefix
from aigw.plan import EndpointPrefixes


def test_any_of_the_prefixes_may_be_given_and_may_be_empty() -> None:
    assert endpoint_prefixes("") == {}
    assert endpoint_prefixes(" openai : /o , cohere:") == {"openai": "/o", "cohere": ""}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("openai:/a,", "empty endpointPrefixes pair at position 2"),
        (",", "empty endpointPrefixes pair at position 1"),
        (
            "openai",
            'invalid endpointPrefixes pair at position 1: "openai" (expected format: key:value)',
        ),
        (
            "OpenAI:/a",
            'unknown endpointPrefixes key "OpenAI" at position 1 '
            "(allowed: openai, cohere, anthropic)",
        ),
        ("openai:/a b", "'/a b' is not a path"),
        ("openai:/a%20b", "'/a%20b' is not a path"),
    ],
)
def test_what_is_no_prefix_is_said(text: str, message: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError) as error:
        endpoint_prefixes(text)
    assert str(error.value) == message


@pytest.mark.parametrize("text", ["/a#b", '/"', "/a\\b", "http://host:80/"])
def test_a_root_is_a_path(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        root_prefix(text)


def test_paths_are_clean() -> None:
    prefixes = EndpointPrefixes(root="ai//", openai="", anthropic="/a/../b/")
    assert prefixes.path(prefixes.openai, "v1") == "/ai/v1"
    assert prefixes.path(prefixes.anthropic) == "/ai/b"
    assert prefixes.path(prefixes.cohere, "v2") == "/ai/cohere/v2"
    assert EndpointPrefixes().path("/") == "/"
