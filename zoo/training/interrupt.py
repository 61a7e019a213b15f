"""Signals that end training after the current step."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import keras

from zoo.training.local_workers import ENDING_SIGNALS


class Interrupt(keras.callbacks.Callback):
    """Ctrl-C, SIGTERM and SIGHUP end training after the current step, which is still evaluated and saved.

    Under `nohup`, which ignores SIGHUP, it stays ignored.
    Python allows signal handlers in the main thread only; in any other thread this callback does nothing.

    Args:
        agree: Given the signal that this process has received, or None, returns that of any of the processes that train together.

    Attributes:
        signal: The number of the signal that ends training, or None.
    """

    def __init__(self, agree: Callable[[int | None], int | None] = lambda number: number) -> None:
        super().__init__()
        self.agree = agree
        self.signal: int | None = None
        self._received: int | None = None
        self._handlers: dict[int, Any] = {}

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        if self._received is None and threading.current_thread() is threading.main_thread():
            for number in ENDING_SIGNALS:
                if number in (signal.SIGINT, signal.SIGTERM) or signal.getsignal(number) is not signal.SIG_IGN:
                    self._handlers.setdefault(number, signal.signal(number, self._receive))

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self._received = number
        if number == getattr(signal, "SIGHUP", None):
            _leave_terminal()
            signal.signal(number, signal.SIG_IGN)  # the shell and the kernel may both send it
        else:
            self.restore_handlers()  # a second signal ends the process at once

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._check()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self._check()

    def _check(self) -> None:
        self.signal = self.agree(self._received)
        if self.signal:
            self.model.stop_training = True

    def restore_handlers(self) -> None:
        """Restores the signal handlers that were installed before."""
        while self._handlers:
            signal.signal(*self._handlers.popitem())


@contextlib.contextmanager
def keeping_handlers() -> Iterator[None]:
    """Restores the handler of SIGTERM after the block, in which TensorFlow installs one that only notes the signal."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)


def _leave_terminal() -> None:
    """Sends what is printed to a terminal to the null device: after SIGHUP the terminal is gone, and printing would fail."""
    for descriptor in (1, 2):
        if stat.S_ISCHR(os.fstat(descriptor).st_mode):  # `isatty` is false by now
            os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
