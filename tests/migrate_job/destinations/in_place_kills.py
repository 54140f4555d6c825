"""A migration in place, its commit and its rollback, each killed at every step that touches a file, and gone on with.

Run by test_in_place_killed.py, in a process of its own: `in_place_kills.py FOLDER SCENARIO FIRST STRIDE`,
from step FIRST on every STRIDE steps. Prints the number of kills.
"""

import contextlib
import os
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "support"))

from here import migrate_here
from killed import run_killed
from old_stores import KEY, write_old_store

from migrate_job.destinations import InPlace, in_place_end, in_place_source
from migrate_job.destinations.in_place_files import StoreFolders
from migrate_job.destinations.in_place_source import InPlaceRecords
from nbmf import store
from nbmf.payload import to_canonical

in_place_source._SHARD_FILES = 6
os.fsync = lambda _: None  # a process that is killed loses nothing that it has written


def migrate(root):
    migrate_here(InPlaceRecords(root, KEY), StoreFolders(root).run, InPlace(root, KEY))


def records(root):
    return {path.name: path.read_bytes() for path in (root / "records").iterdir()}


def check_readable(root, good):
    with store.open(root, key=KEY) as opened:
        for name, expected in good.items():
            assert to_canonical(opened.get(*name).payload()) == expected, name


def every_kill(folder, start, work, check, first, stride):
    """`work` on copies of `start`, killed at its steps in turn; `check` sees what is left, then what came of it."""
    kill_at, kills = first, 0
    while True:
        root = folder / "killed" / "store"
        shutil.rmtree(root.parent, ignore_errors=True)
        shutil.copytree(start, root)
        finished = run_killed(lambda root=root: work(root), kill_at)
        check(root, None if finished else "killed")
        if finished:
            return kills
        check(root, "resumed")
        kill_at, kills = kill_at + stride, kills + 1


def main(folder, scenario, first, stride):
    start = folder / "start" / "store"
    written, _ = write_old_store(start, plain=3)
    good = {name: to_canonical(payload) for name, payload in written.items()}
    before = records(start)
    if scenario != "migrate":
        run_killed(lambda: migrate(start))
        assert records(start) != before
    unbroken = folder / "unbroken" / "store"
    shutil.copytree(start, unbroken)
    work = {"migrate": migrate, "commit": in_place_end.commit, "rollback": in_place_end.rollback}[scenario]
    run_killed(lambda: work(unbroken))
    expected = records(unbroken)

    def check(root, state):
        check_readable(root, good)
        if state == "killed" and scenario == "migrate":
            # From wherever it was killed there is also a way back.
            back = folder / "back" / "store"
            shutil.rmtree(back.parent, ignore_errors=True)
            shutil.copytree(root, back)
            if (back / ".nbmf" / "run" / "_plan.json").exists():
                run_killed(lambda: in_place_end.rollback(back))
            assert records(back) == before
        elif state == "resumed":
            if scenario == "migrate" or any((root / ".nbmf" / name).exists() for name in
                                            ("run", "committing", "rolling-back")):  # fmt: skip
                assert run_killed(lambda: work(root))
            elif (root / ".nbmf" / "ended").exists():
                with contextlib.suppress(RuntimeError):  # no migration is left, and now nothing of it
                    run_killed(lambda: work(root))
            check_readable(root, good)
            assert records(root) == expected
            left = {path.name for path in (root / ".nbmf").iterdir()}
            assert left == ({"run"} if scenario == "migrate" else {"history"}), left

    print(every_kill(folder, start, work, check, first, stride))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
