"""Wheels for every platform from one machine: `make wheels`. Zig's C compiler brings the systems' C libraries along.

The extension uses Python's limited API and links with no libpython: one wheel a platform for all Pythons from 3.11.
Only Windows needs a library to link with, which is made here from the names that the sources use.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent
ZIG = [sys.executable, "-m", "ziglang"]


@dataclass(frozen=True)
class Target:
    """What Zig, Python and pip call it."""

    zig: str
    host: str
    tag: str
    link: str = "-shared"

    @property
    def is_windows(self) -> bool:
        return "windows" in self.zig


MACOS = "-dynamiclib -undefined dynamic_lookup"
TARGETS = {
    "linux-x86_64": Target("x86_64-linux-gnu.2.17", "linux-x86_64", "manylinux_2_17_x86_64"),
    "linux-aarch64": Target("aarch64-linux-gnu.2.17", "linux-aarch64", "manylinux_2_17_aarch64"),
    "musl-x86_64": Target("x86_64-linux-musl", "linux-x86_64", "musllinux_1_1_x86_64"),
    "musl-aarch64": Target("aarch64-linux-musl", "linux-aarch64", "musllinux_1_1_aarch64"),
    "macos-x86_64": Target("x86_64-macos.11.0", "macosx-11.0-x86_64", "macosx_11_0_x86_64", MACOS),
    "macos-arm64": Target("aarch64-macos.11.0", "macosx-11.0-arm64", "macosx_11_0_arm64", MACOS),
    "windows-amd64": Target("x86_64-windows-gnu", "win-amd64", "win_amd64"),
}


def build(name: str, out: Path) -> Path:
    """The wheel of a target, in `out`."""
    target = TARGETS[name]
    work = ROOT / "build" / name
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    compiler = " ".join([*ZIG, "cc", "-target", target.zig])
    environment = {
        **{
            key: value for key, value in os.environ.items() if key not in ("CFLAGS", "CPPFLAGS", "LDFLAGS", "ARCHFLAGS")
        },
        "CC": compiler,
        "LDSHARED": f"{compiler} {target.link} -Wl,-s" if "macos" not in target.zig else f"{compiler} {target.link}",
        "_PYTHON_HOST_PLATFORM": target.host,
    }
    if target.is_windows:
        environment["CFLAGS"] = f"-I{_windows_headers(work)}"
        environment["LDFLAGS"] = str(_windows_library(work))
    # The folders of each target are its own; `bdist_wheel` takes what `build` has put there.
    command = [sys.executable, "-W", "ignore", "setup.py", "--quiet", "build", "--build-base", str(work)]
    command += ["bdist_wheel", "--plat-name", target.tag, "--dist-dir", str(work / "dist")]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)  # noqa: S603
    (made,) = (work / "dist").glob("*.whl")
    out.mkdir(parents=True, exist_ok=True)
    return Path(shutil.move(made, out / made.name))


# Of what python.org's Python for Windows is built with, as much as the limited API's headers look at.
WINDOWS_CONFIG = """
#define MS_WIN64
#define MS_WIN32
#define MS_WINDOWS
#define Py_ENABLE_SHARED
#define MS_COREDLL
#define HAVE_DECLSPEC_DLL
#define HAVE_SSIZE_T 1
#define HAVE_STDINT_H 1
#define HAVE_INTTYPES_H 1
#define SIZEOF_SHORT 2
#define SIZEOF_INT 4
#define SIZEOF_LONG 4
#define SIZEOF_LONG_LONG 8
#define SIZEOF_FLOAT 4
#define SIZEOF_DOUBLE 8
#define SIZEOF_VOID_P 8
#define SIZEOF_SIZE_T 8
#define SIZEOF_TIME_T 8
#define SIZEOF_WCHAR_T 2
#define SIZEOF_HKEY 8
#define SIZEOF_PID_T 4
#define ALIGNOF_SIZE_T 8
#define ALIGNOF_MAX_ALIGN_T 8
"""

# Behind macros of the headers.
_MACROS = (
    "PyEval_RestoreThread",
    "PyEval_SaveThread",
    "PyModule_Create2",
    "PyType_GetFlags",
    "_PyArg_ParseTupleAndKeywords_SizeT",
    "_PyArg_ParseTuple_SizeT",
    "_PyArg_Parse_SizeT",
    "_Py_BuildValue_SizeT",
    "_Py_Dealloc",
    "_Py_FalseStruct",
    "_Py_NoneStruct",
    "_Py_TrueStruct",
)


def _windows_headers(work: Path) -> Path:
    """Python.h and the others, which take pyconfig.h from their own folder."""
    headers = work / "include"
    shutil.copytree(sysconfig.get_paths()["include"], headers)
    (headers / "pyconfig.h").write_text(WINDOWS_CONFIG)
    return headers


def _windows_library(work: Path) -> Path:
    """What to link with for python3.dll, Windows' library of the limited API."""
    sources = "".join(path.read_text() for path in sorted((ROOT / "nbmf" / "_core").glob("*.[ch]")))
    names = sorted({*re.findall(r"\bPy[A-Za-z]*_\w+\b", sources), *_MACROS})
    is_data = re.compile(r"PyExc_\w+|Py[A-Za-z]+_Type|_Py_\w+Struct")
    definition, library = work / "python3.def", work / "python3.lib"
    lines = [f"{name} DATA" if is_data.fullmatch(name) else name for name in names]
    definition.write_text("\n".join(["LIBRARY python3.dll", "EXPORTS", *lines, ""]))
    command = [*ZIG, "dlltool", "-m", "i386:x86-64", "-d", str(definition), "-l", str(library)]
    subprocess.run(command, check=True)  # noqa: S603
    return library


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; all without")
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    options = parser.parse_args()
    if unknown := set(options.targets) - set(TARGETS):
        parser.error(f"no target: {', '.join(sorted(unknown))}")
    for name in options.targets or TARGETS:
        wheel = build(name, options.out)
        print(f"{wheel}  {wheel.stat().st_size / 1e6:.1f} MB", flush=True)


if __name__ == "__main__":
    main()
