"""Arrays of every type come back as they were, byte order and library included."""

import itertools
import subprocess
import sys

import helpers
import ml_dtypes
import numpy as np
import pytest
import torch

import nbmf
from nbmf import arrays
from nbmf.errors import CorruptBlob, MissingLibrary, UnsupportedPayload
from nbmf.payload import Kind, from_canonical, to_canonical
from nbmf.wire import canonical_from_wire, canonical_to_json, from_wire, load, to_wire

_BITS = np.arange(96, dtype=np.uint8) * 37


def _dtype(name):
    return np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)


NUMPY = {
    f"{name} {order} {shape}": np.frombuffer(_BITS.tobytes(), _dtype(name).newbyteorder(order))
    .copy()[:4]
    .reshape(shape)
    for name, order, shape in itertools.product(arrays.TYPES, "<>", [(4,), (2, 2), (1, 4, 1)])
}
NUMPY |= {f"{name} of no dimensions": np.array(1, _dtype(name)) for name in arrays.TYPES}
NUMPY |= {f"{name} of nothing": np.zeros((0, 3), _dtype(name)) for name in arrays.TYPES}
TENSORS = {
    f"{name} {shape}": torch.frombuffer(bytearray(_BITS.tobytes()), dtype=getattr(torch, name))[:4].reshape(shape)
    for name, shape in itertools.product(arrays.TYPES, [(4,), (2, 2)])
}
TENSORS |= {f"{name} of no dimensions": torch.ones((), dtype=getattr(torch, name)) for name in arrays.TYPES}
TENSORS |= {f"{name} of nothing": torch.zeros((3, 0), dtype=getattr(torch, name)) for name in arrays.TYPES}
TENSORS["transposed"] = torch.arange(6.0).reshape(2, 3).T
TENSORS["a view of every second"] = torch.arange(10, dtype=torch.int16)[::2]


def _same_tensor(a, b):
    octets = [t.contiguous().reshape(-1).view(torch.uint8) for t in (a, b)]
    return type(a) is type(b) and a.dtype == b.dtype and a.shape == b.shape and torch.equal(*octets)


@pytest.mark.parametrize("array", NUMPY.values(), ids=NUMPY)
def test_numpy_arrays(array):
    found = nbmf.decode(nbmf.encode(array))
    assert helpers.same(found, array)
    assert found.flags.writeable
    assert helpers.same(from_wire(load(canonical_to_json(*to_canonical(array)))), array)
    assert canonical_from_wire(to_wire(array)) == to_canonical(array)


@pytest.mark.parametrize("tensor", TENSORS.values(), ids=TENSORS)
def test_tensors(tensor):
    found = nbmf.decode(nbmf.encode(tensor))
    assert _same_tensor(found, tensor)
    assert _same_tensor(from_wire(load(canonical_to_json(*to_canonical(tensor)))), tensor)


@pytest.mark.parametrize("name", arrays.TYPES)
def test_numbers_are_little_endian_whatever_they_are_in_memory(name):
    array = NUMPY[f"{name} < (4,)"]
    for other in (array.astype(array.dtype.newbyteorder(">")), array.byteswap().view(array.dtype.newbyteorder(">"))):
        form, at = arrays.split(arrays.to_bytes(other))
        assert arrays.to_bytes(other)[at:] == array.tobytes()
        assert form.big_endian == (array.dtype.itemsize > 1)


def test_a_large_array_goes_by_byte_planes():
    array = np.arange(2000, dtype=">i4") // 7
    blob = nbmf.encode(array)
    assert nbmf.inspect(blob).coder == "byte_planes"
    assert len(blob) < array.nbytes / 4
    assert helpers.same(nbmf.decode(blob), array)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (torch.ones(2, requires_grad=True), "gradient"),
        (torch.ones(2).to_sparse(), "to_dense"),
        (torch.ones(2, device="meta"), "cpu"),
        (torch.ones(2, dtype=torch.complex64), "torch.complex64"),
        (torch.ones((1,) * 9), "9 dimensions"),
        (torch.nn.Parameter(torch.ones(2)), "Parameter"),
        ([torch.ones(2)], "tolist"),
    ],
    ids=str,
)
def test_what_cannot_be_kept(value, problem):
    with pytest.raises(UnsupportedPayload, match=problem):
        nbmf.encode(value)


@pytest.mark.parametrize(
    "head",
    ["1d", "1e", "1f", "1f00", "1f03", "1f30", "1f50", "1f1d", "9f20", "90", "2002", "2f2102"],
)
def test_damaged_headers(head):
    with pytest.raises(CorruptBlob):
        from_canonical(Kind.ARRAY, bytes.fromhex(head))


def test_files_in_numpys_format(tmp_path):
    for name, payload in {"a": NUMPY["int16 > (2, 2)"], "t": TENSORS["uint8 (2, 2)"]}.items():
        (tmp_path / name).write_bytes(arrays.to_npy(arrays.to_bytes(payload)))
        read = np.load(tmp_path / name)
        assert helpers.same(read, payload if name == "a" else payload.numpy())
    with pytest.raises(UnsupportedPayload, match="bfloat16"):
        arrays.to_npy(arrays.to_bytes(NUMPY["bfloat16 < (4,)"]))


@pytest.mark.parametrize(
    ("array", "library"), [(TENSORS["float32 (4,)"], "torch"), (NUMPY["bfloat16 < (4,)"], "ml_dtypes")]
)
def test_where_its_library_is_missing_the_error_names_it(array, library, monkeypatch):
    blob = nbmf.encode(array)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingLibrary, match=f"pip install {library}"):
        nbmf.decode(blob)
    assert nbmf.inspect(blob).kind == "array"


def test_no_library_is_loaded_to_tell_what_a_value_is():
    """By a codec without a version, whose coders need no compiling either."""
    code = """
import sys, nbmf
nbmf.encode({"a": 1}, codec=nbmf.Codec())
sys.exit("torch" in sys.modules or "ml_dtypes" in sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
