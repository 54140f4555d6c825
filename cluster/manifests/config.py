"""What a cluster may be told (configs/cluster/*.yaml)."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, model_validator

from cluster.config import StrictModel

DEFAULT_FILE = "cluster/production.yaml"
NAME_PATTERN = r"^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$"

Name: TypeAlias = Annotated[str, Field(pattern=NAME_PATTERN)]
"""Of something in Kubernetes, short enough for the suffixes that KubeRay adds."""

AbsolutePath: TypeAlias = Annotated[str, Field(pattern="^/")]
Place: TypeAlias = Annotated[str, Field(pattern="^(/|[a-z][a-z0-9+.-]*://)")]
"""An absolute path or a URI: relative ones would be another place on every node."""


class NodeConfig(StrictModel):
    """Size of a node."""

    cpus: int = Field(ge=1)
    memory_gib: int = Field(ge=1)
    gpus: int = Field(0, ge=0)


class WorkersConfig(NodeConfig):
    """Size and number of the workers."""

    min: int = Field(ge=0)
    max: int = Field(ge=1)

    @model_validator(mode="after")
    def _ordered(self) -> WorkersConfig:
        if self.max < self.min:
            raise ValueError("max is less than min")
        return self


class VolumeConfig(StrictModel):
    """A folder that containers share with something: a claim, a Secret, or the pod."""

    name: Name
    path: AbsolutePath
    claim: Name | None = Field(None, description="a PersistentVolumeClaim; null for an empty folder as old as the pod")
    secret: Name | None = Field(None, description="in place of a claim: a Secret, whose entries are the folder's files")

    @model_validator(mode="after")
    def _one_source(self) -> VolumeConfig:
        if self.claim is not None and self.secret is not None:
            raise ValueError("a volume has a claim or a secret, not both")
        return self


class RedisConfig(StrictModel):
    """Where Ray's control plane keeps its state."""

    address: str = Field(min_length=1)
    password_secret: Name
    password_key: str = Field(min_length=1)


class AwsMachines(StrictModel):
    """Instances that `ray up` starts."""

    type: Literal["aws"]
    region: str
    availability_zone: str
    head_instance_type: str
    worker_instance_type: str
    ssh_user: str


class LocalMachines(StrictModel):
    """Machines that are there already, reached by SSH."""

    type: Literal["local"]
    head_ip: str
    worker_ips: tuple[str, ...] = Field(min_length=1)
    ssh_user: str


class ClusterConfig(StrictModel):
    """Configuration of `nbmf manifest`."""

    name: Name
    image: str = Field(min_length=1)
    registry: Place
    auth: Literal["token", "disabled"]
    idle_timeout_s: int = Field(ge=1)
    termination_grace_s: int = Field(ge=1)
    head: NodeConfig
    workers: WorkersConfig
    volumes: tuple[VolumeConfig, ...] = ()
    secrets: tuple[Name, ...] = ()
    env: dict[str, str] = Field(default_factory=dict)
    redis: RedisConfig | None = None
    machines: Annotated[AwsMachines | LocalMachines, Field(discriminator="type")] | None = None
