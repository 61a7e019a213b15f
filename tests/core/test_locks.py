"""Locks: one owner at a time, across threads and processes; a process that was killed leaves none."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from zoo import locks

HOLD = """
import pathlib, sys, time
from zoo import locks
with locks.hold_lock(pathlib.Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def other_process(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path / ".lock"], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "locked\n"
    yield process
    process.kill()
    process.wait()


def test_a_second_owner_is_refused_and_told_the_first(tmp_path, other_process):
    with pytest.raises(locks.LockedError, match=f"process {other_process.pid} on "), locks.hold_lock(tmp_path / ".lock"):
        pass


def test_a_killed_process_leaves_no_lock(tmp_path, other_process):
    os.kill(other_process.pid, signal.SIGKILL)
    other_process.wait()
    with locks.hold_lock(tmp_path / ".lock"):
        assert f"process {os.getpid()} on " in (tmp_path / ".lock").read_text()


def test_a_waiting_owner_gets_the_lock_when_it_is_free(tmp_path, other_process):
    waited = []

    def end(owner):
        waited.append(owner)
        threading.Timer(0.1, other_process.kill).start()

    with locks.hold_lock(tmp_path / ".lock", on_wait=end):
        assert len(waited) == 1 and str(other_process.pid) in waited[0]


def test_another_thread_is_another_owner_and_an_error_releases(tmp_path):
    with pytest.raises(RuntimeError), locks.hold_lock(tmp_path / ".lock"):
        with pytest.raises(locks.LockedError), locks.hold_lock(tmp_path / ".lock"):
            pass
        raise RuntimeError
    with locks.hold_lock(tmp_path / ".lock"):
        pass


def test_a_folder_that_cannot_be_written_to_needs_no_lock(tmp_path):
    with locks.hold_lock(tmp_path / "missing" / ".lock"):
        pass
