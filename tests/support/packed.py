"""The formats that JSON may be compressed with: its suffix, and a function that compresses bytes as its tool does."""

import bz2
import gzip
import lzma

import zstandard

FORMATS = {
    ".gz": lambda content: gzip.compress(content, mtime=0),
    ".zst": zstandard.ZstdCompressor(write_checksum=True).compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}
