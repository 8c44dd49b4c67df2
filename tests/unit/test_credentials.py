"""Access tokens: one exchange with a token endpoint, and the refreshing of many."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from aigw.credentials import ExchangeError, Refresher
from aigw.credentials.exchange import exchange
from aigw.plan import ApiKey, AuthType, GcpServiceAccount, Token


@contextmanager
def token_endpoint(status: int, reply: object) -> Iterator[tuple[str, list[str]]]:
    """A token endpoint that always answers the same, and what it was sent."""
    bodies: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            bodies.append(self.rfile.read(length).decode())
            content = json.dumps(reply).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/token", bodies
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def account(token_uri: str, private_key: str) -> GcpServiceAccount:
    return GcpServiceAccount(
        {
            "type": "service_account",
            "client_email": "a@b.example",
            "private_key": private_key,
            "token_uri": token_uri,
        }
    )


def test_a_service_account_gets_a_token_from_its_own_endpoint(private_key: str) -> None:
    reply = {"access_token": "t-1", "expires_in": 3600, "token_type": "Bearer"}
    with token_endpoint(200, reply) as (url, bodies):
        token = exchange(account(url, private_key))
    assert token.access_token == "t-1"
    assert 3500 < token.expires_at - time.time() <= 3600
    assert "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer" in bodies[0]


def test_a_refusal_is_told_without_the_key(private_key: str) -> None:
    reply = {"error": "invalid_grant", "error_description": "no such account"}
    with token_endpoint(400, reply) as (url, _), pytest.raises(ExchangeError) as caught:
        exchange(account(url, private_key))
    assert "invalid_grant" in str(caught.value)
    assert "PRIVATE KEY" not in str(caught.value)


def test_a_key_that_is_none_is_refused() -> None:
    with pytest.raises(ExchangeError, match="cannot be read"):
        exchange(account("http://127.0.0.1:1/", "not a key"))


async def test_tokens_are_handed_on_and_renewed_while_one_fails() -> None:
    seen: list[Mapping[str, Token]] = []
    renewed = asyncio.Event()

    def fake(one: GcpServiceAccount) -> Token:
        if one.info["client_email"] == "bad":
            message = "refused"
            raise ExchangeError(message)
        return Token(f"t-{len(seen)}", int(time.time()) + 1)

    def on_change(tokens: Mapping[str, Token]) -> None:
        seen.append(tokens)
        if len(seen) == 2:
            renewed.set()

    credentials = {
        "ns/good": GcpServiceAccount({"client_email": "good"}),
        "ns/bad": GcpServiceAccount({"client_email": "bad"}),
        "ns/key": ApiKey(AuthType.API_KEY, "k"),
    }
    task = asyncio.create_task(Refresher(credentials, on_change, fake).run())
    await asyncio.wait_for(renewed.wait(), 20)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert [set(tokens) for tokens in seen] == [{"ns/good"}, {"ns/good"}]
    assert seen[0]["ns/good"].access_token != seen[1]["ns/good"].access_token


async def test_nothing_to_refresh_ends_at_once() -> None:
    await Refresher({"ns/key": ApiKey(AuthType.API_KEY, "k")}, lambda _: None).run()
