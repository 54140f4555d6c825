"""The cache of decoded records: what it gives is what was put there, within its bytes."""

from hypothesis import given
from hypothesis import strategies as st

from serve_app.routing.decoded_cache import _ENTRY_BYTES, DecodedCache


def test_those_not_used_for_longest_make_room():
    cache = DecodedCache(2 * (_ENTRY_BYTES + 10))
    for blob in (b"blob1", b"blob2"):
        cache.put(blob, (1, b"12345"))
    assert cache.held_bytes == 2 * (_ENTRY_BYTES + 10)
    assert cache.get(b"blob1") == (1, b"12345")
    cache.put(b"blob3", (1, b"12345"))
    assert cache.get(b"blob2") is None
    assert cache.get(b"blob1") == cache.get(b"blob3") == (1, b"12345")


def test_what_is_larger_than_the_cache_takes_nobodys_place():
    cache = DecodedCache(_ENTRY_BYTES + 10)
    cache.put(b"small", (1, b"12345"))
    cache.put(b"large", (1, b"123456"))
    assert cache.get(b"large") is None
    assert cache.get(b"small") == (1, b"12345")


BLOBS = st.binary(min_size=1, max_size=3)


@given(st.integers(_ENTRY_BYTES, 6 * _ENTRY_BYTES), st.lists(st.tuples(st.booleans(), BLOBS)))
def test_bytes_are_bounded_and_counted(max_bytes, steps):
    cache = DecodedCache(max_bytes)
    for put, blob in steps:
        record = (1, blob * 40)
        if put:
            cache.put(blob, record)
        else:
            assert cache.get(blob) in (None, record)
        held = sum(len(blob) + len(data) + _ENTRY_BYTES for blob, (_, data) in cache._records.items())
        assert cache.held_bytes == held <= max_bytes
