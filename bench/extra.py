"""Packages that measurements need and the codec does not: the extra `bench`."""

from __future__ import annotations

from importlib.util import find_spec

from nbmf.errors import NbmfError


class MissingPackage(NbmfError):
    """A package of the extra `bench` is not installed."""

    code = "missing_package"


def require(*packages: str) -> None:
    """Raises MissingPackage, which names the remedy, unless all can be imported."""
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise MissingPackage(f"{', '.join(missing)} not installed; the extra `bench` has it: pip install '.[bench]'")
