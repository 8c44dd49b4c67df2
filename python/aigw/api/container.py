"""Settings of a container in a cluster, as Kubernetes has them (T: KubernetesContainerSpec)."""

from typing import Annotated

from aigw.api.fields import Boolean, CrdSchema, Int64, Quantity, UniqueBy
from aigw.api.model import ApiModel, Rule

_ATOMIC = {"x-kubernetes-map-type": "atomic"}
AtomicList = Annotated[list[str], CrdSchema({"x-kubernetes-list-type": "atomic"})]


class ConfigMapKeySelector(ApiModel):
    """A key of a ConfigMap."""

    SCHEMA = _ATOMIC

    key: str
    name: str = ""
    optional: Boolean | None = None


class SecretKeySelector(ApiModel):
    """A key of a Secret."""

    SCHEMA = _ATOMIC

    key: str
    name: str = ""
    optional: Boolean | None = None


class ObjectFieldSelector(ApiModel):
    """A field of the pod."""

    SCHEMA = _ATOMIC

    api_version: str | None = None
    field_path: str


class ResourceFieldSelector(ApiModel):
    """A resource of a container."""

    SCHEMA = _ATOMIC

    container_name: str | None = None
    divisor: Quantity | None = None
    resource: str


class FileKeySelector(ApiModel):
    """A key of a file with variables."""

    SCHEMA = _ATOMIC

    key: str
    optional: Boolean = False
    path: str
    volume_name: str


class EnvVarSource(ApiModel):
    """Where the value of a variable comes from."""

    config_map_key_ref: ConfigMapKeySelector | None = None
    field_ref: ObjectFieldSelector | None = None
    file_key_ref: FileKeySelector | None = None
    resource_field_ref: ResourceFieldSelector | None = None
    secret_key_ref: SecretKeySelector | None = None


class EnvVar(ApiModel):
    """An environment variable."""

    name: str
    value: str | None = None
    value_from: EnvVarSource | None = None


class ResourceClaim(ApiModel):
    """A claim of dynamic resources."""

    name: str
    request: str | None = None


class ResourceRequirements(ApiModel):
    """Resources of the container."""

    claims: Annotated[list[ResourceClaim], UniqueBy("name")] | None = None
    limits: dict[str, Quantity] | None = None
    requests: dict[str, Quantity] | None = None


class AppArmorProfile(ApiModel):
    """AppArmor."""

    localhost_profile: str | None = None
    type: str


class SeccompProfile(ApiModel):
    """Seccomp."""

    localhost_profile: str | None = None
    type: str


class Capabilities(ApiModel):
    """Capabilities to add and to drop."""

    add: AtomicList | None = None
    drop: AtomicList | None = None


class SELinuxOptions(ApiModel):
    """SELinux."""

    level: str | None = None
    role: str | None = None
    type: str | None = None
    user: str | None = None


class WindowsSecurityContextOptions(ApiModel):
    """Windows."""

    gmsa_credential_spec: str | None = None
    gmsa_credential_spec_name: str | None = None
    host_process: Boolean | None = None
    run_as_user_name: str | None = None


class SecurityContext(ApiModel):
    """Security of the container; replaces the default as a whole."""

    allow_privilege_escalation: Boolean | None = None
    app_armor_profile: AppArmorProfile | None = None
    capabilities: Capabilities | None = None
    privileged: Boolean | None = None
    proc_mount: str | None = None
    read_only_root_filesystem: Boolean | None = None
    run_as_group: Int64 | None = None
    run_as_non_root: Boolean | None = None
    run_as_user: Int64 | None = None
    se_linux_options: SELinuxOptions | None = None
    seccomp_profile: SeccompProfile | None = None
    windows_options: WindowsSecurityContextOptions | None = None


class VolumeMount(ApiModel):
    """A volume of the pod in the container."""

    mount_path: str
    mount_propagation: str | None = None
    name: str
    read_only: Boolean | None = None
    recursive_read_only: str | None = None
    sub_path: str | None = None
    sub_path_expr: str | None = None


class KubernetesContainerSpec(ApiModel):
    """The container of the external processor."""

    RULES = (
        Rule(
            "EG-10",
            "!(has(self.image) && has(self.imageRepository))",
            "Either image or imageRepository can be set.",
        ),
        Rule(
            "EG-11",
            r"self.matches('^[a-zA-Z0-9._-]+(:[0-9]+)?(/[a-zA-Z0-9._/-]+)?"
            r"(:[a-zA-Z0-9._-]+)?(@sha256:[a-z0-9]+)?$')",
            "Image must include a tag and allowed characters only (e.g., 'repo:tag').",
            field="image",
        ),
        Rule(
            "EG-12",
            "self.matches('^[a-zA-Z0-9._-]+(:[0-9]+)?[a-zA-Z0-9._/-]+$')",
            "ImageRepository must contain only allowed characters and must not include a tag.",
            field="imageRepository",
        ),
    )

    env: list[EnvVar] | None = None
    image: str | None = None
    image_repository: str | None = None
    """Repository; tag or digest are those of the default image."""
    resources: ResourceRequirements | None = None
    security_context: SecurityContext | None = None
    volume_mounts: list[VolumeMount] | None = None
    """Added to the mounts that the container has anyway."""
