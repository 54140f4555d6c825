"""Clusters of tokens, and vocabularies in their order."""

import json
from collections import Counter

import hybrids
import networks
import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file

from nbmf.neural.config import EXTRA_TOKENS, PRESETS, NeuralConfig
from nbmf.neural.tokenizer import NeuralTokenizer
from train_app.network.given import load_given
from train_app.network.train import _tokenizer
from train_app.samples.tokens import tokenise_samples
from train_app.vocabulary.clusters import fitted, learn_slots
from train_app.vocabulary.tokenizer import renumbered

CONFIG = hybrids.CONFIG


@pytest.fixture(scope="module")
def samples():
    return networks.sample_records()


@pytest.fixture(scope="module")
def vocabulary(samples):
    return networks.vocabulary(samples)


def test_slots_are_frequent_singles_and_then_clusters(samples, vocabulary):
    tokens = tokenise_samples(samples, vocabulary).tokens_N
    slots = learn_slots(tokens, CONFIG)
    assert sorted(slots) == list(range(CONFIG.vocab_size))
    count = Counter(tokens.tolist())
    singles = [token for token in range(CONFIG.vocab_size) if slots[token] < CONFIG.n_singles]
    others = [token for token in range(CONFIG.vocab_size) if slots[token] >= CONFIG.n_singles]
    assert min(count[token] for token in singles) >= max(count[token] for token in others)
    np.testing.assert_array_equal(learn_slots(tokens, CONFIG), slots)


def test_tokens_that_stand_in_like_places_share_a_cluster():
    """Names of four kinds, each between neighbours of its own kind."""
    config = PRESETS["tiny"].with_(vocab_size=72, n_clusters=4, cluster_size=16)
    rng = np.random.default_rng(0)
    pieces = []
    for kind in rng.integers(0, 4, 4000):
        names = 8 + rng.permutation(np.arange(64))[:0]
        pieces.append([2 * kind, 8 + 4 * rng.integers(16) + kind, 2 * kind + 1, *names])
    tokens = np.array([config.type_id("text"), *(token for piece in pieces for token in piece)])
    slots = learn_slots(tokens, config)
    clusters = config.clusters(slots)
    assert (clusters[:8] == -1).all()
    for kind in range(4):
        assert len(set(clusters[8 + kind :: 4].tolist())) == 1
    assert len(set(clusters[8:].tolist())) == 4


def test_a_smaller_vocabulary_has_fewer_clusters():
    asked = PRESETS["small"].with_(vocab_size=8192, n_clusters=60, cluster_size=128)
    assert fitted(asked, 8192) == asked
    smaller = fitted(asked, 3000)
    assert (smaller.vocab_size, smaller.n_clusters, smaller.n_singles) == (3000, 21, 312)
    none = fitted(asked, 130)
    assert (none.vocab_size, none.n_clusters, none.cluster_size, none.n_symbols) == (130, 0, 0, 130)
    assert fitted(NeuralConfig(), 300) == NeuralConfig(vocab_size=300)


def test_a_renumbered_vocabulary_cuts_the_same(samples, vocabulary):
    new_ids = np.random.default_rng(0).permutation(vocabulary.get_vocab_size())
    before, after = (NeuralTokenizer(v.to_str()) for v in (vocabulary, renumbered(vocabulary, new_ids.tolist())))
    for data in [*(sample.canonical for sample in samples[::5]), b"\xff\x00 \xc3"]:
        assert after.encode(data).tolist() == new_ids[before.encode(data).tolist()].tolist()
        assert after.decode(after.encode(data)) == data


def test_a_run_keeps_its_clusters(samples, vocabulary, tmp_path):
    made = _tokenizer(samples, CONFIG, tmp_path)
    assert made.get_vocab() != vocabulary.get_vocab()
    assert made.get_vocab().keys() == vocabulary.get_vocab().keys()
    count = Counter(tokenise_samples(samples, made).tokens_N.tolist())
    assert sum(count[token] for token in range(CONFIG.n_singles)) > 0.6 * sum(count.values())
    again = _tokenizer(samples[::2], CONFIG, tmp_path)
    assert again.to_str() == made.to_str()


def test_without_clusters_ids_stay(samples, vocabulary, tmp_path):
    assert _tokenizer(samples, PRESETS["tiny"], tmp_path).to_str() == vocabulary.to_str()


def test_the_network_of_a_folder(vocabulary, tmp_path):
    """Ids of the vocabulary it was trained on, turned into slots."""
    expected = hybrids.hybrid()
    slots = torch.randperm(CONFIG.vocab_size, generator=torch.Generator().manual_seed(0))
    old_ids = torch.cat((slots.argsort(), CONFIG.vocab_size + torch.arange(EXTRA_TOKENS))).int()
    expected.restore({**expected.state_dict(), "hash_id_I": old_ids})
    theirs = {name: value for name, value in expected.state_dict().items() if name != "hash_id_I"}
    members = theirs.pop("member.weight")
    theirs["top.weight"] = theirs["head.weight"]
    theirs["head.weight"] = torch.cat((torch.zeros(CONFIG.n_singles, CONFIG.d_model), members))
    slots_of_ids = torch.cat((slots, CONFIG.vocab_size + torch.arange(EXTRA_TOKENS)))
    theirs["embedding.weight"] = theirs["embedding.weight"][slots_of_ids]
    for new, old in ((".convolution.", ".mix."), (".convolution_out.", ".out.")):
        theirs = {name.replace(new, old): value for name, value in theirs.items()}
    save_file({**theirs, "slot_V": slots}, tmp_path / "model.safetensors")
    (tmp_path / "tokenizer.json").write_text(vocabulary.to_str())
    own = ("layer_kinds", "n_clusters", "cluster_size")
    described = {
        "network": {name: value for name, value in CONFIG.to_dict().items() if name not in own},
        "kinds": CONFIG.layer_kinds,
        "singles": CONFIG.n_singles,
        "clusters": CONFIG.n_clusters,
        "cluster_size": CONFIG.cluster_size,
    }
    (tmp_path / "config.json").write_text(json.dumps(described))
    model, tokenizer = load_given(tmp_path)
    assert model.config == CONFIG
    for name, value in expected.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], value, rtol=0, atol=0)
    assert tokenizer.get_vocab() == {token: int(slots[old]) for token, old in vocabulary.get_vocab().items()}


def test_settings_know_what_sizes_are(settings):
    given = {"layer_kinds": "caca", "n_clusters": 60, "cluster_size": 128}
    kept = type(settings)(**{**settings.model_dump(), "network": given}).network
    assert kept == given
    for name, value in (("layer_kinds", 3), ("n_clusters", "many"), ("n_layers", "6")):
        with pytest.raises(ValidationError, match=f"{name} is {value!r}, and must be a"):
            type(settings)(**{**settings.model_dump(), "network": {name: value}})
