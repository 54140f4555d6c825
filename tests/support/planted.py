"""Replicas that do wrong with candidates of certain names: they are slow, hang, crash, or decode to something else;
and a decoder that tells what it loads.
"""

import os
import time
from pathlib import Path

from cluster.registry import Registry
from serve_app.replicas import Decoder, Encoder


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

    def _load(self, version):
        super()._load(version)
        if self._registry.manifest(version).name == "wrong":
            self._wrong = bytes.fromhex(version[:4])

    def _decode_frames(self, frames):
        results = super()._decode_frames(frames)
        return [
            (result[0], b'"something else"') if frame.reference == self._wrong else result
            for frame, result in zip(frames, results, strict=True)
        ]


class TellingDecoder(Decoder):
    """Writes a line to a file `loads` beside the registry for each version that a blob made it load."""

    def __init__(self, registry, *arguments):
        super().__init__(registry, *arguments)
        catalog, load = self._versions.catalog, self._versions.catalog._load

        def told(version):
            with Path(registry).with_name("loads").open("a") as file:
                file.write(f"{os.getpid()} {version}\n")
            return load(version)

        catalog._load = told
