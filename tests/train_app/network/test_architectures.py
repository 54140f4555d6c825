"""`--architecture`: which layers it means, and where it makes no sense."""

import pytest
import synthetic

from nbmf.neural.config import MOST_CONVOLUTIONS, PRESETS
from train_app.network.architectures import Architecture, architecture_of, layer_kinds, with_architecture
from train_app.results.report import network_line


@pytest.mark.parametrize(
    ("architecture", "n_layers", "expected"),
    [("transformer", 3, "aaa"), ("cnn", 2, "cc"), ("hybrid", 2, "ca"), ("hybrid", 5, "cacac"), ("cnn", 1, "c")],
)
def test_layers_of_an_architecture(architecture, n_layers, expected):
    assert layer_kinds(Architecture(architecture), n_layers) == expected
    config = PRESETS["tiny"].with_(n_layers=n_layers, layer_kinds=expected)
    assert architecture_of(config) == architecture


def test_a_hybrid_of_one_layer_is_none():
    with pytest.raises(ValueError, match="a hybrid has 2 layers and more, not 1"):
        layer_kinds(Architecture.HYBRID, 1)


def test_presets_have_the_architecture_that_the_help_says():
    found = {name: architecture_of(config).value for name, config in PRESETS.items()}
    assert found == {"tiny": "transformer", "small": "hybrid", "base": "transformer"}


def test_convolutions_see_further_from_layer_to_layer():
    config = PRESETS["base"].with_(layer_kinds="cccccc")
    assert config.dilations == [1, 2, 4, 8, 16, 32]
    most = PRESETS["tiny"].with_(n_layers=MOST_CONVOLUTIONS, layer_kinds="c" * MOST_CONVOLUTIONS)
    assert most.dilations[-1] == 4096
    with pytest.raises(ValueError, match="14 convolutions: 13 at most"):
        PRESETS["tiny"].with_(n_layers=15, layer_kinds="a" + "c" * 14)


def test_as_many_layers_as_the_file_says():
    assert with_architecture({}, "base", Architecture.CNN) == {"layer_kinds": "cccccc"}
    more = {"n_layers": 4, "d_model": 192}
    assert with_architecture(more, "small", Architecture.HYBRID) == {**more, "layer_kinds": "caca"}
    with pytest.raises(ValueError, match="layer_kinds is 'ac', and hybrid of 2 layers is 'ca'"):
        with_architecture({"layer_kinds": "ac"}, "small", Architecture.HYBRID)


@pytest.mark.parametrize("preset", ["none", "counts", "builtin", "finetune"])
def test_presets_without_a_new_network_have_none(nbmf_command, tmp_path, preset):
    path = synthetic.write_jsonl(tmp_path / "some.jsonl", [1])
    result = nbmf_command("train", "-r", path, "--preset", preset, "--architecture", "cnn")
    told = " ".join(result.err.replace("│", " ").split())
    assert result.code == 2
    assert "needs a --preset that makes a new network (tiny, small, base)" in told


def test_the_report_says_it():
    line = network_line("cnn", {"layer_kinds": "cc", "parameters": 18_400_000})
    assert line == "Network: cnn, layers cc (a: attention, c: convolution), 18,400,000 parameters."
