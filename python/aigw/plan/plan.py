"""The plan as a whole."""

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aigw.plan.attributes import Attributes
from aigw.plan.backend import Backend
from aigw.plan.costs import PriceLists
from aigw.plan.credentials import Credential
from aigw.plan.endpoint import Proxy
from aigw.plan.gateway import Gateway
from aigw.plan.listener import Port
from aigw.plan.rule import Rule
from aigw.plan.tls import Certificate

if TYPE_CHECKING:
    from aigw.plan.http import HttpBackend, HttpRule
    from aigw.plan.security import Security


@dataclass(frozen=True, slots=True)
class EndpointPrefixes:
    """Where the endpoints of each API are; `root` comes before the others."""

    root: str = "/"
    openai: str = "/"
    cohere: str = "/cohere"
    anthropic: str = "/anthropic"

    def path(self, api: str, rest: str = "") -> str:
        """A path behind the prefix of an API, without repeated slashes and one at the end."""
        # Three slashes at the start become one, two would stay.
        return posixpath.normpath(f"///{self.root}/{api}/{rest}")


@dataclass(frozen=True, slots=True)
class Plan:
    """All that is served. Gateways are keyed by `<ns>/<name>`, ports are in order.

    `rules` and `backends` are keyed by `Rule.id` and `Backend.name`, those for plain routes the
    same way, `certificates` by the `<ns>/<name>` of their Secret, `authorities` (PEM bundles) and
    `proxies` by a name of their source, `security` by a hash of all but its secrets.
    """

    gateways: Mapping[str, Gateway]
    ports: tuple[Port, ...]
    rules: Mapping[str, Rule]
    backends: Mapping[str, Backend]
    credentials: Mapping[str, Credential] = field(default_factory=dict, repr=False)
    certificates: Mapping[str, Certificate] = field(default_factory=dict, repr=False)
    authorities: Mapping[str, str] = field(default_factory=dict, repr=False)
    proxies: Mapping[str, Proxy] = field(default_factory=dict)
    prefixes: EndpointPrefixes = EndpointPrefixes()
    metadata_namespaces: tuple[str, ...] = ()
    """Dynamic metadata that the core gets to see besides its own."""
    price_lists: PriceLists = field(default_factory=PriceLists)
    security: Mapping[str, "Security"] = field(default_factory=dict)
    http_rules: Mapping[str, "HttpRule"] = field(default_factory=dict)
    http_backends: Mapping[str, "HttpBackend"] = field(default_factory=dict)
    attributes: Attributes = field(default_factory=Attributes)
    """Request headers that are kept."""
