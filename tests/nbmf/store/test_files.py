"""Files that are written whole: never two writers in one scratch file, and nothing left of one that failed."""

import pytest

from nbmf.store.files import write_whole


def test_two_that_write_the_same_file_at_once(tmp_path):
    """As a shard's worker that was given up, and its successor on another machine, whose process number is the same."""
    path = tmp_path / "part"

    def slow(scratch):
        scratch.write_bytes(b"slow, ")
        write_whole(path, lambda other: other.write_bytes(b"quick"))
        assert path.read_bytes() == b"quick"
        with scratch.open("ab") as file:
            file.write(b"but whole")

    write_whole(path, slow)
    assert path.read_bytes() == b"slow, but whole"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError("no space left"), KeyboardInterrupt()])
def test_nothing_is_left_of_a_file_that_was_not_written(tmp_path, error):
    (tmp_path / "part").write_bytes(b"before")

    def fail(scratch):
        scratch.write_bytes(b"half")
        raise error

    with pytest.raises(type(error)):
        write_whole(tmp_path / "part", fail)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("part", b"before")]
