"""What augmentations are called."""

from __future__ import annotations

import enum


class Augmentation(enum.StrEnum):
    """A change of a record; `train_app.augment.copies` has the functions."""

    KEY_ORDER = "key-order"
    KEY_NAMES = "key-names"
    VALUES = "values"
    INDENT = "indent"
    ROLES = "roles"
    TURNS = "turns"
