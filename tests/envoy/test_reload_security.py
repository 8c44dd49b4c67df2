"""Edits of security policies while connections are open: no connection outlives a policy."""

from __future__ import annotations

import copy
import threading
from typing import TYPE_CHECKING

import pytest
from security_bed import (
    ALICE,
    CHAT,
    HASH,
    ISSUER,
    PASSWORD,
    Issuer,
    basic,
    keys,
    policy,
    secret,
)
from test_reload import Editor

from beds.gateway import run_gateway
from beds.raw_http import RawConnection, request
from beds.resources import BackendSpec, Resource, gateway_yaml, rule

if TYPE_CHECKING:
    from beds.ports import FreePorts
    from beds.provider import ProviderBed

KEY = {"x-gateway-key": ALICE}
IDENTITY = "x-client"
REFUSED = {401, 403}


def configuration(port: int, provider: int, *more: Resource) -> str:
    return gateway_yaml(port, [BackendSpec("a", provider)], [rule("a", "a")], *more)


def asking(headers: dict[str, str]) -> bytes:
    body = b'{"model":"a","messages":[{"role":"user","content":"hello"}]}'
    kind = {"content-type": "application/json", **headers}
    return request("POST", CHAT, *kind.items(), body=body)


def send(client: RawConnection, headers: dict[str, str]) -> int:
    client.send(asking(headers))
    return client.response().status


def policies(issuer: Issuer) -> dict[str, tuple[list[Resource], dict[str, str]]]:
    """Policies of all kinds, and what a client must send."""
    jwks = {"type": "Inline", "inline": issuer.key_set}
    claims = [{"claim": "sub", "header": IDENTITY}]
    token = {"name": "p", "issuer": ISSUER, "localJWKS": jwks, "claimToHeaders": claims}
    users = {"users": {"name": "users"}, "forwardUsernameHeader": IDENTITY}
    clients = keys("clients", forwardClientIDHeader=IDENTITY)
    return {
        "keys": ([policy("gw", "Gateway", apiKeyAuth=clients), secret("clients", a=ALICE)], KEY),
        "passwords": (
            [
                policy("gw", "Gateway", basicAuth=users),
                secret("users", **{".htpasswd": f"dave:{{SHA}}{HASH}"}),
            ],
            basic("dave", PASSWORD),
        ),
        "tokens": (
            [policy("gw", "Gateway", jwt={"providers": [token]})],
            {"authorization": f"Bearer {issuer.token()}"},
        ),
    }


def test_tokens_that_both_policies_accept_are_accepted_all_the_time(
    free_port: FreePorts, host: tuple[str, ...], provider: ProviderBed
) -> None:
    port = free_port()
    found, headers = policies(Issuer())["tokens"]
    other = copy.deepcopy(found)
    other[0]["spec"]["jwt"]["providers"][0]["audiences"] = ["gateway"]
    texts = [configuration(port, provider.port, *items) for items in (found, other)]
    answers: list[int] = []
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            with RawConnection(port, 30) as client:
                while not stop.is_set():
                    answers.append(send(client, headers))

    threads = [threading.Thread(target=run) for _ in range(4)]
    with run_gateway(*host, config=texts[0]) as gateway:
        for thread in threads:
            thread.start()
        try:
            for number in range(4):
                gateway.wait_until(lambda n=number: len(answers) > 50 * (n + 1), "answers")
                Editor(gateway).write(texts[1 - number % 2])
        finally:
            stop.set()
            for thread in threads:
                thread.join()
    assert set(answers) == {200}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "keys"),
        ("", "passwords"),
        ("", "tokens"),
        ("keys", "tokens"),
        ("keys", "passwords"),
        ("tokens", "keys"),
    ],
)
def test_an_open_connection_is_under_the_new_policy_at_once(
    free_port: FreePorts, host: tuple[str, ...], provider: ProviderBed, before: str, after: str
) -> None:
    port, found = free_port(), policies(Issuer())
    old, old_headers = found.get(before, ([], {}))
    new, new_headers = found[after]
    first = configuration(port, provider.port, *old)
    with run_gateway(*host, config=first) as gateway:
        opened = [RawConnection(port, 30) for _ in range(6)]
        for client in opened:
            assert send(client, old_headers) == 200
        Editor(gateway).write(configuration(port, provider.port, *new))
        assert send(opened[0], {}) in REFUSED
        assert send(opened[1], old_headers) in REFUSED
        for client in opened[2:]:
            assert send(client, {IDENTITY: "forged", **new_headers}) == 200
        with RawConnection(port) as client:
            assert send(client, new_headers) == 200
            assert send(client, old_headers) in REFUSED
        for client in opened:
            client.close()
    for received in provider.received:
        assert received.header(IDENTITY) != "forged"
        assert received.header("x-gateway-key") is None
