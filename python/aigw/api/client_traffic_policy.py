"""ClientTrafficPolicy: how much of a request a Gateway buffers."""

from typing import ClassVar

from pydantic import Field

from aigw.api.fields import ByteQuantity
from aigw.api.model import ApiModel, Resource
from aigw.api.references import SectionTargetReference, TargetRefs


class ClientConnection(ApiModel):
    """Limits of client connections."""

    NOT_YET = frozenset({"connectionLimit", "maxAcceptPerSocketEvent", "socketBufferLimit"})

    buffer_limit: ByteQuantity | None = None


class ClientTrafficPolicySpec(ApiModel):
    """Spec of a ClientTrafficPolicy."""

    NOT_YET = frozenset(
        {
            "clientIPDetection",
            "enableProxyProtocol",
            "headers",
            "healthCheck",
            "http1",
            "http2",
            "http3",
            "path",
            "proxyProtocol",
            "scheme",
            "targetSelectors",
            "tcpKeepalive",
            "timeout",
            "tls",
        }
    )

    target_ref: SectionTargetReference | None = None
    target_refs: TargetRefs | None = None
    connection: ClientConnection = Field(default_factory=ClientConnection)

    @property
    def targets(self) -> list[SectionTargetReference]:
        """All targets, whichever field names them."""
        return [*([self.target_ref] if self.target_ref else []), *(self.target_refs or [])]


class ClientTrafficPolicy(Resource):
    """Settings of the client side of Gateways."""

    GROUP: ClassVar[str] = "gateway.envoyproxy.io"
    KIND: ClassVar[str] = "ClientTrafficPolicy"

    spec: ClientTrafficPolicySpec
