"""A codec version in a process of its own, as its replica sees it.

Versions are data from elsewhere: one that kills or hangs what decodes with it kills or hangs that process, and neither
the replica nor the blobs of others wait for it.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path

from nbmf.engine import Engine
from nbmf.errors import DamagedCodec, InexactMachine, NbmfError, UnsupportedFormat
from serve_app.isolation.child import Child
from serve_app.isolation.limits import DEFAULT_TIMEOUT_S, LOADING_S, limit_s
from serve_app.isolation.pipes import Refusal

_ERRORS: dict[str, type[NbmfError]] = {error.code: error for error in (DamagedCodec, InexactMachine, UnsupportedFormat)}

_OF_A_REFUSAL_BYTES = 1 << 20


class VersionKilled(NbmfError):
    """The version ended the process that loaded it, or decoded with it, or did not come to an end."""

    code = "version_killed"


class ProcessLost(NbmfError):
    """The process ended, and not by what the version did: killed from outside, as where memory is short."""

    code = "unavailable"


class IsolatedProcess:
    """Loads the version in `folder` and tries it when it is made. One call at a time.

    Raises VersionKilled, ProcessLost, DamagedCodec, InexactMachine, UnsupportedFormat.
    """

    def __init__(
        self, folder: Path, engine: Engine, max_payload_bytes: int, timeout_s: float = DEFAULT_TIMEOUT_S
    ) -> None:
        self._max_payload_bytes, self._timeout_s = max_payload_bytes, timeout_s
        arguments = (folder, engine.name, engine.threads, max_payload_bytes, timeout_s)
        self._child = Child("serve_app.isolation.worker", *arguments)
        try:
            if self._call(None, 0, LOADING_S) is None:
                raise ProcessLost(f"the process of a version did not start: it ended with {self._child.ending()}")
            problems = self._done("loading", self._call(None, 1, LOADING_S))
            for problem in problems:
                assert isinstance(problem, Refusal)  # noqa: S101
                raise _ERRORS.get(problem.code, DamagedCodec)(problem.message)
        except BaseException:
            self.close()
            raise

    def decode(self, blobs: Sequence[bytes], payload_bytes: int) -> list[bytes | Refusal]:
        """Canonical bytes of each blob, or why there are none. Raises VersionKilled, ProcessLost: it is of no use then.

        `payload_bytes`: what the blobs declare, together.
        """
        limit = limit_s(self._timeout_s, payload_bytes)
        results = self._done("decoding", self._call(blobs, len(blobs), limit))
        if len(results) != len(blobs):
            raise VersionKilled(f"decoding gave {len(results)} results for {len(blobs)} blobs")
        return results

    def close(self) -> None:
        """Ends the process, whatever it does."""
        self._child.close()

    def _call(self, blobs: Sequence[bytes] | None, max_items: int, seconds: float) -> list[bytes | Refusal] | None:
        return self._child.call(blobs, max_items, self._max_payload_bytes + _OF_A_REFUSAL_BYTES, seconds)

    def _done(self, what: str, answer: list[bytes | Refusal] | None) -> list[bytes | Refusal]:
        if answer is not None:
            return answer
        ending = self._child.ending()
        if self._child.ended:
            raise VersionKilled(f"{what} {self._child.ended}")
        if ending == signal.SIGKILL.name:
            raise ProcessLost(f"the process of a version was killed from outside while {what}")
        raise VersionKilled(f"{what} ended its process by {ending}")
