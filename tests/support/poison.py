"""A source whose records do to the process that reads or codes them what their text says."""

import os
import re
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from nbmf import Codec


def act(what):
    """Never returns, unless `what` is an ordinary text."""
    match what:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "exit":
            os._exit(3)
        case "memory":
            bytearray(1 << 50)
        case "sleep":
            time.sleep(3600)
        case "busy":  # the GIL is held for years
            re.match(r"(a|a)*$", "a" * 64 + "b")


def plant():
    """In this process, from now on, texts "code: X" do X to whoever codes them."""
    if not hasattr(Codec, "unplanted_encode_measured"):
        Codec.unplanted_encode_measured = Codec.encode_measured
    Codec.encode_measured = planted_encode_measured


def planted_encode_measured(self, values, *args, **kwargs):
    values = list(values)
    for value in values:
        if isinstance(value, str) and value.startswith("code: "):
            act(value.removeprefix("code: "))
    return self.unplanted_encode_measured(values, *args, **kwargs)


@dataclass(frozen=True)
class Planted:
    """Records of another source: text "code: X" does X when it is coded, "read: X" when it is read.

    "once: PATH" kills the process that codes it, the first time.
    """

    source: object

    def plan(self):
        return self.source.plan()

    def read(self, shard):
        plant()
        for record in self.source.read(shard):
            text = getattr(record, "payload", "")
            if isinstance(text, str) and text.startswith("read: "):
                act(text.removeprefix("read: "))
            if isinstance(text, str) and text.startswith("once: "):
                try:
                    Path(text.removeprefix("once: ")).touch(exist_ok=False)
                except FileExistsError:
                    pass
                else:
                    act("kill")
            yield record


@dataclass(frozen=True)
class PlantedSeparable(Planted):
    """As Planted; records can be reached without those before them."""

    def split(self, shard):
        return self.source.split(shard)
