"""The file of a network: what is written is read."""

import dataclasses

import networks
import numpy as np

from nbmf.neural.weights import IntegerWeights


def test_arrays_of_any_memory_order_are_written_as_their_shapes_say(tmp_path):
    weights, config = IntegerWeights.load(networks.untrained_files(**networks.TWO_STEPS)[networks.FILES["model"]])
    arrays = {name: array for name, array in vars(weights).items() if array is not None and array.ndim > 1}
    turned = {name: np.asfortranarray(array) for name, array in arrays.items()}
    assert not any(array.flags.c_contiguous for array in turned.values() if min(array.shape) > 1)
    dataclasses.replace(weights, **turned).save(tmp_path / "turned", config)
    again, _ = IntegerWeights.load((tmp_path / "turned").read_bytes())
    for name, array in arrays.items():
        np.testing.assert_array_equal(getattr(again, name), array, err_msg=name)
