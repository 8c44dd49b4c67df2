"""A server that is reached on the side: its references and connection settings.

Members of several objects: identity providers, key sets, authorization services.
"""

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from aigw.api.model import ApiModel, Later, Rule
from aigw.api.references import BackendObjectReference, WeightedBackendReference

if TYPE_CHECKING:
    from aigw.api.cluster_settings import ClusterSettings
else:
    ClusterSettings = Annotated[Any, Later("aigw.api.cluster_settings", "ClusterSettings")]

NO_SINGLE_REFERENCE = Rule(
    "EG-4",
    "!has(self.backendRef)",
    "BackendRefs must be used, backendRef is not supported.",
)
NO_RETRY_TIMEOUT = Rule(
    "EG-5",
    "!has(self.backendSettings) || !has(self.backendSettings.retry) || "
    "!has(self.backendSettings.retry.perRetry) || "
    "!has(self.backendSettings.retry.perRetry.timeout)",
    "Retry timeout is not supported.",
)
NO_RETRY_STATUSES = Rule(
    "EG-6",
    "!has(self.backendSettings) || !has(self.backendSettings.retry) || "
    "!has(self.backendSettings.retry.retryOn) || "
    "!has(self.backendSettings.retry.retryOn.httpStatusCodes)",
    "HTTPStatusCodes is not supported.",
)


class BackendCluster(ApiModel):
    """References and settings of a server."""

    backend_ref: BackendObjectReference | None = None
    """The older form, for one reference."""
    backend_refs: Annotated[list[WeightedBackendReference], Field(max_length=16)] | None = None
    backend_settings: ClusterSettings | None = None
