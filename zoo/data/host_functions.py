"""Python functions within a `tf.data` pipeline, where TensorFlow has no operation."""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

QUIET_SECONDS, LONGEST_SECONDS = 0.1, 10.0  # without a call until the program may end; after which it ends in any case
_ending = threading.Event()
_lock = threading.Lock()
_calls = {"begun": 0, "ended": 0}


def call(function: Callable[..., Any], inputs: Sequence[tf.Tensor], dtypes: Any) -> Any:
    """Calls a Python function of arrays in a pipeline.

    A pipeline reads ahead in threads of its own. One that waits for Python after the interpreter has begun to end waits forever, and an
    iterator that a program still holds waits for it; so functions fail once the interpreter is shutting down, which waits until none is
    called.

    Args:
        function: Has no effects; may be called by several threads.
        inputs: Its arguments.
        dtypes: Those of what it returns.
    """

    def guarded(*values: Any) -> Any:
        with _lock:
            _calls["begun"] += 1
        try:
            if _ending.is_set():
                raise RuntimeError("the interpreter is shutting down")
            return function(*values)
        finally:
            with _lock:
                _calls["ended"] += 1

    return tf.numpy_function(guarded, inputs, dtypes, stateful=False)


@atexit.register
def _finish() -> None:
    _ending.set()
    end, last = time.monotonic() + LONGEST_SECONDS, -1 if _calls["begun"] else 0
    while (last != _calls["begun"] or _calls["ended"] < last) and time.monotonic() < end:
        last = _calls["begun"]
        time.sleep(QUIET_SECONDS)
