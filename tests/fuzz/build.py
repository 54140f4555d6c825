"""The package with a core that AddressSanitizer and UndefinedBehaviorSanitizer watch, and that tells its edges."""

import hashlib
import os
import shutil
import subprocess
import sysconfig
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
_FLAGS = (
    "-std=gnu11", "-O1", "-g", "-fPIC", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined",
    "-ffp-contract=off", "-fno-math-errno",
)  # fmt: skip
_MOST_MEMORY_MB = 6000


class NoSanitizers(Exception):
    """gcc or its sanitizers are not here."""


def build(folder: Path) -> dict[str, str]:
    """Puts the package into a folder; returns the environment in which Python takes it. Raises NoSanitizers."""
    package = folder / "nbmf"
    shutil.copytree(ROOT / "nbmf", package, ignore=shutil.ignore_patterns("builtin_versions", "*.so", "__pycache__"))
    (package / "builtin_versions").mkdir()
    if shutil.which("gcc") is None:
        raise NoSanitizers("gcc is not here")
    shutil.copy(_core(), package / "_core.abi3.so")
    libraries = [_library(name) for name in ("libasan.so", "libubsan.so")]
    return os.environ | {
        "LD_PRELOAD": " ".join(libraries),
        # Python's own memory is not given back at its end; what is too large is None to Python: a MemoryError
        "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1:max_allocation_size_mb=2000:"
        f"hard_rss_limit_mb={_MOST_MEMORY_MB}",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "PYTHONPATH": os.pathsep.join(map(str, (folder, ROOT, ROOT / "tests" / "support"))),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _core() -> Path:
    """Built once for what it is built from: it takes a minute and more."""
    sources = [*sorted((ROOT / "nbmf" / "_core").glob("*.[ch]")), HERE / "coverage.c", Path(__file__)]
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
    target = ROOT / "build" / "fuzz" / f"core-{digest[:12]}.so"
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    include = f"-I{sysconfig.get_paths()['include']}"
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        objects = []
        for source in (one for one in sources if one.suffix == ".c"):
            objects.append(f"{folder}/{source.stem}.o")
            traced = [] if source.parent == HERE else ["-fsanitize-coverage=trace-pc"]
            subprocess.run(["gcc", *_FLAGS, *traced, include, "-c", str(source), "-o", objects[-1]], check=True)
        subprocess.run(["gcc", *_FLAGS, "-shared", *objects, "-lm", "-o", f"{folder}/core.so"], check=True)
        Path(folder, "core.so").replace(target)
    return target


def _library(name: str) -> str:
    found = subprocess.run(["gcc", f"-print-file-name={name}"], capture_output=True, text=True, check=True).stdout
    if not Path(found.strip()).is_absolute():
        raise NoSanitizers(f"gcc has no {name}")
    return found.strip()
