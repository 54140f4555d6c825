"""The process that codes, seen from its parent: what a record does to it, it does not do to the parent."""

from __future__ import annotations

import os
import pickle
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any

from migrate_job.coding.messages import Failed, Ready, Units, Whole
from migrate_job.errors import WorkerDied
from migrate_job.plan.plan import Plan

_START_TIMEOUT_S = 600
"""To load a version, on a machine that is busy."""

_IMPORTABLE = ("cluster.", "migrate_job.")


class ChildDied(Exception):
    """The process ended before it answered."""


class Child:
    """A coder process of a plan, started when there is something to ask it, and again when it ended."""

    def __init__(self, plan: Plan) -> None:
        self._plan = replace(plan, shards=())
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None

    def ask(self, request: Whole | Units) -> None:
        """Sends a request. Raises ChildDied, WorkerDied if none can be started, and what loading the version raises."""
        connection = self._connection or self._start()
        try:
            connection.send(request)
        except ConnectionError as error:
            raise ChildDied from error

    def answer(self, timeout_s: float | None) -> Any:
        """The next message, None if there is none in time. Raises ChildDied, and the error of a Failed."""
        connection = self._connection
        assert connection is not None  # noqa: S101
        try:
            if not connection.poll(timeout_s):
                return None
            answer = connection.recv()
        except (EOFError, ConnectionError) as error:
            raise ChildDied from error
        if isinstance(answer, Failed):
            self.end()
            raise answer.error
        return answer

    def end(self) -> int:
        """Ends the process, if there is one, and tells its exit status."""
        if self._process is None:
            return 0
        if self._connection is not None:
            self._connection.close()
        # It ends by itself when it is dying or finds its socket closed; but it may hang, or have forked.
        try:
            status = self._process.wait(timeout=0.5)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            status = self._process.wait()
        self._process = self._connection = None
        return status

    def _start(self) -> Connection:
        ours, theirs = socket.socketpair()
        with theirs:
            fd = theirs.fileno()
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
            command = [sys.executable, "-m", "migrate_job.coding.coder_process", str(fd)]
            self._process = subprocess.Popen(command, pass_fds=[fd], env=environment, start_new_session=True)  # noqa: S603 - ours
        self._connection = connection = Connection(ours.detach())
        try:
            connection.send_bytes(_pickled(self._plan))
            started = self.answer(_START_TIMEOUT_S)
        except (ChildDied, ConnectionError):
            started = None
        if not isinstance(started, Ready):
            raise WorkerDied(f"a process to code records in did not start: {ended(self.end())}")
        return connection


def _pickled(plan: Plan) -> bytes:
    """By cloudpickle where the source is of a user's own: it may be of a script."""
    if type(plan.source).__module__.startswith(_IMPORTABLE):
        return pickle.dumps(plan)
    from ray import cloudpickle

    data: bytes = cloudpickle.dumps(plan)  # type: ignore[no-untyped-call]
    return data


def ended(status: int) -> str:
    """An exit status in words."""
    if status >= 0:
        return f"the process ended with exit code {status}"
    try:
        return f"the process was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"the process was killed by signal {-status}"
