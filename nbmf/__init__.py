"""nbmf: a learned codec for the small records that AI agents keep as memory.

>>> import nbmf
>>> blob = nbmf.encode({"role": "user", "content": "Remember the milk."})
>>> nbmf.decode(blob)
{'role': 'user', 'content': 'Remember the milk.'}
"""

from nbmf import errors
from nbmf.api import decode, encode, load
from nbmf.codec import Codec
from nbmf.errors import NbmfError
from nbmf.inspection import BlobInfo, inspect
from nbmf.json_number import JsonNumber
from nbmf.version import __version__

__all__ = [
    "BlobInfo",
    "Codec",
    "JsonNumber",
    "NbmfError",
    "__version__",
    "decode",
    "encode",
    "errors",
    "inspect",
    "load",
]
