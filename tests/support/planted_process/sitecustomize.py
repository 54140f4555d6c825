"""For processes of isolated versions that have this folder on their path: versions of certain names do to them what the
names say, when they are loaded or when a blob declares so many bytes.
"""

import os
import signal
import time

from nbmf.codec import Codec

TRIGGER_BYTES = 4242

_made, _decode = Codec.__init__, Codec.decode_canonical_batch


def _act(what):
    if what == "kills":
        os.kill(os.getpid(), signal.SIGSEGV)
    if what == "hangs":
        signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals) - {signal.SIGALRM})
        while True:
            time.sleep(3600)


def _planted_made(self, version_id=None, manifest=None, files=None):
    _made(self, version_id, manifest, files)
    if manifest is not None and manifest.name.endswith(" when loaded"):
        _act(manifest.name.removesuffix(" when loaded"))


def _planted_decode(self, frames):
    if self.manifest is not None and any(frame.payload_bytes == TRIGGER_BYTES for frame in frames):
        _act(self.manifest.name)
    return _decode(self, frames)


Codec.__init__, Codec.decode_canonical_batch = _planted_made, _planted_decode
