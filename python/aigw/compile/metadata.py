"""Dynamic metadata that the core gets to see."""

from collections.abc import Iterable, Iterator

from aigw.api.gateway import Gateway
from aigw.compile.index import OWN_GROUP, Index
from aigw.compile.proxies import CONFIG_ANNOTATION
from aigw.plan import Auth, MetadataSource


def namespaces_of(
    gateways: Iterable[Gateway], auths: Iterable[Auth], index: Index
) -> tuple[str, ...]:
    """Namespaces that GatewayConfigs name, and those that bring credentials."""
    found = {namespace for gateway in gateways for namespace in _configured(gateway, index)}
    sources = [auth.override.source for auth in auths if auth.override]
    found |= {source.namespace for source in sources if isinstance(source, MetadataSource)}
    return tuple(sorted(found))


def _configured(gateway: Gateway, index: Index) -> Iterator[str]:
    name = gateway.metadata.annotations.get(CONFIG_ANNOTATION)
    if not name or (OWN_GROUP, "GatewayConfig") not in index.kinds:
        return
    from aigw.api.gateway_config import GatewayConfig  # noqa: PLC0415 - most have none

    config = index.get(GatewayConfig, gateway.namespace, name)
    if config and config.spec.ext_proc:
        yield from config.spec.ext_proc.metadata_forwarding_namespaces or []
