"""What backends in use are reached with: certificates, authorities, proxies."""

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aigw.compile.egress import Egress
from aigw.plan import Backend, Certificate, Collector, Proxy

if TYPE_CHECKING:
    from aigw.plan.http import HttpBackend


@dataclass(frozen=True, slots=True)
class Ways:
    """Of all that was read, what is in use: what an edit leaves behind is not."""

    certificates: Mapping[str, Certificate]
    authorities: Mapping[str, str]
    proxies: Mapping[str, Proxy]


def keys_of(reached: "Iterable[Backend | HttpBackend | Collector]") -> Iterator[str]:
    """Keys of what they are reached with; an empty one stands for nothing."""
    for item in reached:
        if item.tls:
            yield item.tls.client_certificate
            yield item.tls.authorities
        for endpoint in item.endpoints:
            yield endpoint.proxy


def ways(keys: Set[str], egress: Egress) -> Ways:
    """Those with these keys."""
    found = egress.certificates
    return Ways(
        {key: value for key, value in found.pairs.items() if key in keys},
        {key: value for key, value in found.authorities.items() if key in keys},
        {key: value for key, value in egress.proxies.items() if key in keys},
    )
