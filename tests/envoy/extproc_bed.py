"""The ext_proc host's bed: a gateway with two providers, and what its tests send."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beds.raw_http import RawConnection, Response, request
from beds.resources import BackendSpec, Resource, api_key, gateway_yaml, rule

if TYPE_CHECKING:
    from beds.gateway import RunningGateway
    from beds.provider import ProviderBed

ATTEMPT_SECONDS = 0.6
JSON = (("content-type", "application/json"),)
CANARY = "canary-of-the-first-provider"


@dataclass(slots=True)
class Bed:
    """A gateway with two providers; the first one is asked first."""

    gateway: RunningGateway
    first: ProviderBed
    second: ProviderBed

    def open(self) -> RawConnection:
        """A connection to the gateway."""
        return RawConnection(self.gateway.port)

    def ask(self, model: str, **more: object) -> Response:
        """One chat completion."""
        with self.open() as client:
            client.send(chat(model, **more))
            return client.response()

    def last_log(self) -> dict[str, Any]:
        """The access-log line of the newest request, once it is there."""
        newest: list[dict[str, Any]] = []

        def there() -> bool:
            lines = self.gateway.access_log(0)
            newest[:] = [line for line in lines if line["start_time"] >= Target.sent]
            return bool(newest)

        self.gateway.wait_until(there, "access-log line")
        return newest[-1]

    def settled(self) -> None:
        """Waits until Envoy holds no ext_proc stream."""
        self.gateway.wait_until(lambda: self.streams() == 0, "end of all ext_proc streams")

    def streams(self) -> int:
        """ext_proc streams that Envoy holds; that of the access log to the same place is none."""
        with RawConnection(str(self.gateway.runtime / "admin.sock")) as admin:
            target = "/stats?format=json&filter=ext_proc.streams_(started|closed|failed)$"
            admin.send(request("GET", target, ("connection", "close")))
            stats = json.loads(admin.response().body)["stats"]
        signs = ((1 if stat["name"].endswith("started") else -1, stat["value"]) for stat in stats)
        return sum(sign * int(value) for sign, value in signs)


def body(model: str, **more: object) -> bytes:
    messages = [{"role": "user", "content": "hello"}]
    return json.dumps({"model": model, "messages": messages, **more}).encode()


class Target:
    """Where requests go, and when the newest was sent, so that its access-log line is found."""

    sent = ""

    @classmethod
    def fresh(cls) -> str:
        """The target of the next request."""
        cls.sent = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return "/v1/chat/completions"


def chat(model: str, **more: object) -> bytes:
    headers = (*JSON, ("authorization", "Bearer of-the-client"))
    return request("POST", Target.fresh(), *headers, body=body(model, **more))


def configuration(port: int, first: int, second: int) -> str:
    marks = {
        "headerMutation": {"set": [{"name": "x-first", "value": CANARY}]},
        "bodyMutation": {"set": [{"path": "user", "value": json.dumps(CANARY)}]},
    }
    backends = [
        BackendSpec("plain", first),
        BackendSpec("keyed", first, auth=api_key("keyed", CANARY)),
        BackendSpec("marked", first, auth=api_key("marked", CANARY), extra=marks),
        BackendSpec("other", second, auth=api_key("other", "key-of-the-second-provider")),
    ]
    both: list[Resource | str] = [
        {"name": "marked", "modelNameOverride": CANARY},
        {"name": "other", "priority": 1},
    ]
    limit = {"backendRequest": f"{int(ATTEMPT_SECONDS * 1000)}ms"}
    rules = [
        rule("plain", "plain"),
        rule("renamed", {"name": "keyed", "modelNameOverride": "a-much-longer-name"}),
        rule("both", *both),
        rule("limited", *both, timeouts=limit),
    ]
    return gateway_yaml(port, backends, rules)


def server_pid(gateway: RunningGateway) -> int:
    """The ext_proc process, 0 when there is none."""
    for pid in gateway.descendants():
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if b"aigw.extproc" in line:
            return pid
    return 0


def replace(gateway: RunningGateway, credentials: bytes) -> None:
    """Publishes credentials and waits until the core has read them."""
    status = gateway.core / "status.json"
    before = status.stat()
    draft = gateway.core / ".credentials.test"
    draft.write_bytes(credentials)
    draft.rename(gateway.core / "credentials.json")
    gateway.wait_until(lambda: status.stat().st_ino != before.st_ino, "reload")
