"""Chat requests to a gateway, and what they leave behind in it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from aigw.providers import Reply
from beds.raw_http import RawConnection, Response, request

if TYPE_CHECKING:
    from beds.gateway import RunningGateway

JSON_TYPE = ("content-type", "application/json")
SSE = (("content-type", "text/event-stream"),)
UNARY = Reply(200, (JSON_TYPE,), b'{"id":"answer","usage":{"prompt_tokens":3,"total_tokens":3}}')
EVENTS = (*(b'data: {"n":%d}\n\n' % n for n in range(4)), b"data: [DONE]\n\n")
STREAM = Reply(200, SSE, EVENTS)
CHUNKED_HEAD = request("POST", "/v1/chat/completions", JSON_TYPE, ("transfer-encoding", "chunked"))
# Words of a slot in the map of requests in flight; the first is not 0 while it is open.
_SLOT_WORDS = 128


def body_of(model: str, content: bytes = b"hello", *, stream: bool = False) -> bytes:
    """The body of a chat request."""
    more = b',"stream":true' if stream else b""
    messages = b'[{"role":"user","content":"%s"}]' % content
    return b'{"model":"%s","messages":%s%s}' % (model.encode(), messages, more)


def chat(model: str, *headers: tuple[str, str], stream: bool = False) -> bytes:
    """The bytes of a chat request."""
    body = body_of(model, stream=stream)
    return request("POST", "/v1/chat/completions", JSON_TYPE, *headers, body=body)


def ask(gateway: RunningGateway, message: bytes) -> Response:
    """Sends a request on a connection of its own."""
    with RawConnection(gateway.port, 20) as client:
        client.send(message)
        return client.response()


def error_of(response: Response) -> str:
    """The message of an error in the client's shape."""
    assert response.head.header("content-type") == "application/json"
    found = json.loads(response.body)
    assert found["type"] == "error"
    assert found["error"]["code"] == str(response.status)
    message: str = found["error"]["message"]
    return message


def still_serves(gateway: RunningGateway) -> None:
    """The gateway answers the model `m`."""
    assert ask(gateway, chat("m")).status == 200


def open_slots(gateway: RunningGateway) -> int:
    """Requests in flight, as the core's shared memory tells."""
    maps = [path.read_bytes() for path in gateway.core.glob("inflight-*.map")]
    assert maps
    return sum(sum(state != 0 for state in memoryview(m).cast("Q")[::_SLOT_WORDS]) for m in maps)


def active_requests(gateway: RunningGateway) -> int:
    """Requests of clients that Envoy works on."""
    with RawConnection(str(gateway.runtime / "admin.sock")) as admin:
        target = "/stats?format=json&filter=downstream_rq_active"
        admin.send(request("GET", target, ("connection", "close")))
        stats = json.loads(admin.response().body)["stats"]
    return sum(int(s["value"]) for s in stats if not s["name"].startswith("http.admin."))


def nothing_left(gateway: RunningGateway) -> None:
    """Waits until no request is in progress anywhere."""
    gateway.wait_until(lambda: open_slots(gateway) == 0, "empty request table", 10)
    gateway.wait_until(lambda: active_requests(gateway) == 0, "end of all requests", 10)


def cpu_seconds(gateway: RunningGateway) -> float:
    """Processor time of all processes of the gateway."""
    ticks = 0
    for pid in (gateway.process.pid, *gateway.descendants()):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def memory(gateway: RunningGateway) -> int:
    """Resident bytes of all processes below the gateway."""
    pages = 0
    for pid in gateway.descendants():
        pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
