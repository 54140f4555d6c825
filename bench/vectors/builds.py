"""Two builds of the core side by side: vectors a second of each, in turns, and whether they write the same.

    python -m bench.vectors.builds OLD.abi3.so NEW.abi3.so test.npy train.npy

On a machine that does other work, too, only what was measured in turns can be compared: of each build the fastest of 40
rounds counts, by the processor's time.
"""

from __future__ import annotations

import sys
import time
from array import array
from collections.abc import Sequence
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from types import ModuleType
from typing import Any

import numpy as np

from nbmf.vectors import Aim, LatentCompressor
from nbmf.vectors.aim import TYPES, UNIT_BITS

ROUNDS = 40
_KIND = "float32"


def load(path: str, name: str) -> ModuleType:
    """A build of the core, beside others."""
    name += "._core"
    spec = spec_from_file_location(name, path, loader=ExtensionFileLoader(name, path))
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no build of the core")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    module.use(None)
    return module


def _encode(space: Any, numbers: bytes, count: int) -> tuple[float, list[bytes | None], bytes]:
    decoded, cosines, aim = bytearray(len(numbers)), array("d", bytes(8 * count)), Aim()
    how = (-1, aim.step, aim.rate_weight, aim.least_cosine, UNIT_BITS[_KIND], decoded, cosines, False)
    begin = time.process_time()
    bodies = space.encode(numbers, TYPES.index(_KIND), *how)
    return time.process_time() - begin, bodies, bytes(decoded) + cosines.tobytes()


def _decode(space: Any, bodies: list[bytes | None], size: int) -> float:
    whole = [body for body in bodies if body is not None]
    decoded = bytearray(size // max(len(bodies), 1) * len(whole))
    begin = time.process_time()
    space.decode(whole, TYPES.index(_KIND), decoded, False)
    return time.process_time() - begin


def compare(spaces: Sequence[Any], numbers: bytes, count: int) -> tuple[list[tuple[float, float]], bool]:
    """Vectors a second that each encodes and decodes, and whether all write and decode to the same."""
    least = [[float("inf")] * 2 for _ in spaces]
    same = True
    for _ in range(ROUNDS):
        written = []
        for space, best in zip(spaces, least, strict=True):
            took_s, bodies, decoded = _encode(space, numbers, count)
            best[:] = min(best[0], took_s), min(best[1], _decode(space, bodies, len(numbers)))
            written.append((bodies, decoded))
        same = same and all(one == written[0] for one in written)
    return [(count / encode_s, count / decode_s) for encode_s, decode_s in least], same


def main() -> None:
    """Prints a line a build, of spaces without and with training."""
    *paths, measured, train = sys.argv[1:]
    vectors, training = np.load(measured).astype("<f4"), np.load(train)
    fitted = LatentCompressor(vectors.shape[1]).fit(training)._fitted()
    arrays = {name: getattr(fitted, name) for name in fitted.__slots__}
    modules = [load(path, f"build{index}") for index, path in enumerate(paths)]
    for name, more in (("untrained", ()), ("trained", (arrays,))):
        spaces = [module.VectorSpace(vectors.shape[1], *more) for module in modules]
        speeds, same = compare(spaces, vectors.tobytes(), len(vectors))
        for path, (encode, decode) in zip(paths, speeds, strict=True):
            ratios = f"{encode / speeds[0][0]:.2f} and {decode / speeds[0][1]:.2f} times the first"
            print(f"{name}, {path}: {encode:,.0f} encoded a second, {decode:,.0f} decoded; {ratios}")
        print(f"{name}: {'the same' if same else 'NOT the same'} bytes, numbers and cosines")


if __name__ == "__main__":
    main()
