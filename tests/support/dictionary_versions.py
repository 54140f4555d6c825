"""Versions with a dictionary of records of ours, published in a moment."""

import registries
import synthetic
import zstandard

from nbmf.payload import to_canonical


def publish(registry, name, seed, dictionary_bytes=4096):
    """A version with a dictionary of such records."""
    samples = [to_canonical(r)[1] for r in synthetic.records(400, seed=seed)]
    dictionary = zstandard.train_dictionary(dictionary_bytes, samples).as_bytes()
    manifest = {
        "name": name,
        "created_at": "2026-02-02T00:00:00+00:00",
        "architecture": "zstd-dictionary",
        "dictionaries": {"text": "d", "json": "d", "messages": "d"},
    }
    return registries.publish(registry, manifest, {"d": dictionary})
