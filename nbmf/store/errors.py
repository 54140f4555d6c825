"""Errors of reading stores, in the tree of nbmf.errors.

NbmfError
└── StoreError             the store cannot be opened or read
    ├── RecordNotFound     (also KeyError)  no record of that key, or of that key and class
    ├── AmbiguousKey       several classes have the key, and none was named
    ├── KeyRequired        the record is encrypted and no key was given
    └── IndexUnusable      the key index is missing, damaged, or of other files
"""

from __future__ import annotations

from nbmf.errors import NbmfError


class StoreError(NbmfError):
    """A store cannot be opened or read."""

    code = "store_error"


class RecordNotFound(StoreError, KeyError):
    """No record of that key, or of that key and class."""

    code = "record_not_found"

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would show its repr


class AmbiguousKey(StoreError):
    """Records of several classes have the key, and the caller named none."""

    code = "ambiguous_key"


class KeyRequired(StoreError):
    """The record is encrypted and the store was opened without a key."""

    code = "key_required"


class IndexUnusable(StoreError):
    """The key index is missing, damaged, or was made of other files than are there now."""

    code = "index_unusable"


class StoreWarning(UserWarning):
    """The store is read, but slower than it could be."""
