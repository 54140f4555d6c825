"""Small networks for tests, and records that every Python installation has."""

import hashlib
import json
import tempfile
import tokenize
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from nbmf.manifest import NeuralPart, write_version
from nbmf.neural.config import PRESETS
from nbmf.neural.constants import default_constants, save_constants
from nbmf.payload import Kind
from train_app.integers.quantise import calibrate, quantise
from train_app.network.batches import StreamBatches
from train_app.network.model import AttentionLayer, NeuralModel
from train_app.samples.sample import Sample
from train_app.samples.tokens import tokenise_samples
from train_app.vocabulary.tokenizer import train_tokenizer

FILES = {"model": "model.safetensors", "tokenizer": "tokenizer.json", "constants": "adaptation.safetensors"}


def sample_records() -> list[Sample]:
    """Texts, conversations and JSON of modules that are there."""
    modules = (json, tokenize, pytest, np.linalg)
    names = [f"{module.__name__}.{name}" for module in modules for name in dir(module)]
    docs = [str(getattr(module, name).__doc__) for module in modules for name in dir(module)]
    records = [(Kind.TEXT, doc) for doc in docs if len(doc) > 40]
    for begin in range(0, len(names), 12):
        turns = [{"role": "user", "content": name} for name in names[begin : begin + 12]]
        records.append((Kind.MESSAGES, json.dumps(turns, separators=(",", ":"))))
    values = {"values": [1.5, None, "ünï", "日本語"]}
    records.append((Kind.JSON, json.dumps(values, ensure_ascii=False, separators=(",", ":"))))
    unique = dict.fromkeys(records)
    return [Sample(kind, text.encode(), hashlib.sha256(text.encode()).digest()) for kind, text in unique]


def vocabulary(samples: list[Sample], size: int = 512) -> Tokenizer:
    """A vocabulary learnt from samples."""
    return train_tokenizer((sample.canonical.decode() for sample in samples), size)


TWO_STEPS = {"layer_kinds": "ca", "n_clusters": 12, "cluster_size": 32}
"""Sizes of a network with both kinds of layers and a softmax in two steps."""


def untrained_files(**sizes: int | str) -> dict[str, bytes]:
    """Files of a network that has learnt nothing, but with the spread of values of a trained one."""
    samples = sample_records()
    tokenizer = vocabulary(samples)
    config = PRESETS["tiny"].with_(vocab_size=tokenizer.get_vocab_size(), window=32, **sizes)
    torch.manual_seed(0)
    model = NeuralModel(config)
    for layer in model.stack():
        if isinstance(layer, AttentionLayer):
            torch.nn.init.normal_(layer.attention_out.weight, std=0.2)
        else:
            torch.nn.init.normal_(layer.convolution_out.weight, std=0.2)
        torch.nn.init.normal_(layer.contract.weight, std=0.2)
        if isinstance(layer, AttentionLayer):
            layer.query_key_value.weight.data *= 2
    torch.nn.init.normal_(model.head.weight, std=0.6)
    if model.member:
        torch.nn.init.normal_(model.member.weight, std=0.6)
    batches = StreamBatches(tokenise_samples(samples, tokenizer), config)
    calibration = calibrate(model, [batches.at(torch.arange(0, 512, 64), 64)])
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        quantise(model, calibration).save(folder / FILES["model"], config)
        save_constants(default_constants(), folder / FILES["constants"])
        files = {name: (folder / name).read_bytes() for name in (FILES["model"], FILES["constants"])}
    return {**files, FILES["tokenizer"]: tokenizer.to_str().encode()}


def write_neural_version(
    parent: Path, files: dict[str, bytes], max_payload_bytes: int = 4096, name: str = "network"
) -> Path:
    """A version folder with these files as its network."""
    part = NeuralPart(**FILES, max_payload_bytes=max_payload_bytes, decode_us_per_byte=50.0)
    manifest = {
        "name": name,
        "created_at": "2026-01-01T00:00:00Z",
        "architecture": "transformer",
        "neural": part.to_dict(),
    }
    return parent / write_version(parent, manifest, files)
