"""The compiled core. Everything else is in pyproject.toml."""

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

    def build_extension(self, ext: Extension) -> None:
        if self.compiler.compiler_type == "msvc":
            raise SystemExit("nbmf: build with clang, gcc or zig cc (CC='python -m ziglang cc'), not with MSVC")
        ext.extra_compile_args = FLAGS
        super().build_extension(ext)


setup(
    cmdclass={"build_ext": BuildCore},
    ext_modules=[
        Extension(
            "nbmf._core",
            sorted(map(str, CORE.glob("*.c"))),
            depends=sorted(map(str, CORE.glob("*.h"))),
            py_limited_api=True,
        )
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
