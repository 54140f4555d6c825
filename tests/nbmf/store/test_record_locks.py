"""Locks of records: between threads and between processes."""

import subprocess
import sys
import threading
import time

from nbmf.store.record_locks import locks_folder, record_lock

HOLDS = """
import sys
from pathlib import Path
from nbmf.store.record_locks import record_lock
with record_lock(Path(sys.argv[1]), "k__note.json"):
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_another_process_waits(tmp_path):
    locks_folder(tmp_path).mkdir(parents=True)
    command = [sys.executable, "-c", HOLDS, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        taken = threading.Event()
        thread = threading.Thread(target=take, args=(tmp_path, taken))
        thread.start()
        assert not taken.wait(0.3)
        process.communicate("\n")
        thread.join()
    assert taken.is_set()


def test_another_thread_waits(tmp_path):
    taken = threading.Event()
    with record_lock(tmp_path, "k__note.json"):
        thread = threading.Thread(target=take, args=(tmp_path, taken))
        thread.start()
        assert not taken.wait(0.2)
    thread.join()
    assert taken.is_set()


def take(root, taken):
    with record_lock(root, "k__note.json"):
        taken.set()


def test_others_need_not_wait(tmp_path):
    locks_folder(tmp_path).mkdir(parents=True)
    started = time.monotonic()
    with record_lock(tmp_path, "k__note.json"), record_lock(tmp_path, "other__note.json"):
        pass
    assert time.monotonic() - started < 5
