"""GatewayClass: the parameters of Gateways that name none of their own."""

from typing import Annotated, ClassVar

from pydantic import Field

from aigw.api.model import ApiModel, Resource
from aigw.api.references import ClassParametersReference


class GatewayClassSpec(ApiModel):
    """Spec of a GatewayClass."""

    controller_name: Annotated[str, Field(min_length=1, max_length=253)]
    parameters_ref: ClassParametersReference | None = None
    description: Annotated[str, Field(max_length=64)] | None = None


class GatewayClass(Resource):
    """Class of Gateways (cluster-scoped)."""

    GROUP: ClassVar[str] = "gateway.networking.k8s.io"
    KIND: ClassVar[str] = "GatewayClass"

    spec: GatewayClassSpec

    @property
    def namespace(self) -> str:
        """Empty: the kind has no namespace."""
        return ""
