"""ReferenceGrant: permission to refer to objects of its namespace."""

from typing import Annotated, ClassVar

from pydantic import Field

from aigw.api.fields import Group, Kind, Label, ObjectName
from aigw.api.model import ApiModel, Resource


class ReferenceGrantFrom(ApiModel):
    """Who may refer."""

    group: Group
    kind: Kind
    namespace: Annotated[Label, Field(max_length=63)]


class ReferenceGrantTo(ApiModel):
    """What may be referred to; without a name, everything of the kind."""

    group: Group
    kind: Kind
    name: ObjectName | None = None


class ReferenceGrantSpec(ApiModel):
    """Spec of a ReferenceGrant: all of `from` may refer to all of `to`."""

    from_: Annotated[list[ReferenceGrantFrom], Field(alias="from", min_length=1, max_length=16)]
    to: Annotated[list[ReferenceGrantTo], Field(min_length=1, max_length=16)]


class ReferenceGrant(Resource):
    """Given by the owner of the namespace that is referred to."""

    GROUP: ClassVar[str] = "gateway.networking.k8s.io"
    KIND: ClassVar[str] = "ReferenceGrant"

    spec: ReferenceGrantSpec
