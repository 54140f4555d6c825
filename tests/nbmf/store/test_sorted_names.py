"""Names in order, however many there are and however few are held at a time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbmf.store import sorted_names
from nbmf.store.sorted_names import sorted_names as names_of


@pytest.mark.parametrize(("held", "piece"), [(1, 1), (7, 3), (40, 7), (41, 2), (1000, 500)])
def test_names_in_order(tmp_path, monkeypatch, held, piece):
    monkeypatch.setattr(sorted_names, "_RUN_NAMES", held)
    monkeypatch.setattr(sorted_names, "_PIECE_NAMES", piece)
    names = {f"{n * 7919 % 1000:03}é\n{n % 3}.json" for n in range(40)} | {"\udcff.json"}
    for name in names | {"a.txt", "json", ".json"}:
        (tmp_path / name).touch()
    assert list(names_of(tmp_path, ".json")) == sorted(names)


@given(st.sets(st.text("abc\u00ff\uffff\U0001f600", min_size=1, max_size=5), max_size=30))
def test_in_the_order_of_sorted(tmp_path_factory, stems):
    folder = tmp_path_factory.mktemp("names")
    for stem in stems:
        (folder / f"{stem}.json").touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sorted_names, "_RUN_NAMES", 4)
        assert list(names_of(folder, ".json")) == sorted(f"{stem}.json" for stem in stems)


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        next(names_of(tmp_path / "no", ".json"))
