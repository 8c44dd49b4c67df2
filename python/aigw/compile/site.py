"""Where a plan is served."""

from enum import Enum, auto


class Site(Enum):
    """What differs beside the resources."""

    MACHINE = auto()
    """Gateways share the ports of a machine, and policies are enforced by what is rendered."""
    CLUSTER = auto()
    """Each Gateway has an address of its own, and policies are Envoy Gateway's to judge."""
