"""The refreshing of many credentials: each alone, ahead of its end, for as long as it takes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from aigw.credentials import ExchangeError, Refresher, refresher
from aigw.plan import (
    ApiKey,
    AuthType,
    AwsDefaultChain,
    AwsKeys,
    AzureApplication,
    Exchangeable,
    GcpServiceAccount,
    Issued,
    Token,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

GOOD, BAD = GcpServiceAccount({"client_email": "good"}), AzureApplication("t", "c", "bad-secret")
KEY = ApiKey(AuthType.API_KEY, "k")


class Seen:
    """What a refresher has handed on."""

    def __init__(self) -> None:
        self.all: list[Mapping[str, Issued]] = []
        self._changed = asyncio.Event()

    def add(self, issued: Mapping[str, Issued]) -> None:
        """A change."""
        self.all.append(issued)
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Waits for the changes that make it true."""
        async with asyncio.timeout(20):
            while not condition():
                await self._changed.wait()
                self._changed.clear()


@contextlib.asynccontextmanager
async def refreshing(
    exchange: Callable[[Exchangeable], Issued], **credentials: Exchangeable | ApiKey
) -> AsyncIterator[Seen]:
    """A refresher that runs; credentials by the name of their policy in `ns`."""
    seen = Seen()
    named = {f"ns/{name}": value for name, value in credentials.items()}
    task = asyncio.create_task(Refresher(named, seen.add, exchange).run())
    try:
        yield seen
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def token(text: str = "t", seconds: int = 3600) -> Token:
    return Token(text, int(time.time()) + seconds)


@pytest.mark.parametrize("fault", [ExchangeError("refused"), KeyError("a fault of a library")])
async def test_tokens_are_renewed_ahead_of_their_end_while_one_fails(fault: Exception) -> None:
    count = iter(range(100))

    def exchange(credential: Exchangeable) -> Issued:
        if credential is BAD:
            raise fault
        return token(f"t-{next(count)}", 2)

    async with refreshing(exchange, good=GOOD, bad=BAD, key=KEY) as seen:
        await seen.until(lambda: len(seen.all) >= 2)
    assert {name for issued in seen.all for name in issued} == {"ns/good"}
    assert seen.all[0] != seen.all[1]


async def test_a_failure_names_the_policy_and_the_reason_and_may_pass(
    caplog: pytest.LogCaptureFixture,
) -> None:
    answers: list[Issued | Exception] = [ExchangeError("invalid_client: who?"), token("t-2")]

    def exchange(_: Exchangeable) -> Issued:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    caplog.set_level("INFO")
    async with refreshing(exchange, bad=BAD) as seen:
        await seen.until(lambda: bool(seen.all))
    assert [record.message for record in caplog.records] == [
        "BackendSecurityPolicy ns/bad: no credential: invalid_client: who?; next try in 1 s",
        "BackendSecurityPolicy ns/bad: has its credential again",
    ]


async def test_what_has_expired_already_is_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    new = token("new")
    answers = [token("old", -5), new]
    async with refreshing(lambda _: answers.pop(0), good=GOOD) as seen:
        await seen.until(lambda: bool(seen.all))
    assert seen.all == [{"ns/good": new}]
    assert "expired already" in caplog.text


async def test_keys_without_an_end_are_looked_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refresher, "_LOOK_AGAIN_SECONDS", 0.01)
    found = [AwsKeys("a", "s"), AwsKeys("a", "s"), AwsKeys("b", "s")]

    def exchange(_: Exchangeable) -> Issued:
        return found.pop(0) if len(found) > 1 else found[0]

    async with refreshing(exchange, chain=AwsDefaultChain("r")) as seen:
        await seen.until(lambda: len(seen.all) >= 2)
    assert [issued["ns/chain"] for issued in seen.all] == [AwsKeys("a", "s"), AwsKeys("b", "s")]


async def test_a_server_that_never_answers_delays_nobody() -> None:
    release = threading.Event()

    def exchange(credential: Exchangeable) -> Issued:
        if credential is BAD:
            release.wait()
        return token()

    async with refreshing(exchange, bad=BAD, good=GOOD) as seen:
        await seen.until(lambda: bool(seen.all))
    assert list(seen.all[0]) == ["ns/good"]
    release.set()


async def test_an_exchange_that_is_late_is_told_and_not_doubled(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(refresher, "_DEADLINE_SECONDS", 0.05)
    release = threading.Event()
    calls: list[Exchangeable] = []

    def exchange(credential: Exchangeable) -> Issued:
        calls.append(credential)
        release.wait()
        return token()

    class Told(logging.Handler):
        def emit(self, _: logging.LogRecord) -> None:
            release.set()

    monkeypatch.setattr(refresher.logger, "handlers", [Told()])
    async with refreshing(exchange, bad=BAD) as seen:
        await seen.until(lambda: bool(seen.all))
    assert "no answer within" in caplog.text
    assert calls == [BAD]


async def test_an_update_keeps_what_stays_the_same() -> None:
    seen = Seen()
    calls: list[Exchangeable] = []

    def exchange(credential: Exchangeable) -> Issued:
        calls.append(credential)
        return token(f"t-{len(calls)}")

    refresher = Refresher({"ns/good": GOOD, "ns/other": BAD}, seen.add, exchange)
    task = asyncio.create_task(refresher.run())
    await seen.until(lambda: len(refresher.issued) == 2)
    kept = refresher.issued["ns/good"]
    new = AzureApplication("t", "c", "good-secret")
    refresher.update({"ns/good": GcpServiceAccount({"client_email": "good"}), "ns/other": new})
    assert refresher.issued == {"ns/good": kept}
    await seen.until(lambda: len(refresher.issued) == 2)
    refresher.update({"ns/other": new, "ns/key": KEY})
    assert list(refresher.issued) == ["ns/other"]
    assert sorted(map(repr, calls)) == sorted(map(repr, (GOOD, BAD, new)))
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize(
    ("library", "extra", "credential"),
    [
        ("botocore", "aws", "AwsDefaultChain('r')"),
        ("msal", "azure", "AzureApplication('t', 'c', 's')"),
        ("google", "gcp", "GcpDefaultCredentials()"),
    ],
)
def test_a_library_that_is_missing_is_named_with_its_extra(
    library: str, extra: str, credential: str
) -> None:
    code = (
        f"import sys; sys.modules['{library}'] = None\n"
        "from aigw.credentials.exchange import exchange\nfrom aigw.plan import *\n"
        f"try: exchange({credential})\nexcept Exception as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert f"the library {library}" in done.stdout
    assert f"pip install 'aigw[{extra}]'" in done.stdout
