"""Events of the cluster, by kopf: the only module that knows it.

Kopf's own bookkeeping is off: no finalizers, no annotations, no events, no peering. It says when
something was seen; what follows is decided from the cache.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import kopf

from aigw.controller.api import Api
from aigw.controller.kinds import Kind

Json = dict[str, Any]

Seen = Callable[[Kind, Json, bool], None]
"""Gets a kind, an object of it, and whether it is gone."""


async def watch(api: Api, kinds: Iterable[Kind], namespaces: Iterable[str], seen: Seen) -> None:
    """Watches until it is cancelled; without `namespaces` the whole cluster."""
    registry = kopf.OperatorRegistry()
    _login(registry, api)
    for kind in kinds:
        _watch_kind(registry, kind, seen)
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.watching.chunk_size = 500
    settings.queueing.idle_timeout = 1.0
    chosen = tuple(namespaces)
    await kopf.operator(
        registry=registry,
        settings=settings,
        standalone=True,
        clusterwide=not chosen,
        namespaces=chosen,
        stop_flag=asyncio.Event(),  # nobody sets it: signals are not kopf's
    )


def _login(registry: kopf.OperatorRegistry, api: Api) -> None:
    async def login(**_: object) -> kopf.ConnectionInfo:
        return kopf.ConnectionInfo(**api.connection())

    kopf.on.login(registry=registry)(login)


def _watch_kind(registry: kopf.OperatorRegistry, kind: Kind, seen: Seen) -> None:
    async def on_event(**arguments: Any) -> None:  # noqa: ANN401 - as kopf calls it
        event = arguments["event"]
        document = {"apiVersion": kind.api_version, "kind": kind.name, **event["object"]}
        seen(kind, document, event["type"] == "DELETED")

    on = kopf.on.event(kind.group, kind.version, kind.plural, registry=registry, id="seen")
    on(on_event)
