"""A reader that knows both forms reads a store over and over, while it is migrated, rolled back and committed.

Run by test_in_place_killed.py, in a process of its own: `in_place_reader.py FOLDER`. Prints how often all was read.
"""

import os
import random
import sys
import time
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

in_place_source._SHARD_FILES = 9
os.fsync = lambda _: None


def migrate(root):
    migrate_here(InPlaceRecords(root, KEY), StoreFolders(root).run, InPlace(root, KEY))


def in_background(work):
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return pid


def writer(root, rng):
    """Until it is killed: three rounds of a migration and its end, each now and then killed and gone on with."""
    for end in (in_place_end.rollback, in_place_end.rollback, in_place_end.commit):
        for work in (migrate, end):
            for _ in range(2):
                run_killed(lambda work=work: work(root), rng.randrange(10, 400)) if work is migrate else None
            run_killed(lambda work=work: work(root))


def main(root):
    good, _ = write_old_store(root, plain=30)
    expected = {name: to_canonical(payload) for name, payload in good.items()}
    pid = in_background(lambda: writer(root, random.Random(7)))
    reads, forms = 0, set()
    ended = None
    while ended is None:
        with store.open(root, key=KEY) as opened:
            for name, payload in expected.items():
                record = opened.get(*name)  # never missing, never torn
                assert to_canonical(record.payload()) == payload, name
                if name == ("plain17", "note"):
                    forms.add(bool(record.blob))
        reads += 1
        found, status = os.waitpid(pid, os.WNOHANG)
        ended = status if found else None
        time.sleep(0.001)
    assert ended == 0, ended
    assert forms == {True, False}, "both forms were seen"
    with store.open(root, key=KEY) as opened:
        assert opened.get("plain17").blob
    print(reads)


if __name__ == "__main__":
    main(Path(sys.argv[1]) / "store")
