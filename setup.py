"""The compiled core. Everything else is in pyproject.toml."""

import os
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

CORE = Path("nbmf/_core")
# No float operation may be contracted with another or take another's place: the last two only tell the compiler that
# nobody looks at errno and at floating-point exceptions.
FLAGS = [
    "-std=gnu11",
    "-O3",
    "-g0",
    "-fvisibility=hidden",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fno-trapping-math",
]


class BuildCore(build_ext):
    """With the flags that all compilers but Microsoft's know."""

    def get_ext_filename(self, fullname: str) -> str:
        """Cross-built for Windows as well."""
        name = super().get_ext_filename(fullname)
        return name.replace(".abi3.so", ".pyd") if self.plat_name.startswith("win") else name

    def build_extension(self, ext: Extension) -> None:
        if self.compiler.compiler_type == "msvc":
            raise SystemExit("nbmf: build with clang, gcc or zig cc, not with MSVC")
        if not any((Path(folder) / "Python.h").is_file() for folder in self.compiler.include_dirs + self.include_dirs):
            headers = sysconfig.get_paths()["include"]
            raise SystemExit(f"nbmf: {headers}/Python.h is missing; it is in the system's python3-dev or python3-devel")
        ext.extra_compile_args = FLAGS + self._for_zig()
        self._compile_side_by_side()
        super().build_extension(ext)

    def _compile_side_by_side(self) -> None:
        """As many files at a time as there are CPUs, where setuptools takes one after the other.

        Not by zig, whose processes share a cache that they have disturbed each other in.
        """
        if "zig" in os.environ.get("CC", ""):
            return
        cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        compile_files = self.compiler.compile

        def side_by_side(sources: list[str], *args: object, **kwargs: object) -> list[str]:
            with ThreadPoolExecutor(cpus) as pool:
                objects = pool.map(lambda source: compile_files([source], *args, **kwargs), sources)
                return [path for paths in objects for path in paths]

        self.compiler.compile = side_by_side

    def _for_zig(self) -> list[str]:
        """It compiles for the very processor that it runs on unless it is told otherwise."""
        command = os.environ.get("CC", "")
        return ["-mcpu=baseline"] if "zig" in command and "-target" not in command and "-mcpu" not in command else []


setup(
    cmdclass={"build_ext": BuildCore},
    ext_modules=[
        Extension(
            "nbmf._core",
            sorted(map(str, CORE.glob("*.c"))),
            depends=sorted(map(str, CORE.glob("*.h"))),
            libraries=["m"],
            py_limited_api=True,
        )
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
