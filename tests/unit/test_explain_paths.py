"""Paths as Envoy makes them normal; tests/envoy/test_explain.py asks Envoy itself."""

from __future__ import annotations

import pytest

from aigw.explain.paths import normal
from aigw.plan.traffic import ClientTraffic

REFUSED = "400: the request is not valid HTTP"


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("/v1/chat", "/v1/chat"),
        ("/", "/"),
        ("//", "//"),
        ("/a//b/", "/a/b/"),
        ("/a/./b/../c", "/a/c"),
        ("/a/%2E%2e/b", "/b"),
        ("/..", "/"),
        ("/a/..", "/"),
        ("/a/b/.", "/a/b/"),
        ("/a/...", "/a/..."),
        ("/a.b/..c", "/a.b/..c"),
        ("/a\\b", "/a/b"),
        ("/%41%7E%2d%3A%2f%c3%a4", "/A~-%3A%2f%c3%a4"),
        ("/%", "/%"),
        ("/%zz%4", "/%zz%4"),
        ('/^`{|}<>"', "/%5E%60%7B%7C%7D%3C%3E%22"),
        ("/a?x=/../y//z%41", "/a?x=/../y//z%41"),
    ],
)
def test_paths_are_canonical(written: str, path: str) -> None:
    found = normal(written, ClientTraffic())
    assert (found.path, found.answer) == (path, "")


@pytest.mark.parametrize("path", ["/a#b", "/a?#", "/%00", "/a b", "/\u00e4", "/a\n"])
def test_what_is_no_path_is_refused(path: str) -> None:
    assert normal(path, ClientTraffic()).answer == REFUSED


@pytest.mark.parametrize(
    ("action", "path", "answer"),
    [
        (None, "/a%2Fb%5cc", ""),
        ("KeepUnchanged", "/a%2Fb%5cc", ""),
        ("RejectRequest", "/a%2Fb%5cc", REFUSED),
        ("UnescapeAndForward", "/a/b/c", ""),
        ("UnescapeAndRedirect", "/a/b/c", "307: the client is sent to /a/b/c"),
    ],
)
def test_escaped_slashes_are_what_the_policy_says(
    action: str | None, path: str, answer: str
) -> None:
    found = normal("/a%2Fb%5cc", ClientTraffic(escaped_slashes=action))
    assert (found.path, found.answer) == (path, answer)
    assert normal("/a", ClientTraffic(escaped_slashes=action)).answer == ""


def test_slashes_in_a_row_may_stay() -> None:
    assert normal("//a///b", ClientTraffic(merge_slashes=False)).path == "//a///b"
