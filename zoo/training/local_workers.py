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
        count: Number of workers.

    Attributes:
        processes: The processes, the chief first.
        signal: The last signal that was forwarded to them, or None.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.processes: list[subprocess.Popen[str]] = []
        self.signal: int | None = None
        self._readers: list[threading.Thread] = []
        self._printed: dict[str, int] = {}  # line on stderr -> worker
        self._lock = threading.Lock()

    def run(self, command: Sequence[str], fatal: int) -> list[int]:
        """Runs a command in all workers until they have ended; signals that end training go to all of them.

        Args:
            command: The words of the command.
            fatal: The status of an error that all workers have, or that none of the others can change: they are killed at once.

        Returns:
            Their exit statuses; negative: the number of the signal that killed a worker.
        """
        with self._forwarding_signals():
            try:
                self.start(command)
                statuses = self._wait(fatal)
            finally:
                for process in self.processes:
                    process.kill()
        for reader in self._readers:
            reader.join()
        ended = [process.wait() for process in self.processes]
        return [new if old is None else old for old, new in zip(statuses, ended, strict=True)]

    def start(self, command: Sequence[str]) -> None:
        """Starts the processes."""
        for index, environment in enumerate(environments(self.count)):
            process = subprocess.Popen(
                command,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="backslashreplace",
                start_new_session=True,  # Ctrl-C reaches this process alone, which forwards it once
            )
            self.processes.append(process)
            for pipe, output in ((process.stdout, sys.stdout), (process.stderr, sys.stderr)):
                reader = threading.Thread(target=self._print, args=(index, pipe, output), daemon=True)
                reader.start()
                self._readers.append(reader)
        if self.signal:  # it came before all had been started
            self._forward(self.signal)

    def _wait(self, fatal: int) -> list[int | None]:
        """Waits until all have ended, or should have; returns their statuses, None for those that have not."""
        while (statuses := self._statuses())[0] is None and not any(statuses):
            time.sleep(POLL_SECONDS)
        end = time.monotonic() + NOTICE_SECONDS
        while None in statuses and fatal not in statuses and time.monotonic() < end:
            time.sleep(POLL_SECONDS)
            statuses = self._statuses()
        return statuses

    def _statuses(self) -> list[int | None]:
        return [process.poll() for process in self.processes]

    def _print(self, index: int, pipe: IO[str] | None, output: Any) -> None:
        """Prints what a worker writes; an error or warning that another one has printed is left out."""
        assert pipe
        for line in pipe:
            with self._lock:
                is_repeated = output is sys.stderr and self._printed.setdefault(line, index) != index
                if not is_repeated and line.strip():
                    print(f"[{index}] {line.rstrip()}", file=output, flush=True)

    def _forward(self, number: int) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(number)

    @contextlib.contextmanager
    def _forwarding_signals(self) -> Iterator[None]:
        def forward(number: int, frame: FrameType | None) -> None:
            self.signal = number
            self._forward(number)

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
