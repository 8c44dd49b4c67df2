"""`aigw._core`: the core from Python, step by step."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aigw import _core
from aigw.errors import AigwError

GATEWAY = "default/gw"
BACKEND = {
    "name": "default/b/route/r/rule/0/ref/0",
    "backend": "default/b",
    "route": "default/r",
    "schema": {"name": "OpenAI", "prefix": "v1"},
    "host": "api.example.com",
    "model_name_override": "other",
    "auth": {"type": "APIKey", "credential": "default/key"},
}
CREDENTIALS = {"version": 1, "credentials": {"default/key": {"type": "APIKey", "key": "secret"}}}
HEAD = [
    (":method", b"POST"),
    (":path", b"/v1/chat/completions"),
    ("content-type", b"application/json"),
    ("authorization", b"Bearer of-the-client"),
]
BODY = b'{"model":"m","messages":[]}'
JSON = [("content-type", b"application/json")]


def config(**backend: Any) -> bytes:  # noqa: ANN401 - any JSON
    return json.dumps(
        {
            "version": 1,
            "generation": "g",
            "gateways": {GATEWAY: {"models": []}},
            "backends": {"b@1": {**BACKEND, **backend}},
        }
    ).encode()


def exchange(credentials: object = CREDENTIALS) -> _core.Exchange:
    return _core.Exchange(config(), json.dumps(credentials).encode(), GATEWAY, now=1_700_000_000)


def attempt(credentials: object = CREDENTIALS) -> _core.Attempt:
    found = exchange(credentials)
    assert found.head(HEAD) is None
    found.body(BODY)
    return found.attempt("b@1")


def test_a_good_config_is_accepted() -> None:
    _core.check_config(config())


def test_a_bad_config_is_named_in_an_error_of_ours() -> None:
    with pytest.raises(_core.ConfigError, match="version") as caught:
        _core.check_config(b"{}")
    assert isinstance(caught.value, AigwError)
    assert (caught.value.kind, caught.value.status) == ("config", 500)


def test_the_body_names_the_model_and_drops_the_credential() -> None:
    found = exchange()
    assert found.head(HEAD) is None
    edits, metadata = found.body(BODY)
    assert ("set", "x-ai-eg-model", b"m") in edits
    assert ("remove", "authorization", b"") in edits
    assert metadata == {
        "original_model": "m",
        "original_path": "/v1/chat/completions",
        "request_id": "0123456789abcdef0123456789abcdef",
    }
    assert (found.model, found.stream) == ("m", False)


def test_an_attempt_builds_the_same_request_each_time() -> None:
    found = attempt()
    assert found.needs_body
    first, second = found.prepare(BODY), found.prepare(BODY)
    assert first.body == second.body == b'{"model":"other","messages":[]}'
    assert ("set", "authorization", b"Bearer secret") in first.edits
    assert first.metadata["backend_name"] == BACKEND["name"]


def test_a_reply_reports_usage() -> None:
    found = attempt()
    found.prepare(BODY)
    head = found.response_head(200, JSON)
    assert (head.body, head.hold) == ("watch", False)
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    assert found.response_body(b'{"model":"x",').replaced is None
    assert found.response_end(b'"usage":%s}' % json.dumps(usage).encode()).release is None
    metadata = found.take_metadata()
    assert (metadata["total_tokens"], metadata["response_model"]) == (3.0, "x")
    assert json.loads(found.record())["outcome"] == "completed"


def test_a_refused_request_carries_its_reply() -> None:
    found = exchange()
    found.head(HEAD)
    with pytest.raises(_core.RequestError) as caught:
        found.body(b"{")
    error = caught.value
    assert (error.kind, error.status) == ("malformed_request", 400)
    assert json.loads(error.reply.body)["error"]["code"] == "400"
    assert ("content-type", "application/json") in error.reply.headers


def test_a_missing_credential_is_refused_without_waiting() -> None:
    with pytest.raises(_core.RequestError) as caught:
        attempt({"version": 1, "credentials": {}}).prepare(BODY)
    assert caught.value.kind == "credential_unavailable"
    assert "secret" not in repr(caught.value)


def test_an_unknown_path_is_answered_at_the_head() -> None:
    reply = exchange().head_only([(":method", b"GET"), (":path", b"/nope")])
    assert reply is not None
    assert reply.status == 404


def test_steps_in_a_wrong_order_are_refused() -> None:
    with pytest.raises(_core.CallOrderError):
        exchange().body(BODY)
    with pytest.raises(_core.CallOrderError):
        exchange().attempt("b@1")


def test_the_error_table_has_every_status_of_envoy_and_core() -> None:
    table = json.loads(_core.error_table())
    assert {row["kind"] for row in table["core"]} >= {"not_ready", "internal"}
    assert {row["status"] for row in table["envoy"]} >= {413, 503, 504}


def test_a_session_of_an_unknown_role_is_refused(tmp_path: Any) -> None:  # noqa: ANN401
    (tmp_path / "config.json").write_bytes(config())
    host = _core.ExtProcHost(str(tmp_path))
    with pytest.raises(_core.CallOrderError):
        host.session("neither", GATEWAY)
    session = host.session("request", GATEWAY)
    with pytest.raises(_core.SessionError):
        session.handle(b"\xff")
    session.close()
    assert host.in_flight == 0


def test_a_missing_runtime_directory_is_named() -> None:
    with pytest.raises(_core.StartError, match="no-such-directory"):
        _core.ExtProcHost("/no-such-directory")
