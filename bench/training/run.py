"""How fast networks train on how many workers, each measured in a real job of Ray Train."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.records import NothingToMeasure
from nbmf.neural.config import PRESETS
from nbmf.payload import Canonical, to_canonical
from train_app.network.settings import NeuralTrainConfig, default_file
from train_app.samples.sample import Sample, digest_of
from train_app.samples.split import for_learned_coders, split

_FLOPS_PER_MAC = 6
"""Two of the forward pass, four of the backward."""

_TIMES = 5
_CPU_SIZE, _GPU_SIZE = 1024, 8192


def samples(data: str | None, payload_field: str | None, limit: int) -> list[Sample]:
    """The records of `data`, or up to `limit` that this Python installation has, as a network is given them."""
    from bench.demo.records import installation_records
    from bench.records import read
    from cluster.sources import open_source

    if data is None:
        found = [to_canonical(payload) for payload in installation_records(limit)]
    else:
        source = open_source(data, payload_field=payload_field, parse_json=True)
        found = [Canonical(record.kind, record.canonical) for record in read(source)]
    return for_learned_coders([Sample(kind, canonical, digest_of(kind, canonical)) for kind, canonical in found])


def run(
    taken: list[Sample],
    presets: Sequence[str],
    workers: Sequence[int],
    minutes: float,
    global_batch_size: int,
    on_step: Callable[[str], None],
) -> dict[str, Any]:
    """{peak, rows: {preset, workers, tokens_per_s, scaling, share_of_peak, peak_memory_mib, …}}, in a Ray session."""
    from cluster import config as configuration

    peak = machine_peak()
    rows: list[dict[str, Any]] = []
    for preset in presets:
        for count in workers:
            on_step(f"{preset}, {count} worker{'s' * (count > 1)}")
            overrides = {
                "num_workers": count,
                "max_minutes": minutes,
                "cpus_per_worker": 0.5,
                "global_batch_size": global_batch_size,
                "batch_size": -(-global_batch_size // count),
                "checkpoint_interval_s": 1e6,
                "report_interval_s": 1.0,
            }
            settings = configuration.load(NeuralTrainConfig, None, default_file(preset), overrides)
            row = {"preset": preset, "workers": count, **_measured(taken, preset, settings)}
            first = next((r["tokens_per_s"] for r in rows if r["preset"] == preset), row["tokens_per_s"])
            row["scaling"] = row["tokens_per_s"] / first
            flops = row["tokens_per_s"] * row["macs_per_token"] * _FLOPS_PER_MAC
            row["share_of_peak"] = flops / (peak["flops"] * (count if peak["device"] != "cpu" else 1))
            rows.append(row)
    return {"peak": peak, "global_batch_size": global_batch_size, "minutes": minutes, "rows": rows}


def _measured(taken: list[Sample], preset: str, settings: NeuralTrainConfig) -> dict[str, Any]:
    """Of one run: from its first report to its last."""
    from train_app.network.train import train_network

    lines: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        training, validation = split(taken)
        model, _, _ = train_network(
            training, validation[:50], PRESETS[preset], settings, Path(folder) / preset, lines.append
        )
    reports = [line for line in lines if "loss_nats" in line]
    if len(reports) < 3:
        raise NothingToMeasure(f"{preset}: too few steps in {settings.max_minutes:g} minutes; give more --minutes")
    first, last = reports[0], reports[-1]
    memory: dict[str, Any] = {name: last[name] for name in ("peak_memory_mib", "gpu_peak_memory_mib") if name in last}
    return {
        "tokens_per_s": (last["tokens"] - first["tokens"]) / (last["time"] - first["time"]),
        "seconds": round(last["time"] - first["time"], 1),
        "macs_per_token": model.config.macs_per_token,
        "parameters": model.config.n_parameters,
        **memory,
    }


def machine_peak() -> dict[str, Any]:
    """{device, dtype, flops}: the fastest product of matrices, on a GPU of the session or on this machine's cores."""
    import ray

    if ray.cluster_resources().get("GPU", 0) >= 1:  # type: ignore[no-untyped-call]
        measured: dict[str, Any] = ray.get(ray.remote(num_gpus=1)(_peak).remote("cuda", _GPU_SIZE))
        return measured
    return _peak("cpu", _CPU_SIZE)


def _peak(device: str, size: int) -> dict[str, Any]:
    import torch

    best: dict[str, Any] = {"flops": 0.0}
    for dtype in (torch.float32, torch.bfloat16):
        a, b = (torch.ones(size, size, dtype=dtype, device=device) for _ in range(2))
        a @ b
        for _ in range(_TIMES):
            _wait(device)
            start = time.perf_counter()
            a @ b
            _wait(device)
            flops = 2 * size**3 / (time.perf_counter() - start)
            if flops > best["flops"]:
                best = {"flops": flops, "dtype": str(dtype).removeprefix("torch.")}
    name = torch.cuda.get_device_name() if device == "cuda" else device
    return {"device": name, **best}


def _wait(device: str) -> None:
    import torch

    if device == "cuda":
        torch.cuda.synchronize()
