"""Several workers on this machine: their processes, addresses, output and signals. Imports nothing heavy."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import IO, Any

POLL_SECONDS = 0.1
NOTICE_SECONDS = 60  # within which the others notice that a worker is gone, and end by themselves
FORWARDED = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class LocalWorkers:
    """Processes that train together. Their output is printed with the number of the worker in front of each line.

    Args:
        command: The words of the command that each of them runs.
        count: Number of workers.

    Attributes:
        processes: The processes, the chief first.
        signal: The last signal that was forwarded to them, or None.
    """

    def __init__(self, command: Sequence[str], count: int) -> None:
        self.signal: int | None = None
        self._printed: dict[str, int] = {}  # line on stderr -> worker
        self._lock = threading.Lock()
        self.processes: list[subprocess.Popen[str]] = []
        self._readers: list[threading.Thread] = []
        for index, environment in enumerate(environments(count)):
            process = subprocess.Popen(
                command,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="backslashreplace",
                start_new_session=True,  # Ctrl-C reaches this process alone, which forwards it once
            )
            self.processes.append(process)
            for pipe, output in ((process.stdout, sys.stdout), (process.stderr, sys.stderr)):
                reader = threading.Thread(target=self._print, args=(index, pipe, output), daemon=True)
                reader.start()
                self._readers.append(reader)

    def wait(self, fatal: int) -> list[int]:
        """Waits until all have ended, and returns their statuses; negative: the number of the signal that killed a worker.

        Args:
            fatal: The status of an error that all workers have, or that none of the others can change: they are killed at once.
        """
        try:
            while None in (statuses := [process.poll() for process in self.processes]) and not any(statuses):
                time.sleep(POLL_SECONDS)
            if fatal not in statuses:
                self._wait_for_all(NOTICE_SECONDS)
        finally:
            self._kill()
        ended = [process.wait() for process in self.processes]
        for reader in self._readers:
            reader.join()
        return [new if old is None else old for old, new in zip(statuses, ended, strict=True)] if fatal in statuses else ended

    def _wait_for_all(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while any(process.poll() is None for process in self.processes) and time.monotonic() < end:
            time.sleep(POLL_SECONDS)

    def _kill(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()

    def _print(self, index: int, pipe: IO[str] | None, output: Any) -> None:
        """Prints what a worker writes; an error or warning that another one has printed is left out."""
        assert pipe
        for line in pipe:
            with self._lock:
                is_repeated = output is sys.stderr and self._printed.setdefault(line, index) != index
                if not is_repeated and line.strip():
                    print(f"[{index}] {line.rstrip()}", file=output, flush=True)

    @contextlib.contextmanager
    def forwarding_signals(self) -> Iterator[None]:
        """While the block runs, signals that end training go to the workers, which end it together."""

        def forward(number: int, frame: FrameType | None) -> None:
            self.signal = number
            for process in self.processes:
                if process.poll() is None:
                    process.send_signal(number)

        handlers = {number: signal.signal(number, forward) for number in FORWARDED if signal.getsignal(number) is not signal.SIG_IGN}
        try:
            yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)


def environments(count: int) -> list[dict[str, str]]:
    """Environment variables of each worker: its cluster, and its share of the CPU."""
    addresses = [f"localhost:{port}" for port in _free_ports(count)]
    threads = str(max(1, (os.cpu_count() or 1) // count))
    defaults = {"TF_NUM_INTRAOP_THREADS": threads, "TF_NUM_INTEROP_THREADS": threads, "TF_CPP_MIN_LOG_LEVEL": "3"}
    shared = {name: value for name, value in defaults.items() if name not in os.environ}
    return [
        {**shared, "TF_CONFIG": json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}})}
        for index in range(count)
    ]


def _free_ports(count: int) -> list[int]:
    """Ports of this machine that no process listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("localhost", 0))
        return [one.getsockname()[1] for one in sockets]
