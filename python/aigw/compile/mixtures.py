"""What does not go together in one rule, and is served all the same."""

from collections.abc import Iterator, Sequence

from aigw.plan import AddressKind, Backend, Rule


def notes_of(rule: Rule, backends: Sequence[Backend]) -> Iterator[str]:
    """What users should know about the backends of a rule."""
    if len({backend.http2 for backend in backends}) > 1:
        yield (
            "only some of its backends have the protocol h2c; with --data-plane extproc all of "
            "them are spoken to in HTTP/1.1"
        )
    if rule.retry is None or len(rule.groups) < 2 or "reset" in rule.retry.triggers:
        return
    plain = [backend for backend in backends if backend.tls is None]
    endpoints = [item for backend in plain for item in backend.endpoints]
    lost = "the next backend is tried only with the retry trigger reset"
    if any(item.proxy for item in endpoints):
        yield f"when the proxy cannot reach a provider in plain text, {lost}"
    if _has_ways(backends) and any(
        item.kind is AddressKind.DNS and not item.proxy and item.address != "localhost"
        for item in endpoints
    ):
        yield (
            "it has names in plain text beside proxies or Unix sockets; with --data-plane extproc, "
            f"when such a name cannot be reached, {lost}"
        )


def _has_ways(backends: Sequence[Backend]) -> bool:
    return any(
        item.proxy or item.kind is AddressKind.UNIX
        for backend in backends
        for item in backend.endpoints
    )
