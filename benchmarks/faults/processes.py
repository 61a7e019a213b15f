"""Commands in processes that are forked from one that has imported everything, so that hundreds of them are affordable."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import multiprocessing
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

PRELOADED = ["tensorflow", "keras", "tensorflow_datasets", "zoo.cli.session", "zoo.training.loop", "zoo.metrics", "zoo.serving"]
JOBS = 2  # processes at once
SECONDS = 300  # after which a process counts as hanging
SOURCE = Path(__file__).with_name("inject.c")
TRACEBACKS = ("Traceback (most recent call last)", "Fatal Python error", "terminate called", "Segmentation fault")
FULL_DISK = errno.ENOSPC
OBSERVER = ctypes.CFUNCTYPE(None, ctypes.c_long)


class Fault(NamedTuple):
    """A fault that a process runs into.

    Attributes:
        call: Number of the call, from 1, that changes a file of the run; it fails, and so do all later ones. 0: none.
        error: Their `errno`.
        snapshots: Folder for a copy of the run before each call; see `copy_run`. None: no copies.
    """

    call: int = 0
    error: int = 0
    snapshots: str | None = None


NO_FAULT = Fault()


class Result(NamedTuple):
    """What a process did.

    Attributes:
        status: Its exit status; minus the signal that ended it. None: it did not end.
        output: What it printed.
        calls: The calls that changed a file of the run, up to the fault: `rename checkpoints/checkpoint`.
        seconds: How long it ran.
    """

    status: int | None
    output: str
    calls: list[str]
    seconds: float

    def find_fault(self, statuses: Sequence[int]) -> str | None:
        """What is wrong with the way in which the process ended, or None."""
        if self.status is None:
            return "does not end"
        if any(text in self.output for text in TRACEBACKS):
            return "traceback"
        return None if self.status in statuses else f"exit status {self.status}"


def compile_injector(folder: Path) -> Path | None:
    """The compiled `inject.c`; None without a C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    library = folder / "inject.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(SOURCE), "-ldl"], check=True)
    return library


def start_server(library: Path | None) -> multiprocessing.context.ForkServerContext:
    """The server that forks the processes; see `run`."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if library:
        os.environ["LD_PRELOAD"] = str(library)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


def _enter(log: str, function: Callable[..., int], arguments: tuple[Any, ...], folder: str, fault: Fault) -> None:
    """The forked process: its output goes to a file, the fault is armed, and it ends with the status of the function."""
    output = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    if library := os.environ.get("LD_PRELOAD"):
        calls = os.open(f"{log}.calls", os.O_CREAT | os.O_WRONLY)
        copies = set[str]()
        observe = OBSERVER(lambda number: copy_run(folder, fault.snapshots, number, copies)) if fault.snapshots else OBSERVER()
        ctypes.CDLL(library).inject_fault(os.fsencode(folder), ctypes.c_long(fault.call), fault.error, calls, observe)
    raise SystemExit(function(*arguments))


def copy_run(folder: str, snapshots: str | None, number: int, copies: set[str]) -> None:
    """Copies a run as a process that is killed at this call leaves it, unless it was left like that before.

    How much of the files of TensorBoard is written makes no difference: a process that resumes the run only writes others.

    Args:
        folder: The run.
        snapshots: Folder of the copies, which are named by their number.
        number: Number of the call.
        copies: Digests of the copies so far; the new one is added.
    """
    state = hashlib.sha256()
    for path in sorted(Path(folder).rglob("*")):
        content = path.read_bytes() if path.is_file() and "events" not in path.name else b""
        state.update(f"{path}{len(content)}".encode() + content)
    if state.hexdigest() not in copies:
        copies.add(state.hexdigest())
        shutil.copytree(folder, Path(str(snapshots), str(number))) if os.path.isdir(folder) else Path(str(snapshots), str(number)).mkdir()


def run(
    context: multiprocessing.context.ForkServerContext,
    function: Callable[..., int],
    *arguments: Any,
    folder: Path,
    fault: Fault = NO_FAULT,
    kill_after: float | None = None,
    number: int = signal.SIGKILL,
) -> Result:
    """Runs a function in a forked process.

    Args:
        context: From `start_server`.
        function: Returns the exit status. It is imported by the process, as are its arguments.
        *arguments: Its arguments.
        folder: The run; faults are injected into calls that change files below it.
        fault: The fault.
        kill_after: Seconds after which the process gets a signal; None: never.
        number: The signal.
    """
    with tempfile.TemporaryDirectory() as logs:
        log = os.path.join(logs, "output")
        process = context.Process(target=_enter, args=(log, function, arguments, str(folder), fault))
        start = time.monotonic()
        process.start()
        if kill_after is not None:
            process.join(kill_after)
            with contextlib.suppress(ProcessLookupError):
                if process.exitcode is None and process.pid:
                    os.kill(process.pid, number)
        process.join(SECONDS)
        seconds, status = time.monotonic() - start, process.exitcode
        if status is None:
            process.kill()
            process.join()
        texts = [Path(path).read_text(encoding="utf-8", errors="replace") if os.path.exists(path) else "" for path in (log, f"{log}.calls")]
        return Result(status, texts[0], texts[1].splitlines(), seconds)


def run_all(function: Callable[[Any], Any], cases: Sequence[Any], title: str) -> Iterator[Any]:
    """Yields what the function returns for each case, several at once, and shows the progress."""
    start = time.monotonic()
    with ThreadPoolExecutor(JOBS) as pool:
        for i, result in enumerate(pool.map(function, cases), 1):
            print(f"\r{title}: {i}/{len(cases)}, {time.monotonic() - start:.0f} s", end="" if i < len(cases) else "\n", flush=True)
            yield result
