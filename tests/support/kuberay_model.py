"""The fields of KubeRay's resources (ray.io/v1 at release 1.6) and of Kubernetes' that manifests may use, by hand.

The API server drops or refuses fields that it does not know, so a misspelt one must be found here: all is strict.
"""

# ruff: noqa: N815

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Label = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$")]
DnsName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
PortName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?$")]
Quantity = Annotated[str, Field(pattern=r"^[0-9]+(m|Mi|Gi)?$")]
Port = Annotated[int, Field(ge=1, le=65535)]
Count = Annotated[int, Field(ge=0)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Metadata(Strict):
    name: DnsName
    labels: dict[str, Label] = {}


class LabelSelector(Strict):
    matchLabels: dict[str, Label] = {}


class NamedKey(Strict):
    name: DnsName
    key: str


class SecretKeyRef(Strict):
    secretKeyRef: NamedKey


class EnvVar(Strict):
    name: Annotated[str, Field(pattern="^[A-Za-z_][A-Za-z0-9_]*$")]
    value: str


class SecretName(Strict):
    name: DnsName


class EnvFrom(Strict):
    secretRef: SecretName


class ContainerPort(Strict):
    name: PortName
    containerPort: Port


class Resources(Strict):
    requests: dict[Literal["cpu", "memory", "nvidia.com/gpu"], Quantity]
    limits: dict[Literal["cpu", "memory", "nvidia.com/gpu"], Quantity]


class VolumeMount(Strict):
    name: DnsName
    mountPath: Annotated[str, Field(pattern="^/")]


class Exec(Strict):
    command: list[str]


class Handler(Strict):
    exec: Exec


class Lifecycle(Strict):
    preStop: Handler


class Probe(Handler):
    initialDelaySeconds: Count
    timeoutSeconds: Count
    periodSeconds: Count
    failureThreshold: Count


class Container(Strict):
    name: DnsName
    image: str
    ports: list[ContainerPort]
    env: list[EnvVar]
    envFrom: list[EnvFrom] = []
    resources: Resources
    volumeMounts: list[VolumeMount]
    lifecycle: Lifecycle | None = None
    readinessProbe: Probe | None = None


class Claim(Strict):
    claimName: DnsName


class SecretFiles(Strict):
    secretName: DnsName
    defaultMode: Annotated[int, Field(ge=0, le=0o777)]


class EmptyDir(Strict):
    pass


class Volume(Strict):
    name: DnsName
    persistentVolumeClaim: Claim | None = None
    emptyDir: EmptyDir | None = None
    secret: SecretFiles | None = None

    @model_validator(mode="after")
    def _one_source(self):
        assert [self.persistentVolumeClaim, self.emptyDir, self.secret].count(None) == 2
        return self


class SpreadConstraint(Strict):
    maxSkew: Annotated[int, Field(ge=1)]
    topologyKey: str
    whenUnsatisfiable: Literal["ScheduleAnyway", "DoNotSchedule"]
    labelSelector: LabelSelector


class SecurityContext(Strict):
    runAsNonRoot: bool
    runAsUser: int
    fsGroup: int


class PodSpec(Strict):
    terminationGracePeriodSeconds: Count
    securityContext: SecurityContext
    topologySpreadConstraints: list[SpreadConstraint]
    containers: Annotated[list[Container], Field(min_length=1)]
    volumes: list[Volume]

    @model_validator(mode="after")
    def _mounts_have_volumes(self):
        names = [volume.name for volume in self.volumes]
        assert len(set(names)) == len(names)
        for container in self.containers:
            assert {mount.name for mount in container.volumeMounts} <= set(names)
            variables = [variable.name for variable in container.env]
            assert len(set(variables)) == len(variables)
        return self


class PodMetadata(Strict):
    labels: dict[str, Label]


class PodTemplate(Strict):
    metadata: PodMetadata
    spec: PodSpec


class HeadGroup(Strict):
    rayStartParams: dict[str, str]
    template: PodTemplate


class WorkerGroup(Strict):
    groupName: DnsName
    replicas: Count
    minReplicas: Count
    maxReplicas: Count
    rayStartParams: dict[str, str]
    template: PodTemplate

    @model_validator(mode="after")
    def _ordered(self):
        assert self.minReplicas <= self.replicas <= self.maxReplicas
        return self


class AuthOptions(Strict):
    mode: Literal["token", "disabled"]


class AutoscalerOptions(Strict):
    idleTimeoutSeconds: Count


class RedisPassword(Strict):
    valueFrom: SecretKeyRef


class GcsFaultTolerance(Strict):
    redisAddress: str
    redisPassword: RedisPassword


class RayClusterSpec(Strict):
    rayVersion: str
    authOptions: AuthOptions
    enableInTreeAutoscaling: bool
    autoscalerOptions: AutoscalerOptions
    gcsFaultToleranceOptions: GcsFaultTolerance | None = None
    headGroupSpec: HeadGroup
    workerGroupSpecs: list[WorkerGroup]


class RayServiceSpec(Strict):
    serveConfigV2: str
    excludeHeadPodFromServeSvc: bool
    rayClusterConfig: RayClusterSpec  # not rayClusterSpec, as in a RayJob


class RayService(Strict):
    apiVersion: Literal["ray.io/v1"]
    kind: Literal["RayService"]
    metadata: Metadata
    spec: RayServiceSpec


class RayJobSpec(Strict):
    entrypoint: str
    backoffLimit: Count
    shutdownAfterJobFinishes: bool
    ttlSecondsAfterFinished: Count
    rayClusterSpec: RayClusterSpec


class RayJob(Strict):
    apiVersion: Literal["ray.io/v1"]
    kind: Literal["RayJob"]
    metadata: Metadata
    spec: RayJobSpec


class BudgetSpec(Strict):
    maxUnavailable: Count
    selector: LabelSelector


class PodDisruptionBudget(Strict):
    apiVersion: Literal["policy/v1"]
    kind: Literal["PodDisruptionBudget"]
    metadata: Metadata
    spec: BudgetSpec


class Peer(Strict):
    podSelector: LabelSelector | None = None
    namespaceSelector: LabelSelector | None = None


class PolicyPort(Strict):
    protocol: Literal["TCP"]
    port: Port


class IngressRule(Strict):
    from_: list[Peer] | None = Field(None, alias="from")
    ports: list[PolicyPort] | None = None


class PolicySpec(Strict):
    podSelector: LabelSelector
    policyTypes: list[Literal["Ingress"]]
    ingress: list[IngressRule]


class NetworkPolicy(Strict):
    apiVersion: Literal["networking.k8s.io/v1"]
    kind: Literal["NetworkPolicy"]
    metadata: Metadata
    spec: PolicySpec


KINDS = {model.__name__: model for model in (RayService, RayJob, PodDisruptionBudget, NetworkPolicy)}


def checked(document: dict[str, Any]) -> Any:
    """The document as a model of its kind; raises for a field that its kind does not have."""
    return KINDS[document["kind"]].model_validate(document)
