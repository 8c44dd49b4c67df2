"""Brings a new configuration to a data plane that serves, without a request noticing.

First everything that is new is added to what is there: backends and credentials of the core; of
Envoy, listeners by which clusters go out, clusters, and issuers of tokens. When both have it,
Envoy's routes move over, then the listeners for clients. What is old goes when the requests that
may need it have ended. Whatever is refused on the way is taken back.
"""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import reduce
from typing import TypeVar

from aigw import files
from aigw.render.envoy import CDS_FILE, LDS_FILE, joined_filter_config
from aigw.render.envoy.discovery import joined, resources_of, written
from aigw.render.envoy.names import Json
from aigw.render.envoy.security import JWT_FILTER, TOKENS_FILE
from aigw.render.envoy.token_filters import with_tokens
from aigw.render.envoy.ways import is_way
from aigw.standalone import publish
from aigw.standalone.admin import Admin, AdminError
from aigw.standalone.errors import RefusedError
from aigw.standalone.layout import Layout
from aigw.standalone.publish import CredentialsFile, Publication
from aigw.standalone.status import await_generation

ACCEPT_TIMEOUT = 15.0
"""Long enough for names that do not resolve."""
RESTORE_TIMEOUT = 2.0
LONGEST_DRAIN = 60.0
"""How long old parts are kept for requests that were there before; later ones do not need them."""
_SHARED = (CDS_FILE, TOKENS_FILE, LDS_FILE)
"""Files that have what is old and what is new for a while; the others are those of routes."""
_WARMING_CLUSTERS = "cluster_manager.warming_clusters"
_WARMING_LISTENERS = "listener_manager.total_listeners_warming"
_STATISTICS = {
    CDS_FILE: "cluster_manager.cds",
    TOKENS_FILE: f"extension_config_discovery.http_filter.{JWT_FILTER}",
    LDS_FILE: "listener_manager.lds",
}
_POLL = 0.02
_DRAIN_POLL = 1.0
# Of quick changes in a row, what is older than this many is not waited for.
_MOST_PAST = 8


T = TypeVar("T")
# Texts of files before they were replaced, None where there was none.
_Undo = dict[str, bytes | None]


class Rollout:
    """Moves one data plane from configuration to configuration."""

    def __init__(
        self,
        layout: Layout,
        admin: Admin,
        first: Publication,
        credentials: CredentialsFile,
        refusals: Callable[[float], Sequence[str]],
    ) -> None:
        """`first` is published already; `refusals` are words of Envoy since an instant."""
        self.current = first
        self.layout = layout
        self._admin = admin
        self.credentials = credentials
        self._refusals = refusals
        self._secrets = {*first.envoy.secrets}
        self._past: list[tuple[float, Publication]] = []
        self._files = {path: written(found)[0] for path, found in first.envoy.files.items()}

    async def to(self, new: Publication) -> None:
        """Brings `new` into force.

        Raises:
            RefusedError: the data plane refuses it or does not answer; nothing has changed.
        """
        began = time.monotonic()
        undo: _Undo = {}
        past = [*(old for _, old in self._past), self.current]
        try:
            await self._add(past, new, undo)
            await self._move(past, new, undo)
        except (RefusedError, OSError) as error:
            said = self._refusals(began)
            await self._restore(past, undo)
            raise RefusedError("\n  ".join([str(error), *said])) from None
        self._past = [*self._past, (time.monotonic(), self.current)][-_MOST_PAST:]
        self.current = new

    async def settle(self) -> None:
        """Waits until old parts are not needed any more, and removes them."""
        while self._past:
            # Not at once: workers of Envoy may be a moment behind.
            await asyncio.sleep(_DRAIN_POLL)
            if await self._is_quiet() or time.monotonic() - self._past[-1][0] > LONGEST_DRAIN:
                self._prune()

    async def _add(self, past: Sequence[Publication], new: Publication, undo: _Undo) -> None:
        """What is new beside what is old, in the core and in Envoy."""
        configs = [*(old.config for old in past), new.config]
        config = reduce(joined_filter_config, configs)
        self.credentials.show(*(old.plan for old in past), new.plan)
        publish.write_config(config, self.layout)
        publish.write_secrets(new.envoy, self.layout)
        self._secrets |= {*new.envoy.secrets}
        clusters = reduce(joined, (item.envoy.files[CDS_FILE] for item in past))
        ways = {CDS_FILE: joined(clusters, _ways(new, CDS_FILE))}
        await self._accepted(ways, undo, _WARMING_CLUSTERS)
        listeners = {LDS_FILE: _with_ways(self.current, *past, new)}
        await self._accepted(listeners, undo, _WARMING_LISTENERS)
        clusters = joined(clusters, new.envoy.files[CDS_FILE])
        results = await asyncio.gather(
            await_generation(self.layout, str(config["generation"])),
            self._accepted({CDS_FILE: clusters}, undo, _WARMING_CLUSTERS),
            return_exceptions=True,  # both have ended when anything is taken back
        )
        for result in results:
            if result is not None:
                raise result
        tokens = reduce(with_tokens, (item.envoy.files[TOKENS_FILE] for item in (*past, new)))
        await self._accepted({TOKENS_FILE: tokens}, undo, "")

    async def _move(self, past: Sequence[Publication], new: Publication, undo: _Undo) -> None:
        """Routes, then listeners."""
        found = new.envoy.files
        routes = {path: found[path] for path in found if path not in _SHARED}
        await self._accepted(routes, undo, "")
        listeners = _with_ways(new, *past)
        await self._accepted({LDS_FILE: listeners}, undo, _WARMING_LISTENERS)

    async def _accepted(self, responses: Mapping[str, Json], undo: _Undo, warming: str) -> None:
        """Moves files in and waits until Envoy has them in force.

        Raises:
            RefusedError: it refuses one.
        """
        texts = {path: written(found) for path, found in responses.items()}
        changed = {path: text for path, text in texts.items() if self._files.get(path) != text[0]}
        if not changed:
            return
        refused = await self._asked(self._admin.refusals)
        versions = await self._asked(self._admin.versions)
        # A new listener's routes are read with it.
        expected = {
            name: version
            for path, (_, version) in changed.items()
            for name in [_statistic(responses[path], path, versions)]
            if name
        }
        for path, (text, _) in changed.items():
            undo.setdefault(path, self._files.get(path))
            self._write(path, text)
        deadline = time.monotonic() + ACCEPT_TIMEOUT
        for turn in itertools.count():
            if await self._is_in_force(expected, warming):
                return
            # Envoy goes through all its counters for that.
            if turn % 4 == 3 and await self._asked(self._admin.refusals) > refused:
                message = "Envoy refuses the new configuration:"
                raise RefusedError(message)
            if time.monotonic() > deadline:
                message = f"Envoy has not taken the new configuration within {ACCEPT_TIMEOUT:.0f} s"
                raise RefusedError(message)
            await asyncio.sleep(_POLL)

    async def _is_in_force(self, expected: Mapping[str, str], warming: str) -> bool:
        try:
            versions = await self._admin.versions()
            if any(versions.get(name) != version for name, version in expected.items()):
                return False
            return not warming or not await self._admin.gauge(warming)
        except AdminError:
            return False  # it may be starting again; the deadline counts

    async def _asked(self, question: Callable[[], Awaitable[T]]) -> T:
        """The answer of an Envoy that may be starting again."""
        deadline = time.monotonic() + ACCEPT_TIMEOUT
        while True:
            try:
                return await question()
            except AdminError as error:
                if time.monotonic() > deadline:
                    raise RefusedError(str(error)) from None
            await asyncio.sleep(_POLL)

    async def _restore(self, past: Sequence[Publication], undo: _Undo) -> None:
        """Back to what was there: listeners and routes first, then what they do not need."""
        clusters = {path: text for path, text in undo.items() if path == CDS_FILE}
        others = {path: text for path, text in undo.items() if path != CDS_FILE}
        for texts in (dict(reversed(others.items())), clusters):
            await self._put_back(texts)
        self.credentials.show(*(old.plan for old in past))
        config = reduce(joined_filter_config, [old.config for old in past])
        publish.write_config(config, self.layout)
        self._keep_secrets(path for old in past for path in old.envoy.secrets)

    async def _put_back(self, texts: Mapping[str, bytes | None]) -> None:
        attempts = await self._attempts()
        for path, text in texts.items():
            self._write(path, text)
        deadline = time.monotonic() + RESTORE_TIMEOUT
        while await self._attempts() < attempts + len(texts):
            if time.monotonic() > deadline:
                return
            await asyncio.sleep(_POLL)

    async def _attempts(self) -> int:
        try:
            return await self._admin.attempts()
        except AdminError:
            return 0  # when it starts again, it reads all files

    async def _is_quiet(self) -> bool:
        """No request is in progress: those that were there before have ended."""
        try:
            return not await self._admin.active_requests()
        except AdminError:
            return False

    def _prune(self) -> None:
        """Leaves what the configuration in force needs."""
        self._past = []
        config, layout = self.current, self.layout
        for path in _SHARED:
            text = written(config.envoy.files[path])[0]
            if self._files[path] != text:
                self._write(path, text)
        publish.write_config(config.config, layout)
        self.credentials.show(config.plan)
        for path in [path for path in self._files if path not in config.envoy.files]:
            self._write(path, None)
        self._keep_secrets(config.envoy.secrets)

    def _keep_secrets(self, paths: Iterable[str]) -> None:
        kept = {*paths}
        for path in self._secrets - kept:
            (self.layout.envoy / path).unlink(missing_ok=True)
        self._secrets = kept

    def _write(self, path: str, text: bytes | None) -> None:
        if text is None:
            self._files.pop(path, None)
            (self.layout.envoy / path).unlink(missing_ok=True)
            return
        files.replace(self.layout.envoy / path, text)
        self._files[path] = text


def _ways(publication: Publication, path: str) -> Json:
    """What clusters of backends need before they are there."""
    return {"resources": [*filter(is_way, resources_of(publication.envoy.files[path]))]}


def _with_ways(publication: Publication, *others: Publication) -> Json:
    """Listeners for clients, and the ways of other publications too."""
    ways = reduce(joined, (_ways(other, LDS_FILE) for other in others))
    return joined(ways, publication.envoy.files[LDS_FILE])


def _statistic(found: Json, path: str, versions: Iterable[str]) -> str | None:
    """Where Envoy counts the updates of a file; None where it does not know it yet."""
    if path in _STATISTICS:
        return _STATISTICS[path]
    (routes,) = resources_of(found)
    return next((name for name in versions if name.endswith(f".rds.{routes['name']}")), None)
