"""The process that reads large bodies."""

from __future__ import annotations

import gc
import json
import os
import resource
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from nbmf.errors import NbmfError
from serve_app.isolation import pipes
from serve_app.isolation.pipes import Refusal
from serve_app.reading import dict_blobs, items
from serve_app.reading.answers import packed
from serve_app.reading.items import Bounds

FUNCTIONS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        items.records_of_json,
        items.records_of_octets,
        items.records_of_utf8,
        dict_blobs.blobs_of_json,
        dict_blobs.blobs_of_octets,
        dict_blobs.records_of_stub,
    )
}
_MOST = (1 << 32) - 1
"""Of parts, and of bytes of one: who asks keeps to the service's limits."""


def main() -> None:
    """Answers until nobody asks any more."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # it would hold records
    gc.disable()  # each collection would go through all that was parsed
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what else is printed must not get among the answers
    while (asked := pipes.read(requests, _MOST, _MOST)) is not None:
        question, *parts = (part for part in asked if isinstance(part, bytes))
        pipes.write(answers, _answer(question, parts))
        gc.collect()


def _answer(question: bytes, parts: Sequence[bytes]) -> list[bytes | Refusal]:
    """One refusal where the whole body is refused."""
    name, bounds, arguments = json.loads(question)
    try:
        return packed(FUNCTIONS[name](parts, Bounds(*bounds), *arguments))
    except NbmfError as error:
        return [Refusal(error.code, str(error))]
    except Exception as error:
        frames = "".join(traceback.format_tb(error.__traceback__))  # not its message, which may quote a payload
        print(f"a body could not be read: {type(error).__name__}\n{frames}", flush=True)
        return [Refusal("internal_error", f"a fault of the server: {type(error).__name__}; see its log")]


if __name__ == "__main__":
    main()
