"""Every request makes one usage record, whatever becomes of it, and the same one in each host.

The name of a case travels as a request header, and comes back as an attribute of its record.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from aigw.providers import FakeProvider, Fault, FaultKind, Gate, Match, Phase, Reply
from beds.gateway import run_gateway
from beds.provider import LoopThread, ProviderBed
from beds.raw_http import RawConnection, request
from beds.resources import BackendSpec, Resource, gateway_yaml, resource, retries, rule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from beds.gateway import RunningGateway
    from beds.ports import FreePorts

HOSTS = {
    "module": ("--data-plane", "module"),
    "extproc": ("--data-plane", "extproc"),
    "grpcio": ("--data-plane", "extproc", "--ext-proc-transport", "grpcio"),
}
ENVIRONMENT = {
    "OTEL_AIGW_REQUEST_HEADER_ATTRIBUTES": "X-Case:case",
    "OTEL_AIGW_METRICS_REQUEST_HEADER_ATTRIBUTES": "x-team:team",
    "OTEL_AIGW_LOG_REQUEST_HEADER_ATTRIBUTES": "x-caller:caller",
}
CHAT = "/v1/chat/completions"
JSON = (("content-type", "application/json"),)
EVENTS = (("content-type", "text/event-stream"),)
USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
ANSWER = json.dumps({"model": "m-1", "choices": [], "usage": USAGE}).encode()
FIRST = b'data: {"model":"m-1","choices":[{"index":0,"delta":{"content":"hi"}}]}\n\n'
LAST = f'data: {{"model":"m-1","choices":[],"usage":{json.dumps(USAGE)}}}\n\n'.encode()
DONE = b"data: [DONE]\n\n"
STREAM = (FIRST, LAST, DONE)
ERROR = json.dumps({"error": {"message": "no", "type": "t"}}).encode()
BROKEN = b'data: {"error":{"message":"busy","type":"overloaded_error"}}\n\n'
KEY = "key-of-alice"
LIMIT = 50 << 20
RECORD = re.compile(r"event=end id=([0-9a-f]{32}) record=(.*)")
TIMES = ("first_byte_ns", "first_output_ns", "head_ns", "last_output_ns", "started_ns")


def records_of(gateway: RunningGateway) -> list[dict[str, Any]]:
    """The usage records of a gateway so far, in the order in which requests began."""
    complete, _, _ = gateway.errors.rpartition("\n")
    records = [json.loads(record) for _, record in RECORD.findall(complete)]
    return sorted(records, key=lambda record: int(record["started_at"]))


@dataclass(slots=True)
class Bed:
    """A gateway in front of a provider."""

    gateway: RunningGateway
    provider: ProviderBed
    case: str = ""

    def open(self) -> RawConnection:
        """A connection to the gateway."""
        return RawConnection(self.gateway.port)

    def script(self, *replies: Reply) -> None:
        """Answers of the provider to this case."""
        self.provider.on(*replies, match=Match(header=("x-case", self.case)))

    def message(
        self, body: bytes = b"", *headers: tuple[str, str], method: str = "POST", path: str = CHAT
    ) -> bytes:
        """A request that names its case, and claims to come from somebody."""
        names = (("x-case", self.case), ("x-team", "hive"), ("x-caller", "mallory"))
        return request(method, path, *JSON, *names, *headers, body=body)

    def ask(self, *args: Any, **more: Any) -> int:  # noqa: ANN401 - of `message`
        """The status of the answer to a message."""
        with self.open() as client:
            client.send(self.message(*args, **more))
            return client.response().status

    def received(self) -> None:
        """Waits until the provider has the request of this case."""
        self.provider.journal.wait(
            lambda seen: any(self.case in e.received.header_values("x-case") for e in seen)
        )


def body(model: str, **more: object) -> bytes:
    messages = [{"role": "user", "content": "hello"}]
    return json.dumps({"model": model, "messages": messages, **more}).encode()


def configuration(port: int, provider: int, closed: int) -> str:
    backends = [
        BackendSpec("plain", provider),
        BackendSpec("other", provider),
        BackendSpec("claude", provider, {"name": "Anthropic"}),
        BackendSpec("gone", closed),
    ]
    both: list[Resource | str] = [
        {"name": "plain", "modelNameOverride": "first"},
        {"name": "other", "priority": 1, "modelNameOverride": "second"},
    ]
    rules = [
        rule("plain", "plain"),
        rule("both", *both),
        rule("claude", "claude"),
        rule("gone", "gone"),
        rule("limited", "plain", timeouts={"request": "300ms"}),
    ]
    return gateway_yaml(port, backends, rules, retries(1))


# --- ways to end; each returns what its record must say ---

Says = dict[str, Any]
WHOLE: Says = {"status": 200, "outcome": "completed", "error_kind": ""}
REFUSED: Says = {"outcome": "rejected", "attempts": [], "route": "", "backend": "", "rule": None}
ATTEMPT: Says = {"status": 200, "outcome": "completed", "error_kind": ""}


def unary(bed: Bed) -> Says:
    bed.script(Reply(200, JSON, ANSWER))
    sent = body("plain")
    assert bed.ask(sent) == 200
    usage = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
    return {
        **WHOLE,
        "gateway": "default/gw",
        "operation": "chat",
        "stream": False,
        "route": "default/route",
        "rule": 0,
        "backend": "default/plain",
        "requested_model": "plain",
        "routed_model": "plain",
        "response_model": "m-1",
        "request_bytes": len(sent),
        "response_bytes": len(ANSWER),
        "attributes": {"case": bed.case, "team": "hive", "caller": "mallory"},
        "identity": None,
        "usage": usage,
        "attempts": [{**ATTEMPT, "provider": "openai", "usage": usage}],
    }


def stream(bed: Bed) -> Says:
    bed.script(Reply(200, EVENTS, STREAM))
    assert bed.ask(body("plain", stream=True)) == 200
    size = sum(map(len, STREAM))
    return {**WHOLE, "stream": True, "response_bytes": size, "attempts": [ATTEMPT]}


def unknown_path(bed: Bed) -> Says:
    assert bed.ask(b"", method="GET", path="/v1/nothing") == 404
    return {**REFUSED, "status": 404, "error_kind": "unknown_path", "operation": ""}


def other_method(bed: Bed) -> Says:
    assert bed.ask(b"", method="GET") == 405
    return {**REFUSED, "status": 405, "error_kind": "method_not_allowed", "operation": "chat"}


def models(bed: Bed) -> Says:
    assert bed.ask(b"", method="GET", path="/v1/models") == 200
    return {**WHOLE, "operation": "models", "attempts": []}


def no_json(bed: Bed) -> Says:
    assert bed.ask(b"{") == 400
    return {**REFUSED, "status": 400, "error_kind": "malformed_request", "request_bytes": 1}


def no_model(bed: Bed) -> Says:
    assert bed.ask(body("unknown")) == 404
    return {
        **REFUSED,
        "status": 404,
        "error_kind": "no_route",
        "requested_model": "unknown",
        "request_bytes": len(body("unknown")),
    }


def too_large(bed: Bed) -> Says:
    with bed.open() as client:
        head = bed.message(b"", ("content-length", str(LIMIT + 1)))
        client.send(head)
        assert client.head().status == 413
    return {**REFUSED, "status": 413, "error_kind": "body_too_large", "request_bytes": 0}


def untranslatable(bed: Bed) -> Says:
    asked = json.dumps({"model": "claude", "input": "x"}).encode()
    assert bed.ask(asked, path="/v1/embeddings") == 422
    return {
        "status": 422,
        "outcome": "rejected",
        "error_kind": "unsupported_schema",
        "operation": "embeddings",
        "attempts": [],
    }


def provider_error(bed: Bed) -> Says:
    bed.script(Reply(418, JSON, ERROR))
    assert bed.ask(body("plain")) == 418
    failed = {"status": 418, "outcome": "failed", "error_kind": ""}
    return {**failed, "backend": "default/plain", "attempts": [failed]}


def retried(bed: Bed) -> Says:
    bed.script(Reply(503, JSON, ERROR), Reply(200, JSON, ANSWER))
    assert bed.ask(body("both")) == 200
    failed = {"status": 503, "outcome": "failed", "error_kind": "", "routed_model": "first"}
    return {
        **WHOLE,
        "backend": "default/other",
        "rule": 1,
        "routed_model": "second",
        "attempts": [failed, {**ATTEMPT, "routed_model": "second"}],
    }


def timeout(bed: Bed) -> Says:
    gate = Gate()
    bed.script(Reply(200, JSON, ANSWER).failing(Fault(FaultKind.HANG, gate=gate)))
    assert bed.ask(body("limited")) == 504
    gate.open()
    failed = {"outcome": "failed", "error_kind": "timeout"}
    return {**failed, "status": 504, "attempts": [{**failed, "status": 0}]}


def unreachable(bed: Bed) -> Says:
    assert bed.ask(body("gone")) == 503
    return {"outcome": "failed", "error_kind": "unreachable", "status": 503}


def error_in_stream(bed: Bed) -> Says:
    gate = Gate()
    bed.script(Reply(200, EVENTS, (FIRST, BROKEN)).gated(1, gate))
    with bed.open() as client:
        client.send(bed.message(body("plain", stream=True)))
        pieces = client.pieces(client.head())
        assert next(pieces).data == FIRST
        gate.open()
        assert b"".join(piece.data for piece in pieces) == BROKEN
    failed = {"status": 200, "outcome": "failed", "error_kind": "upstream_stream"}
    return {**failed, "attempts": [failed]}


def cut_by_the_provider(bed: Bed) -> Says:
    gate = Gate()
    cut = Fault(FaultKind.RESET, Phase.MID_BODY, after=len(FIRST), gate=gate)
    bed.script(Reply(200, EVENTS, STREAM).failing(cut))
    with bed.open() as client:
        client.send(bed.message(body("plain", stream=True)))
        head = client.head()
        pieces = client.pieces(head)
        assert next(pieces).data == FIRST
        gate.open()
        with pytest.raises(ConnectionError):
            list(pieces)
    failed = {"status": 200, "outcome": "failed", "error_kind": "upstream_reset"}
    return {**failed, "attempts": [failed]}


def leaves(bed: Bed, reply: Reply, count: int) -> None:
    """A client that leaves after so many events, -1: before the head."""
    gate = Gate()
    bed.script(reply.gated(count, gate) if count >= 0 else reply.failing(Fault(FaultKind.HANG)))
    with bed.open() as client:
        client.send(bed.message(body("plain", stream=True)))
        bed.received()
        if count >= 0:
            pieces, left = client.pieces(client.head()), sum(map(len, STREAM[:count]))
            while left > 0:
                left -= len(next(pieces).data)
        client.reset()


def aborted(status: int) -> Says:
    found = {"status": status, "outcome": "aborted", "error_kind": "client_disconnected"}
    return {**found, "attempts": [found]}


def left_before_the_head(bed: Bed) -> Says:
    leaves(bed, Reply(200, EVENTS, STREAM), -1)
    return aborted(0)


def left_between_chunks(bed: Bed) -> Says:
    leaves(bed, Reply(200, EVENTS, STREAM), 1)
    return {**aborted(200), "response_bytes": len(FIRST), "estimated": True}


def left_after_the_last_frame(bed: Bed) -> Says:
    leaves(bed, Reply(200, EVENTS, (*STREAM, b": late\n\n")), 3)
    return {**WHOLE, "attempts": [ATTEMPT], "estimated": False}


CASES: list[Callable[[Bed], Says]] = [
    unary,
    stream,
    unknown_path,
    other_method,
    models,
    no_json,
    no_model,
    too_large,
    untranslatable,
    provider_error,
    retried,
    timeout,
    unreachable,
    error_in_stream,
    cut_by_the_provider,
    left_before_the_head,
    left_between_chunks,
    left_after_the_last_frame,
]


@dataclass(slots=True)
class Outcome:
    """What each case must say and what its records say."""

    expected: dict[str, Says]
    found: dict[str, list[dict[str, Any]]]
    log: list[dict[str, Any]]


def played(host: str, port: int, provider: ProviderBed, closed: int) -> Outcome:
    """Plays all cases in a host."""
    provider.reset()
    text = configuration(port, provider.port, closed)
    with run_gateway("--debug", *HOSTS[host], config=text, extra=ENVIRONMENT) as gateway:
        expected = {case.__name__: case(Bed(gateway, provider, case.__name__)) for case in CASES}

        def by_case() -> dict[str, list[dict[str, Any]]]:
            found: dict[str, list[dict[str, Any]]] = {name: [] for name in expected}
            for record in records_of(gateway):
                if case := record["attributes"].get("case"):
                    found[case].append(record)
            return found

        gateway.wait_until(lambda: all(by_case().values()), "record of each case", 12)
        log = gateway.access_log(len(CASES))
        found = by_case()
    return Outcome(expected, found, log)


@pytest.fixture(scope="module")
def outcomes(free_port: FreePorts, loop_thread: LoopThread) -> Iterator[dict[str, Outcome]]:
    """All cases in all hosts."""
    provider = ProviderBed(loop_thread, FakeProvider())
    try:
        yield {host: played(host, free_port(), provider, free_port()) for host in HOSTS}
    finally:
        provider.stop()


def without_times(record: dict[str, Any]) -> dict[str, Any]:
    """A record as each host must write it."""
    dropped = ("id", "started_at", "duration_ns", *TIMES)
    kept = {name: value for name, value in record.items() if name not in dropped}
    if "attempts" in kept:
        kept["attempts"] = [without_times(attempt) for attempt in kept["attempts"]]
    return kept


def says(record: dict[str, Any], expected: Says) -> dict[str, Any]:
    """The part of a record that a case speaks of."""
    found = {name: record[name] for name in expected}
    if attempts := expected.get("attempts"):
        made = record["attempts"]
        found["attempts"] = [says(part, want) for part, want in zip(made, attempts, strict=False)]
        found["attempts"] += made[len(attempts) :]
    if usage := expected.get("usage"):
        found["usage"] = {name: record["usage"][name] for name in usage}
    return found


@pytest.mark.parametrize("case", [case.__name__ for case in CASES])
@pytest.mark.parametrize("host", list(HOSTS))
def test_each_request_makes_the_one_record_that_says_what_became_of_it(
    outcomes: dict[str, Outcome], host: str, case: str
) -> None:
    outcome = outcomes[host]
    assert len(outcome.found[case]) == 1
    expected = outcome.expected[case]
    assert says(outcome.found[case][0], expected) == expected


@pytest.mark.parametrize("case", [case.__name__ for case in CASES])
@pytest.mark.parametrize("host", ["extproc", "grpcio"])
def test_hosts_write_the_same_record(outcomes: dict[str, Outcome], host: str, case: str) -> None:
    module, other = (outcomes[name].found[case][0] for name in ("module", host))
    if case == "unreachable":
        # A refused connection may end an attempt before the ext_proc server is told of it.
        for name in ("attempts", "backend", "route", "rule", "routed_model"):
            other[name] = module[name]
    assert without_times(module) == without_times(other)


@pytest.mark.parametrize("host", list(HOSTS))
def test_times_are_in_order(outcomes: dict[str, Outcome], host: str) -> None:
    (record,) = outcomes[host].found["retried"]
    first, second = record["attempts"]
    times = [
        first["started_ns"],
        first["head_ns"],
        second["started_ns"],
        second["head_ns"],
        second["last_output_ns"],
        record["duration_ns"],
    ]
    assert second["head_ns"] <= record["first_byte_ns"] <= record["duration_ns"]
    assert second["head_ns"] <= record["first_output_ns"] <= second["last_output_ns"]
    assert times == sorted(times)
    assert times[0] > 0


@pytest.mark.parametrize("host", list(HOSTS))
def test_the_access_log_knows_backend_and_route_of_a_failure(
    outcomes: dict[str, Outcome], host: str
) -> None:
    lines = {line["request_id"]: line for line in outcomes[host].log}
    for case in ("provider_error", "error_in_stream", "timeout", "no_json", "unknown_path"):
        (record,) = outcomes[host].found[case]
        line = lines[record["id"]]
        assert line["status"] == record["status"]
        assert (line["route"] or "") == record["route"]


def security(port: int, provider: int) -> str:
    auth = {
        "credentialRefs": [{"name": "clients"}],
        "extractFrom": [{"headers": ["x-key"]}],
        "forwardClientIDHeader": "x-caller",
    }
    target = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "gw"}
    policy = resource(
        "gateway.envoyproxy.io/v1alpha1",
        "SecurityPolicy",
        "clients",
        targetRefs=[target],
        apiKeyAuth=auth,
    )
    secret = {**resource("v1", "Secret", "clients"), "stringData": {"alice": KEY}}
    backends = [BackendSpec("plain", provider)]
    return gateway_yaml(port, backends, [rule(None, "plain")], policy, secret)


@pytest.mark.parametrize("host", ["module", "extproc"])
def test_only_a_client_that_was_authenticated_has_an_identity(
    free_port: FreePorts, provider: ProviderBed, host: str
) -> None:
    provider.on(Reply(200, JSON, ANSWER))
    text = security(free_port(), provider.port)
    with run_gateway("--debug", *HOSTS[host], config=text, extra=ENVIRONMENT) as gateway:
        bed = Bed(gateway, provider, "alice")
        assert bed.ask(body("plain"), ("x-key", "wrong")) == 401
        assert bed.ask(body("plain"), ("x-key", KEY)) == 200
        assert bed.ask(b"", ("x-key", KEY), method="GET", path="/v1/nothing") == 404
        gateway.wait_until(lambda: len(records_of(gateway)) >= 2, "two records")
        with RawConnection(str(gateway.runtime / "admin.sock")) as admin:
            admin.send(request("GET", "/config_dump", ("connection", "close")))
            dump = admin.response().body
        records = records_of(gateway)
        assert KEY not in gateway.errors
    assert KEY.encode() not in dump
    assert [record["status"] for record in records] == [200, 404]
    # What the client says of itself is gone.
    assert [record["identity"] for record in records] == ["alice", "alice"]
    assert [record["attributes"]["caller"] for record in records] == ["alice", "alice"]
