"""Endpoints of a rule: which backend each is, and in which order they are tried."""

from collections.abc import Iterable

from aigw.extension.messages import Message
from aigw.extension.names import cluster_place
from aigw.extension.served import Named, ServedRule, agree
from aigw.plan import AddressKind
from aigw.render.envoy.names import BACKEND_KEY, HOST_METADATA

HOST_KEY = "upstream_host"


def name_assignment(assignment: Message, rule: ServedRule) -> bool:
    """Names the backends of a load assignment in place, and says whether all were known.

    Endpoints of a backend that the plan does not have are taken out: nothing would translate their
    requests, and nothing says which credential is for them.
    """
    place = cluster_place(assignment.cluster_name)
    only = None if place is None else place.ref
    localities = list(assignment.endpoints)
    numbers = [_number(item, only) for item in localities]
    groups = [
        (number, [*_addresses(item)]) for number, item in zip(numbers, localities, strict=True)
    ]
    refs = rule.refs
    if only is not None:
        found = [agree(refs, [group])[0] for group in groups]
    else:
        found = agree(refs, groups)
    kept = []
    for locality, named in zip(localities, found, strict=True):
        if named is not None:
            # A cluster of its own has no others before it.
            locality.priority = named.priority if only is None else 0
            _name(locality, named)
            kept.append(locality)
    if len(kept) != len(localities):
        copies = [_copy(item) for item in kept]
        del assignment.endpoints[:]
        assignment.endpoints.extend(copies)
    return None not in found


def _copy(found: Message) -> Message:
    copy = type(found)()
    copy.CopyFrom(found)
    return copy


def _number(locality: Message, only: int | None) -> int:
    """The number of the backendRef: Envoy Gateway writes it into the region."""
    place = cluster_place(locality.locality.region)
    if place is not None and place.ref is not None:
        return place.ref
    return -1 if only is None else only


def _addresses(locality: Message) -> Iterable[tuple[str, int]]:
    for item in locality.lb_endpoints:
        yield _address(item.endpoint.address)


def _address(address: Message) -> tuple[str, int]:
    if address.HasField("pipe"):
        return address.pipe.path, 0
    return address.socket_address.address, address.socket_address.port_value


def _name(locality: Message, named: Named) -> None:
    for item in locality.lb_endpoints:
        address, port = _address(item.endpoint.address)
        known = named.endpoint(address, port)
        if known is None:
            continue
        # What Envoy makes the host of the request; signatures cover it.
        if not item.endpoint.hostname:
            item.endpoint.hostname = known.hostname
        fields = item.metadata.filter_metadata[HOST_METADATA].fields
        fields[BACKEND_KEY].string_value = named.id
        host = item.endpoint.hostname or (address if known.kind is AddressKind.DNS else "")
        if host:
            fields[HOST_KEY].string_value = host
