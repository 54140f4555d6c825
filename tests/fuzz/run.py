"""Fuzzes one target for some time, with a core that sanitizers watch.

    python tests/fuzz/run.py TARGET [--seconds N] [--seed S] [--keep]

It begins with the corpus (tests/fuzz/corpus/TARGET), and goes on from every input that takes edges of the core, or has
an outcome, that none had before. `--keep` puts these into the corpus. An input that must not be so is written beside
it, to crash-…, before it is run a second time; the exit code is 1. `make fuzz SECONDS=600` runs all targets.
"""

import argparse
import ctypes
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from importlib import import_module
from pathlib import Path

HERE = Path(__file__).parent
TARGETS = ("blobs", "versions", "vocabularies", "floating", "http_requests")
_CHILD = "NBMF_FUZZ_CHILD"
_LONGEST_S = 60  # of processor time for an input, with the sanitizers
_LARGEST_KEPT = 1_500  # bytes


def corpus(target) -> list:
    """The inputs that are kept."""
    folder = HERE / "corpus" / target.__name__
    return [target.read(path.read_bytes()) for path in sorted(folder.glob(f"*{target.SUFFIX}"))]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--input", type=lambda path: Path(path).absolute(), help="run this input alone")
    options = parser.parse_args()
    if os.environ.get(_CHILD):
        return _fuzz(options)
    return _watched(options)


def _watched(options) -> int:
    """In a process of its own, which may die or hang: the input that it ran is in a file."""
    sys.path.insert(0, str(HERE))
    from build import NoSanitizers, build

    with tempfile.TemporaryDirectory() as folder:
        running = Path(folder) / "running"
        try:
            environment = build(Path(folder)) | {_CHILD: str(running)}
        except NoSanitizers as error:
            print(f"{options.target}: no sanitizers: {error}")
            return 1
        command = [sys.executable, str(HERE / "run.py"), *sys.argv[1:]]
        code = subprocess.run(command, env=environment, cwd=folder).returncode
        if code == -signal.SIGPROF:
            print(f"{options.target}: an input takes more than {_LONGEST_S} s of processor time")
        if code and running.exists():
            content = running.read_bytes()
            crash = Path.cwd() / f"crash-{options.target}-{hashlib.sha256(content).hexdigest()[:12]}"
            crash.write_bytes(content)
            print(f"{options.target}: {crash}; again: {sys.argv[0]} {options.target} --input {crash}")
        return 1 if code else 0


def _edges():
    from nbmf import _core

    return (ctypes.c_uint8 * (1 << 16)).in_dll(ctypes.CDLL(_core.__file__), "nbmf_fuzz_edges")


def _fuzz(options) -> int:
    target = import_module(options.target)
    running = Path(os.environ[_CHILD])
    edges = _edges()
    known: set[object] = set()
    found: Counter[str] = Counter()

    def is_new(one) -> bool:
        running.write_bytes(target.written(one))
        signal.setitimer(signal.ITIMER_PROF, _LONGEST_S)  # that nothing catches: it ends the process
        ctypes.memset(edges, 0, len(edges))
        outcome = target.run(one)
        found[outcome.partition("\n")[0]] += 1  # what comes after tells inputs apart
        taken = {index for index, byte in enumerate(bytes(edges)) if byte} | {outcome}
        new = taken - known
        known.update(new)
        return bool(new)

    try:
        if options.input:
            is_new(target.read(options.input.read_bytes()))
            print(dict(found))
            return 0
        rng = random.Random(options.seed)
        inputs = [*target.seeds(), *corpus(target)]
        for one in inputs:
            is_new(one)
        kept, end = 0, time.monotonic() + options.seconds
        while time.monotonic() < end:
            one = target.mutated(rng.choice(inputs[-200:] if rng.random() < 0.5 else inputs), rng, rng.choice(inputs))
            if is_new(one):
                inputs.append(one)
                kept += options.keep and _keep(target, one)
    except BaseException:
        traceback.print_exc()
        return 1
    running.unlink(missing_ok=True)
    print(
        f"{options.target}: {sum(found.values())} inputs, {len(known)} edges and outcomes, {kept} kept; {dict(found)}"
    )
    return 0


def _keep(target, one) -> bool:
    content = target.written(one)
    if len(content) > _LARGEST_KEPT:
        return False
    folder = HERE / "corpus" / target.__name__
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{hashlib.sha256(content).hexdigest()[:12]}{target.SUFFIX}").write_bytes(content)
    return True


if __name__ == "__main__":
    sys.exit(main())
