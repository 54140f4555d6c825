"""Moving a migration's parts into a SQLite file, killed at steps that touch a file or run SQL, and gone on with.

Run by test_sqlite.py, in a process of its own: `sqlite_kills.py FOLDER STRIDE`. Prints the number of kills.
"""

import os
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "support"))

from here import plan_here
from killed import run_killed
from parts import row

from cluster.sources import open_source
from migrate_job.destinations import SqliteFile
from migrate_job.destinations.sqlite import run_folder
from nbmf import store
from nbmf.store.folder import LocalFolder

os.fsync = lambda _: None
SHARDS = 4


def start(folder):
    """A run of which all shards are written and none is moved."""
    (folder / "a.jsonl").write_text("1\n")
    target = SqliteFile(folder / "new.sqlite")
    run = run_folder(target.file)
    plan_here(open_source(folder / "a.jsonl"), run, target).claim()
    for index in range(SHARDS):
        target.write(LocalFolder(run), index, [row(f"k{n}", [index, n]) for n in range(30)])


def finish(folder):
    SqliteFile(folder / "new.sqlite").finish(LocalFolder(run_folder(folder / "new.sqlite")), SHARDS)


def main(folder, stride):
    begun = folder / "begun"
    begun.mkdir()
    start(begun)
    unbroken = folder / "unbroken"
    shutil.copytree(begun, unbroken)
    run_killed(lambda: finish(unbroken))
    expected = (unbroken / "new.sqlite").read_bytes()
    kill_at, kills = 1, 0
    while True:
        root = folder / "killed"
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(begun, root)
        finished = run_killed(lambda root=root: finish(root), kill_at)
        if (root / "new.sqlite").exists():  # whole, or not there
            assert (root / "new.sqlite").read_bytes() == expected
        if finished:
            break
        run_killed(lambda root=root: finish(root), kill_at // 2)  # and killed again
        run_killed(lambda root=root: finish(root))
        assert (root / "new.sqlite").read_bytes() == expected
        assert sorted(path.name for path in run_folder(root / "new.sqlite").iterdir()) == [
            "_dead",
            "_done",
            "_plan.json",
        ]
        kill_at, kills = kill_at + stride, kills + 1
    with store.open(unbroken / "new.sqlite") as opened:
        found = [(record.key, record.payload()) for record in opened]
    assert found == [(f"k{n}", [index, n]) for index in range(SHARDS) for n in sorted(range(30), key=str)]
    print(kills)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
