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
from pathlib import Path
from types import FrameType
from typing import IO, Any

from zoo.errors import UserError

POLL_SECONDS = 0.1
NVIDIA_GPUS = Path("/proc/driver/nvidia/gpus")  # one folder for each, on Linux
NOTICE_SECONDS = 600  # within which the others notice that a worker is gone: at once, or after an evaluation
ENDING_AT_ONCE = (signal.SIGINT, signal.SIGTERM)  # the second one of these
ENDING_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]  # Windows has no SIGHUP


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
        self._is_output_closed = False

    def run(self, command: Sequence[str], fatal: int) -> list[int | None]:
        """Runs a command in all workers until they have ended; signals that end training go to all of them.

        Args:
            command: The words of the command.
            fatal: The exit status with which training cannot continue: the other workers are killed at once.

        Returns:
            Their exit statuses; negative: the number of the signal that killed a worker; None: it had to be killed here.

        Raises:
            BrokenPipeError: What they write can no longer be printed.
        """
        with self._forwarding_signals():
            try:
                self.start(command)
                statuses = self._wait(fatal)
            finally:
                for process in self.processes:
                    process.kill()
                    process.wait()
        for reader in self._readers:
            reader.join()
        if self._is_output_closed:
            raise BrokenPipeError
        return statuses

    def start(self, command: Sequence[str]) -> None:
        """Starts the processes."""
        for index, environment in enumerate(build_environments(self.count)):
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
        statuses = self._statuses()
        while statuses[0] is None and not any(statuses):
            time.sleep(POLL_SECONDS)
            statuses = self._statuses()
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
        for line in pipe:  # to the end: a worker whose pipe is full would wait
            with self._lock:
                is_repeated = output is sys.stderr and self._printed.setdefault(line, index) != index
                if is_repeated or not line.strip() or self._is_output_closed:
                    continue
                try:
                    print(f"[{index}] {line.rstrip()}", file=output, flush=True)
                except OSError:  # the reader of a pipe is gone, or the terminal
                    self._is_output_closed = True
                    self._forward(signal.SIGTERM)

    def _forward(self, number: int) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(number)

    @contextlib.contextmanager
    def _forwarding_signals(self) -> Iterator[None]:
        def forward(number: int, frame: FrameType | None) -> None:
            is_second = number in ENDING_AT_ONCE and self.signal in ENDING_AT_ONCE
            self.signal = number
            self._forward(signal.SIGKILL if is_second else number)

        handlers = {number: signal.signal(number, forward) for number in ENDING_SIGNALS if signal.getsignal(number) is not signal.SIG_IGN}
        try:
            yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)


def build_environments(count: int) -> list[dict[str, str]]:
    """Environment variables of each worker: its cluster, and its share of the CPU and of the GPUs.

    Args:
        count: Number of workers.

    Raises:
        UserError: There are GPUs, but fewer than workers.
    """
    addresses = [f"localhost:{port}" for port in _free_ports(count)]
    threads = str(max(1, (os.cpu_count() or 1) // count))
    defaults = {"TF_NUM_INTRAOP_THREADS": threads, "TF_NUM_INTEROP_THREADS": threads, "TF_CPP_MIN_LOG_LEVEL": "3"}
    shared = {name: value for name, value in defaults.items() if name not in os.environ}
    gpus = _list_gpus()
    if gpus and len(gpus) < count:
        raise UserError(f"{count} workers cannot share {len(gpus)} GPUs; start at most {len(gpus)}, or use train --strategy mirrored")
    each = len(gpus) // count
    environments = []
    for index in range(count):
        config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        environment = {**shared, "TF_CONFIG": json.dumps(config)}
        if gpus:
            environment["CUDA_VISIBLE_DEVICES"] = ",".join(gpus[index * each : (index + 1) * each])
        environments.append(environment)
    return environments


def _list_gpus() -> list[str]:
    """Numbers or names of the GPUs of NVIDIA that this process may use."""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        return [gpu for gpu in os.environ["CUDA_VISIBLE_DEVICES"].split(",") if gpu.strip() not in ("", "-1")]
    return [str(i) for i, _ in enumerate(NVIDIA_GPUS.iterdir())] if NVIDIA_GPUS.is_dir() else []


def _free_ports(count: int) -> list[int]:
    """Ports of this machine that no process listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("localhost", 0))
        return [one.getsockname()[1] for one in sockets]
