"""What `explain` says against what a running gateway does, request by request."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from aigw.cli import main
from aigw.providers import Reply
from beds.gateway import RunningGateway, run_gateway
from beds.raw_http import request
from beds.resources import BackendSpec, api_key, gateway_yaml, resource, rule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aigw.providers import Received
    from beds.fixtures import RawHttp
    from beds.ports import FreePorts
    from beds.provider import ProviderBed

_HELLO = {"role": "user", "content": "hello"}
CHAT = "/v1/chat/completions"
# Made by Envoy, or of the connection.
_OF_THE_HOP = {"connection", "transfer-encoding", "x-envoy-expected-rq-timeout-ms"}


@dataclass(frozen=True, slots=True)
class Case:
    """A request, and what both must say of it: a rule, or a status."""

    model: str
    expected: str | int
    path: str = CHAT
    host: str = "localhost"
    headers: tuple[tuple[str, str], ...] = ()
    members: dict[str, Any] = field(default_factory=lambda: {"messages": [_HELLO]})

    @property
    def body(self) -> bytes:
        """The body that is sent."""
        return json.dumps({"model": self.model, **self.members}).encode()


PROMPT = {"input": "hello"}
CASES = {
    "exact": Case("m", "route/rule/1"),
    "more conditions first": Case("m", "route/rule/0", headers=(("x-team", "gold"),)),
    "one of two conditions": Case("m", "route/rule/1", headers=(("x-team", "silver"),)),
    "one of two values": Case("m", "route/rule/0", headers=(("x-team", "a"), ("x-team", "gold"))),
    "expression": Case("re-12", "route/rule/2"),
    "expressions match all of it": Case("re-12x", 404),
    "expressions match bytes": Case("é-é", "route/rule/8"),
    "a letter may be two bytes": Case("é-éa", 404),
    "no model in the rule": Case("any", "route/rule/3", headers=(("x-env", "stage"),)),
    "forged model": Case("any", 404, headers=(("x-ai-eg-model", "m"),)),
    "forged timeout": Case("any", 404, headers=(("x-envoy-mine", "1"),)),
    "credentials are gone": Case("any", 404, headers=(("authorization", "Bearer x"),)),
    "the scheme is Envoy's": Case("any", "route/rule/6", headers=(("x-secure", "no"),)),
    "no usable backend": Case("down", 503),
    "unknown model": Case("unknown", 404),
    "no model": Case("", 400),
    "not JSON of the endpoint": Case("m", 400, members={"stream": 1}),
    "unknown path": Case("m", 404, path="/v1/nonsense"),
    "wrong endpoint with a query": Case("m", "route/rule/1", path=f"{CHAT}?a=1&key=k"),
    "all backends": Case("mixed", "route/rule/7", path=CHAT),
    "narrowed": Case("mixed", "route/rule/7/some/0", "/v1/embeddings", members=PROMPT),
    "narrowed with a query": Case(
        "mixed", "route/rule/7/some/0", "/v1/embeddings?x", members=PROMPT
    ),
    "dots in the path": Case("m", "route/rule/1", path="/x/%2e./v1/./chat/completions"),
    "slashes in a row": Case("m", "route/rule/1", path="//v1///chat\\completions?x=//"),
    "letters that need no escape": Case("m", "route/rule/1", path="/%761/chat/c%6Fmpletions"),
    "an escaped slash is none": Case("m", 404, path="/v1/chat%2Fcompletions"),
    "what needs an escape": Case("m", 404, path="/%a/^`{|}<>[]!$&'()*+,;=:@~\"%41%7e%3a"),
    "only slashes": Case("m", 404, path="//./"),
    "a path without an end": Case("m", 400, path="/v1/%00"),
    "a fragment": Case("m", 400, path=f"{CHAT}#x"),
    "host": Case("h", "hosts/rule/0", host="api.example.com"),
    "host in capitals with a port": Case("h", "hosts/rule/0", host="API.example.com:80"),
    "wildcard": Case("h", "hosts/rule/0", host="a.b.wild.example.com"),
    "not the wildcard itself": Case("h", 404, host="wild.example.com"),
    "other routes behind the host's own": Case("m", "route/rule/1", host="api.example.com"),
    "refused by the translation": Case("re-1", 400, members={"messages": "none"}),
    "Anthropic's API": Case(
        "m",
        "route/rule/1",
        "/anthropic/v1/messages",
        members={"max_tokens": 9, "messages": [_HELLO]},
    ),
}


def configuration(port: int, main_port: int, spare_port: int) -> str:
    """Rules of every kind in front of two providers."""
    mutations = {
        "headerMutation": {
            "set": [{"name": "x-static", "value": "s"}, {"name": "x-own-key", "value": "canary"}],
            "remove": ["x-team"],
        },
        "bodyMutation": {"set": [{"path": "temperature", "value": "0.5"}]},
    }
    backends = [
        BackendSpec("main", main_port, auth=api_key("main", "canary-key"), extra=mutations),
        BackendSpec("spare", spare_port, {"name": "Anthropic"}),
    ]
    regular = {"type": "RegularExpression"}
    rules = [
        _matching({"name": "x-team", "value": "gold"}, {"name": "x-ai-eg-model", "value": "m"}),
        rule(
            "m", {"name": "main", "modelNameOverride": "real-m"}, {"name": "spare", "priority": 1}
        ),
        _matching({**regular, "name": "X-AI-EG-Model", "value": "re-[0-9]+"}),
        _matching({**regular, "name": "x-env", "value": "prod|stage"}, backend="main"),
        _matching({"name": "authorization", "value": "Bearer x"}),
        rule("down", "missing"),
        _matching(
            {"name": "x-forwarded-proto", "value": "http"}, {"name": "x-secure", "value": "no"}
        ),
        rule("mixed", "spare", {"name": "main", "priority": 1}),
        _matching({**regular, "name": "x-ai-eg-model", "value": "(?i)é-.."}),
    ]
    hosts = resource(
        "aigateway.envoyproxy.io/v1beta1",
        "AIGatewayRoute",
        "hosts",
        parentRefs=[{"name": "gw"}],
        hostnames=["api.example.com", "*.wild.example.com"],
        rules=[rule("h", "main")],
    )
    return gateway_yaml(port, backends, rules, hosts)


def _matching(*headers: dict[str, str], backend: str = "spare") -> dict[str, Any]:
    return {"matches": [{"headers": list(headers)}], "backendRefs": [{"name": backend}]}


@dataclass(frozen=True, slots=True)
class Bed:
    """A gateway and its two providers, by the name of their backend."""

    gateway: RunningGateway
    providers: dict[str, ProviderBed]

    def explained(self, case: Case) -> tuple[int, dict[str, Any]]:
        """Exit code and document of the command."""
        body = self.gateway.folder / "body.json"
        body.write_bytes(case.body)
        asked = ["--model", case.model, "--path", case.path, "--host", case.host]
        for name, value in case.headers:
            asked += ["--header", f"{name}: {value}"]
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
            file = str(self.gateway.folder / "gateway.yaml")
            code = main(["explain", file, *asked, "--body", str(body), "--output", "json"])
        assert "canary" not in out.getvalue()
        return code, json.loads(out.getvalue())

    def received(self) -> list[tuple[str, Received]]:
        """All requests at the providers in their order, with the backend's name."""
        found = [(name, item) for name, bed in self.providers.items() for item in bed.received]
        return sorted(found, key=lambda item: item[1].at)


@pytest.fixture
def bed(
    new_provider: Callable[[], ProviderBed], free_port: FreePorts, data_plane: str
) -> Iterator[Bed]:
    """A fresh gateway."""
    providers = {"main": new_provider(), "spare": new_provider()}
    text = configuration(free_port(), providers["main"].port, providers["spare"].port)
    with run_gateway("--data-plane", data_plane, config=text) as gateway:
        yield Bed(gateway, providers)


@pytest.mark.parametrize("data_plane", ["module", "extproc"])
def test_explain_says_what_the_gateway_does(bed: Bed, raw_http: RawHttp) -> None:
    differences = [
        f"{name}: {difference}"
        for name, case in CASES.items()
        for difference in _differences(bed, case, raw_http)
    ]
    assert not differences, "\n".join(differences)


@pytest.mark.parametrize("data_plane", ["module"])
def test_explain_shows_the_second_attempt_too(bed: Bed, raw_http: RawHttp) -> None:
    case = Case("m", "route/rule/1", headers=(("x-team", "blue"), ("x-api-key", "mine")))
    bed.providers["main"].on(Reply(status=503))
    _, found = bed.explained(case)
    assert _answer(bed, case, raw_http)[0] == 200
    (_, first), (_, second) = bed.received()
    assert not [*_unlike(found["backends"][0]["asked"], first)]
    assert not [*_unlike(found["backends"][1]["asked"], second)]


def _differences(bed: Bed, case: Case, raw_http: RawHttp) -> Iterator[str]:
    for provider in bed.providers.values():
        provider.reset()
    code, found = bed.explained(case)
    status, message = _answer(bed, case, raw_http)
    received = bed.received()
    if isinstance(case.expected, str):
        if found["rule"] != f"default/{case.expected}":
            yield f"the rule is {found['rule']}, {found['answer']}"
        elif (status, code, len(received)) != (200, 0, 1):
            yield f"the gateway says {status}, the command {code}, providers got {len(received)}"
        else:
            ((name, request_),) = received
            asked = found["backends"][0]
            if f"/{name}/" not in asked["name"]:
                yield f"{name} was asked, not {asked['name']}"
            yield from _unlike(asked["asked"], request_)
    else:
        answer = found["answer"] or found["backends"][0]["asked"]["refusal"]
        if (status, code, received) != (case.expected, 1, []):
            yield f"the gateway says {status}, the command {code}"
        if answer != f"{status}: {message}":
            yield f"the gateway says {message}, the command {answer}"


def _answer(bed: Bed, case: Case, raw_http: RawHttp) -> tuple[int, str]:
    """The status that a client gets, and the message of an error."""
    kind = ("content-type", "application/json")
    text = request("POST", case.path, *case.headers, kind, body=case.body)
    connection = raw_http(bed.gateway.port)
    connection.send(text.replace(b"host: localhost", f"host: {case.host}".encode(), 1))
    reply = connection.response()
    error = json.loads(reply.body).get("error", {})
    return reply.status, str(error.get("message", ""))


def _unlike(asked: dict[str, Any], received: Received) -> Iterator[str]:
    """What a provider got otherwise than it was explained."""
    url = f"http://{received.header('host')}{received.target.decode()}"
    if asked["url"].replace(f":{asked['url'].split(':')[2].split('/')[0]}", "") != url:
        yield f"{url} was asked, not {asked['url']}"
    if asked["body"].encode() != received.body:
        yield f"{received.body!r} was sent, not {asked['body']}"
    shown = dict(asked["headers"])
    sent = {name.decode().lower(): value.decode() for name, value in received.headers}
    for name in sorted({*shown, *sent} - _OF_THE_HOP):
        if shown.get(name) not in ("(hidden)", sent.get(name)) or name not in sent:
            yield f"{name} was {sent.get(name)}, not {shown.get(name)}"
