"""Exactness: whether a version's network gives the same integers for every record in every mode.

Each mode runs in a process of its own, as threads and the processor that libraries believe in are
fixed when they are loaded. What comes back are digests a record, compared with those of the core
on this processor.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.exact.worker import CPU, GPU, Found, Job, Measure
from cluster.registry import BUILTIN, NONE, Registry
from cluster.sources import BadRecord, Source
from nbmf import _core
from nbmf.builtin import default_folder
from nbmf.errors import NbmfError
from nbmf.manifest import read_version
from nbmf.neural.codec import gpu_is_there
from nbmf.neural.record_types import TYPE_OF_KIND
from nbmf.payload import to_canonical

_OLDER = {"ATEN_CPU_CAPABILITY": "default"}
IMITATED = {
    "avxvnni": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2_VNNI"},
    "avx2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"},
    "sse41": {**_OLDER, "ONEDNN_MAX_CPU_ISA": "SSE41"},
    "neon": _OLDER,
    "plain": _OLDER,
}
"""Kinds of processor by their names in the core, and what makes torch and oneDNN write code for them."""


class NoNetwork(NbmfError):
    """A version has no network, or no record is one that it takes."""

    code = "no_network"


class UnknownMode(NbmfError):
    """There is no mode of such a name."""

    code = "unknown_mode"


@dataclass(frozen=True, slots=True)
class ExactRecord:
    """A record that the network takes. `index` counts the good records of the file from 0."""

    index: int
    key: str
    set: str
    record_type: str
    canonical: bytes


@dataclass(frozen=True, slots=True)
class Mode:
    """A way to work the integers out. `imitated` is a key of IMITATED, None for this processor as it is."""

    name: str
    measure: Measure
    batch: int = 1
    threads: int = 1
    imitated: str | None = None
    device: str = CPU


@dataclass(slots=True)
class Result:
    """What a mode's process gave: digests by record, and about itself. `failure` if it did not end well."""

    found: dict[int, Found] = field(default_factory=dict)
    seconds: float = 0.0
    process: dict[str, Any] = field(default_factory=dict)
    failure: str | None = None


def modes() -> list[Mode]:
    """All modes; the first is what the others are compared with."""
    result = [
        Mode("core", "core"),
        Mode("torch, one by one", "torch"),
        Mode("torch, one by one, 2 threads", "torch", threads=2),
        Mode("torch, batches of 8", "torch", batch=8),
        Mode("torch, batches of 64", "torch", batch=64),
        Mode("core, 16 tokens at once", "core", batch=_core.AT_ONCE),
        Mode("core, whole records, 64 side by side", "records", batch=64),
    ]
    if gpu_is_there():
        result.append(Mode("torch on the GPU, batches of 64", "torch", batch=64, device=GPU))
        result += [
            Mode(f"torch on the GPU, whole records, {batch} side by side", "records", batch=batch, device=GPU)
            for batch in (16, 64, 256, 1024)
        ]
    for cpu in older():
        result += [
            Mode(f"{cpu}: core", "core", batch=_core.AT_ONCE, imitated=cpu),
            Mode(f"{cpu}: torch, batches of 8", "torch", batch=8, imitated=cpu),
        ]
    return result


def older() -> list[str]:
    """Kinds of processor that this one can stand for, beside its own."""
    return [name for name in _core.paths() if name != _core.cpu()]


def chosen(parts: Sequence[str]) -> list[Mode]:
    """The first mode, and those whose names hold one of these; all, if there are none. Raises UnknownMode."""
    everything = modes()
    for part in parts:
        if not any(part.lower() in mode.name.lower() for mode in everything):
            raise UnknownMode(
                f"no mode's name holds {part!r}; there are: {'; '.join(mode.name for mode in everything)}"
            )
    named = [mode for mode in everything[1:] if any(part.lower() in mode.name.lower() for part in parts)]
    return [everything[0], *named] if parts else everything


def version_folder(registry: Registry, name: str) -> Path:
    """The folder of the version called `name` (see Registry.resolve). Raises VersionNotFound, NoNetwork."""
    resolved = registry.resolve(name)
    folder = default_folder() if resolved == BUILTIN else None
    if resolved not in (BUILTIN, NONE):
        folder = registry.fetch(resolved)
    if folder is None:
        raise NoNetwork(f"version {name!r} has no learned part")
    return folder


def read(source: Source, every: int, max_payload_bytes: int) -> tuple[list[ExactRecord], int]:
    """Every n-th good record of those that the network takes, and how many of them it leaves to other coders."""
    records: list[ExactRecord] = []
    index = left_out = 0
    for shard in source.plan():
        for item in source.read(shard):
            if isinstance(item, BadRecord):
                continue
            if index % every == 0:
                kind, canonical = to_canonical(item.payload)
                if kind in TYPE_OF_KIND and 0 < len(canonical) <= max_payload_bytes:
                    name = item.record_class or "records"
                    records.append(ExactRecord(index, item.key, name, TYPE_OF_KIND[kind], canonical))
                else:
                    left_out += 1
            index += 1
    return records, left_out


def run(
    source: Source,
    folder: Path,
    every: int,
    processes: int,
    on_start: Callable[[int], None],
    on_record: Callable[[], None],
    only: Sequence[str] = (),
) -> dict[str, Any]:
    """The report: {"modes": [...], "differences": [...], ...}. Raises NoNetwork, UnknownMode.

    `on_start` is told how many records all modes have together; `on_record` is called after each.
    """
    version_id, manifest, _ = read_version(folder)
    if manifest.neural is None:
        raise NoNetwork(f"version {version_id[:12]} has no network")
    records, left_out = read(source, every, manifest.neural.max_payload_bytes)
    if not records:
        raise NoNetwork(f"no record that the network takes ({left_out} are left to other coders)")
    todo = chosen(only)
    on_start(len(todo) * len(records))
    given = [(record.record_type, record.canonical) for record in records]
    with ThreadPoolExecutor(processes) as pool:

        def work(mode: Mode) -> Result:
            job = Job(mode.measure, folder, given, mode.batch, mode.threads, mode.device)
            return run_apart(job, environment(mode), on_record)

        slowest_first = sorted(todo, key=lambda mode: (mode.imitated is None, mode.measure != "core"))
        futures = {mode.name: pool.submit(work, mode) for mode in slowest_first}
        try:
            results = {mode.name: futures[mode.name].result() for mode in todo}
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    return {
        "version": version_id,
        "every": every,
        "records": len(records),
        "left_to_other_coders": left_out,
        **compare(todo, results, records),
    }


def environment(mode: Mode) -> dict[str, str]:
    """Variables of a mode's process."""
    # Passive: on a busy machine, threads that spin while they wait for one another take ten times as long.
    variables = os.environ | {"OMP_NUM_THREADS": str(mode.threads), "OMP_WAIT_POLICY": "PASSIVE"}
    if mode.imitated:
        variables |= IMITATED[mode.imitated] | {"NBMF_CPU": mode.imitated}
    return variables


def run_apart(job: Job, variables: dict[str, str], on_record: Callable[[], None]) -> Result:
    """The job in a process of its own, with these variables."""
    # -P: modules of the folder that the command is run in are none of ours.
    command = [sys.executable, "-P", "-c", "from bench.exact.worker import main; main()"]
    result, start = Result(), time.perf_counter()
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(  # noqa: S603
            command, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors
        ) as process,
    ):
        assert process.stdin is not None  # noqa: S101
        assert process.stdout is not None  # noqa: S101
        try:
            with process.stdin:
                pickle.dump(job, process.stdin)
        except BrokenPipeError:
            pass  # it ended early: its exit code and messages tell why
        for line in process.stdout:
            fields = json.loads(line)
            if "record" in fields:
                result.found[fields["record"]] = Found(**fields)
                on_record()
            else:
                result.process = fields
        if process.wait() != 0:
            errors.seek(0)
            result.failure = f"exit code {process.returncode}: {last_line(errors.read().decode(errors='replace'))}"
    result.seconds = time.perf_counter() - start
    return result


def last_line(messages: str) -> str:
    """What a process that failed said last: of a traceback, the error."""
    return next((line for line in reversed(messages.split("\n")) if line.strip()), "no message")


def compare(todo: list[Mode], results: dict[str, Result], records: list[ExactRecord]) -> dict[str, Any]:
    """{"modes": rows, "differences": every record that differs, by mode, "streams_sha256": of all together}."""
    rows, differences = [], []
    reference = results[todo[0].name].found
    for mode in todo:
        result = results[mode.name]
        different = 0
        for number, record in enumerate(records):
            problem = _problem(reference.get(number), result.found.get(number))
            if problem is None:
                continue
            different += 1
            differences.append(
                {"record": record.index, "key": record.key, "set": record.set, "mode": mode.name, "problem": problem}
            )
        rows.append(
            {
                **asdict(mode),
                "records": len(result.found),
                "tokens": sum(found.tokens for found in result.found.values()),
                "equal": len(records) - different,
                "different": different,
                "seconds": round(result.seconds, 1),
                "failure": result.failure,
                **result.process,
                **_speeds(result.process, sum(len(record.canonical) for record in records)),
            }
        )
    streams = "".join(reference[number].stream or "" for number in sorted(reference))
    return {
        "modes": rows,
        "differences": differences,
        "streams_sha256": hashlib.sha256(streams.encode()).hexdigest(),
    }


def _speeds(process: dict[str, Any], n_bytes: int) -> dict[str, float]:
    """{encode_kb_per_s, decode_kb_per_s} of a process that timed both."""
    timed = {part: process[f"{part}_s"] for part in ("encode", "decode") if process.get(f"{part}_s")}
    return {f"{part}_kb_per_s": round(n_bytes / seconds / 1000, 1) for part, seconds in timed.items()}


def _problem(expected: Found | None, got: Found | None) -> str | None:
    if got is None:
        return "not worked out"
    if expected is None:
        return "nothing to compare with"
    if got.predictions not in (None, expected.predictions):
        return "other predictions"
    if got.stream not in (None, expected.stream):
        return "another stream"
    return None if got.decoded else "the stream decodes to something else"
