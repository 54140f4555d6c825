"""Replicas that do wrong with candidates of certain names: they are slow, hang, crash, or decode to something else;
and a decoder that tells what it loads.
"""

import os
import sys
import time
from pathlib import Path

from cluster.registry import Registry
from serve_app.replicas.replicas import Decoder, Encoder

PROCESS = str(Path(__file__).with_name("planted_process"))
"""A folder on the path of which processes of isolated versions are planted as well."""


class PlantedEncoder(Encoder):
    def __init__(self, registry, version, *arguments):
        super().__init__(registry, version, *arguments)
        self._name = "" if version == "none" else Registry(registry).manifest(version).name
        self._coded = 0

    def _encode(self, how, records):
        if self._name == "slow":
            time.sleep(0.15)
        if self._name == "hangs":
            time.sleep(60)
        if self._name == "crashes":
            os._exit(1)
        return super()._encode(how, records)


class PlantedDecoder(Decoder):
    _wrong = None

    def __init__(self, *arguments):
        if PROCESS not in sys.path:
            sys.path.insert(0, PROCESS)
        super().__init__(*arguments)

    def _load(self, version, trusted):
        super()._load(version, trusted)
        if self._registry.manifest(version).name == "wrong":
            self._wrong = version

    async def _decode_named(self, call, reference, indices, *tried):
        await super()._decode_named(call, reference, indices, *tried)
        if self._wrong is not None and self._wrong.startswith(reference.hex()):
            call.results.update({index: (call.results[index][0], b'"something else"') for index in indices})


class TellingDecoder(Decoder):
    """Writes a line to a file `loads` beside the registry for each version that a blob made it load."""

    def __init__(self, registry, *arguments):
        super().__init__(registry, *arguments)
        isolated, start = self._versions.isolated, self._versions.isolated.start

        def told(version):
            with Path(registry).with_name("loads").open("a") as file:
                file.write(f"{os.getpid()} {version}\n")
            return start(version)

        isolated.start = told
