"""What a server may be told (configs/serve/*.yaml)."""

from __future__ import annotations

import math
from ipaddress import ip_address
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, model_validator

from cluster.config import StrictModel
from cluster.cpus import usable_cpus
from cluster.fit import FITS_UP_TO, LARGER_UP_TO
from cluster.registry import DEFAULT
from nbmf._core import AT_ONCE
from nbmf.effort import Effort, EffortSetting
from nbmf.engine import EngineName
from nbmf.vectors.aim import DEFAULT_AIM, FINEST_STEP, Aim
from nbmf.wire import BadWire
from serve_app.isolation.limits import DEFAULT_TIMEOUT_S
from serve_app.reading.items import Bounds
from serve_app.rollout_policy import RolloutPolicy

DEFAULT_FILE = "serve/local.yaml"
Positive = Annotated[int, Field(gt=0)]
Role: TypeAlias = Literal["encode", "decode", "admin"]


class DeploymentConfig(StrictModel):
    """Size and autoscaling of one deployment."""

    min_replicas: int = Field(ge=1)
    max_replicas: int | None = Field(
        ge=1, description="null: half of the cores that this process may use, as encoders and decoders share them"
    )
    num_cpus: float = Field(gt=0, description="CPUs that Ray sets aside for a replica")
    target_ongoing_requests: float = Field(gt=0, description="requests in work a replica that autoscaling aims at")
    max_ongoing_requests: Positive
    upscale_delay_s: float = Field(ge=0)
    downscale_delay_s: float = Field(ge=0)

    @model_validator(mode="after")
    def _ordered(self) -> DeploymentConfig:
        if self.max_replicas is not None and self.max_replicas < self.min_replicas:
            raise ValueError("max_replicas is less than min_replicas")
        return self

    @property
    def replica_limit(self) -> int:
        """The most replicas that there may be."""
        return self.max_replicas or max(self.min_replicas, usable_cpus() // 2)


class BatchConfig(StrictModel):
    """How much of what waits at an encoder or decoder replica is coded together."""

    max_records: Positive = 64
    max_bytes: Positive = Field(4096, description="canonical bytes; a record that has more is a batch alone")
    concurrency: Positive = Field(1, description="batches of a replica in work at a time, but for decoders, see below")
    side_by_side: int | None = Field(
        None,
        ge=1,
        le=AT_ONCE,
        description="requests, for each of its threads, that a decoder works on at once, token by token in turns, each "
        "answered when its records end; null: as many as the processor is quickest with; 1, or with PyTorch: batches "
        "as an encoder's",
    )
    timeout_s: float = Field(
        DEFAULT_TIMEOUT_S,
        gt=0,
        description="and a second for each 30 kB: a batch that takes longer has hung, and its process is ended",
    )
    fast_after_s: float | None = Field(
        0.25,
        gt=0,
        description="while two small requests wait for longer to be encoded, what comes with effort auto is coded by "
        "fast: larger blobs, rather than refusals; not while a rollout compares versions; null: never",
    )
    max_wait_s: float = Field(
        0.5, gt=0, description="expected wait for a batch, by the speed of the last ones; requests beyond get 429"
    )


class SemanticConfig(StrictModel):
    """How closely vectors are kept of records with fidelity semantic."""

    least_cosine: float = Field(
        DEFAULT_AIM.least_cosine, gt=0, lt=1, description="of each vector with what it decodes to, else it is kept"
    )
    step: int = Field(DEFAULT_AIM.step, ge=0, le=FINEST_STEP, description="of quantisation; 16 more halve the error")

    @property
    def aim(self) -> Aim:
        """Of encoders."""
        return Aim(least_cosine=self.least_cosine, step=self.step)


class FitConfig(StrictModel):
    """When live records do not fit the version that encodes them: serve_app.observe.live_fit."""

    larger_up_to: float = Field(
        LARGER_UP_TO,
        gt=FITS_UP_TO,
        description="times the bits a byte of the version's own held-out records; over it a mismatch is raised, which "
        f"ends at {FITS_UP_TO:g}",
    )
    min_records: Positive = Field(200, description="of a kind, before anything is said of it; older ones weigh less")
    min_bytes: Positive = Field(64 * 1024, description="canonical bytes of these, likewise")
    half_life_s: float = Field(3600, gt=0, description="in which the weight of a record falls to a half")


class DecoderLimits(StrictModel):
    """What a decoder replica keeps to."""

    max_payload_bytes: Positive
    max_loaded_versions: Positive


class ApiKey(StrictModel):
    """A key that clients send. It is random and long, so its plain SHA-256 gives nothing away."""

    name: str = Field(pattern=r"^[A-Za-z0-9._-]{1,64}$", description="for the log")
    sha256: str = Field(pattern="^[0-9a-f]{64}$", description="SHA-256 of the key in hex; never the key")
    roles: tuple[Role, ...] = Field(min_length=1)


class TlsConfig(StrictModel):
    """Files, in PEM, that the service speaks TLS with. HTTP and gRPC have the same; in plain text neither answers."""

    certificate_file: str = Field(min_length=1, description="the server's certificate, then those between it and a CA")
    key_file: str = Field(min_length=1, description="the certificate's private key, not encrypted")
    client_ca_file: str | None = Field(
        None, min_length=1, description="CAs of clients' certificates, which are then needed; none: no certificate is"
    )


class ServeConfig(StrictModel):
    """Configuration of `nbmf serve`."""

    host: str
    port: int = Field(ge=1, le=65535)
    grpc_port: int | None = Field(None, ge=1, le=65535, description="for gRPC, on the same host; none: HTTP only")
    version: str = Field(description="version to encode with, named as in Registry.resolve")
    tls: TlsConfig | None = Field(None, description="none: plain text")
    api_keys: tuple[ApiKey, ...] = Field((), description="none: whoever reaches the server may use it")
    access_log: bool = Field(True, description="a line of JSON for each request, on the replica's standard error")
    request_timeout_s: float = Field(gt=0, description="longest time for a request, which may ask for less")
    max_body_bytes: Positive
    max_payload_bytes: Positive = Field(description="canonical bytes of a record, to encode or decoded")
    max_batch_records: Positive
    max_batch_payload_bytes: Positive = Field(
        32 * 1024 * 1024, description="canonical bytes of all records of a request together, as their blobs declare"
    )
    body_timeout_s: float = Field(
        10, gt=0, description="for a body that HAProxy cannot hold, and a second for each 100 kB"
    )
    max_incoming_bodies: Positive = Field(
        32, description="of an ingress replica: bodies on their way in; further ones get 429"
    )
    allowed_hosts: tuple[str, ...] = Field(
        (), description="names by which a server without keys on a loopback address is reached, besides this machine's"
    )
    effort: Effort = Field("auto", description="of requests that name neither effort nor budget")
    latency_budget_ms: float | None = Field(
        gt=0,
        description="with effort auto, coders that would take longer to decode a record are left out, unless the "
        "request has a budget of its own; null for no limit, which is what max does",
    )
    semantic: SemanticConfig = Field(SemanticConfig(), description="of records with fidelity semantic")
    fit: FitConfig = Field(FitConfig(), description="of live records beside what the version was measured on")
    engine: EngineName = Field("auto", description="what encoder and decoder replicas code with: nbmf.engine")
    threads: Positive = Field(1, description="threads of a replica that share its batches")
    batch: BatchConfig = Field(BatchConfig(), description="records of several requests are coded together")
    max_loaded_versions: Positive = Field(
        8, description="codec versions that a decoder replica keeps in memory, besides those that encode now"
    )
    decoded_cache_bytes: int = Field(
        0, ge=0, description="of an ingress replica: records decoded lately, answered from its memory; 0: none"
    )
    max_queued_requests: Positive = Field(
        description="requests that wait until an ingress replica works at fewer; further ones get 429"
    )
    rollout: RolloutPolicy = Field(RolloutPolicy(), description="of rollouts that are started with this file")
    ingress: DeploymentConfig
    encoder: DeploymentConfig
    decoder: DeploymentConfig

    @model_validator(mode="after")
    def _whole_records(self) -> ServeConfig:
        if self.max_batch_payload_bytes < self.max_payload_bytes:
            raise ValueError("max_batch_payload_bytes is less than max_payload_bytes, of one record")
        return self

    @model_validator(mode="after")
    def _distinct_ports(self) -> ServeConfig:
        if self.grpc_port == self.port:
            raise ValueError("grpc_port is the same as port")
        return self

    @model_validator(mode="after")
    def _distinct_keys(self) -> ServeConfig:
        for field in ("name", "sha256"):
            values = [getattr(key, field) for key in self.api_keys]
            if len(set(values)) < len(values):
                raise ValueError(f"two api_keys have the same {field}")
        return self

    @property
    def decoder_limits(self) -> DecoderLimits:
        """Those of decoder replicas."""
        return DecoderLimits(max_payload_bytes=self.max_payload_bytes, max_loaded_versions=self.max_loaded_versions)

    @property
    def bounds(self) -> Bounds:
        """Those of what stands in a body."""
        return Bounds(self.max_body_bytes, self.max_payload_bytes, self.max_batch_records, self.max_batch_payload_bytes)

    @property
    def follows_rollouts(self) -> bool:
        """Whether the version may change while the server runs: not one that is named by its id."""
        return self.version in (DEFAULT, "stable")

    @property
    def url(self) -> str:
        """Of the service, on the address that it listens on."""
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}"

    @property
    def is_open(self) -> bool:
        """Whether other machines can reach the server, and it asks for no key."""
        return not self.api_keys and not is_loopback(self.host)

    def effort_of(self, effort: Effort | None, latency_budget_ms: float | None) -> EffortSetting:
        """That of a request that names these, one or neither. Raises BadWire.

        A budget is what effort auto keeps to: a request that names a budget only has that effort.
        """
        if latency_budget_ms is not None and effort not in (None, "auto"):
            raise BadWire(f"latency_budget_ms is for effort auto; effort {effort} has none: leave one of the two out")
        if effort is None:
            effort = self.effort if latency_budget_ms is None else "auto"
        budget = self.latency_budget_ms if latency_budget_ms is None else latency_budget_ms
        return EffortSetting(effort, math.inf if budget is None else budget)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens there."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
