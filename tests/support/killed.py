"""Processes that are killed by SIGKILL at a step of their choice: what a file system sees of a run that dies.

For scripts in processes of their own: they fork, which a process with threads must not.
"""

import os
import signal
import sqlite3
import sys

_STEPS = ("open", "os.", "shutil.", "sqlite3.connect")


def count_steps(kill_at, done=None):
    """From now on counts this process's steps that touch files, and SIGKILLs it at the step `kill_at`."""
    steps = 0

    def step(*_):
        nonlocal steps
        steps += 1
        if steps == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(event, _):
        if event.startswith(_STEPS):
            step()

    connect = sqlite3.connect

    def traced(*args, **kwargs):
        connection = connect(*args, **kwargs)
        connection.set_trace_callback(step)
        return connection

    sqlite3.connect = traced
    sys.addaudithook(hook)


def run_killed(work, kill_at=0):
    """Runs `work()` in a forked process; whether it came to its end. What it raises is raised here, as its text."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        code = 1
        try:
            if kill_at:
                count_steps(kill_at)
            work()
            code = 0
        except BaseException as error:
            os.write(writing, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        message = pipe.read()
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return False
    if os.WEXITSTATUS(status):
        raise RuntimeError(message.decode())
    return True
