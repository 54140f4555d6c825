"""A Python process of this package's own, which answers lists of byte strings with such lists, one at a time."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence

from serve_app.isolation import pipes
from serve_app.isolation.pipes import Refusal


class Child:
    """Runs a module with arguments. One call at a time.

    `ended` says why it was ended from here, `timed_out` whether as it took too long; where the process ended by itself
    neither says anything.
    """

    def __init__(self, module: str, *arguments: object) -> None:
        self.ended, self.timed_out = "", False
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", module, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path or "." for path in sys.path)},
            start_new_session=True,
        )

    def call(
        self, asked: Sequence[bytes] | None, max_items: int, max_item_bytes: int, seconds: float
    ) -> list[bytes | Refusal] | None:
        """The answer, to nothing too; None where the process ended before, or was ended as it took too long."""
        requests, answers = self._process.stdin, self._process.stdout
        assert requests is not None  # noqa: S101
        assert answers is not None  # noqa: S101
        timer = threading.Timer(seconds, self._time_out, [seconds])
        timer.start()
        try:
            if asked is not None:
                pipes.write(requests, asked)
            return pipes.read(answers, max_items, max_item_bytes)
        except pipes.BadMessage as error:
            self._end(f"gave an answer that is none: {error}")
            return None
        except OSError:  # a pipe whose other end is no more
            return None
        finally:
            timer.cancel()

    def ending(self) -> str:
        """How the process ended, for which this waits."""
        status = self._process.wait()
        try:
            return signal.Signals(-status).name
        except ValueError:
            return f"exit status {status}"

    def close(self) -> None:
        """Ends the process, whatever it does."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None  # noqa: S101
            with contextlib.suppress(OSError):  # of what it did not read
                pipe.close()

    def _time_out(self, seconds: float) -> None:
        self.timed_out = True
        self._end(f"did not come to an end in {seconds:g} s")

    def _end(self, why: str) -> None:
        self.ended = why
        self._process.kill()
