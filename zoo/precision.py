"""Keras' dtype policy for a block of code."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def dtype_policy(name: str | None = None) -> Iterator[None]:
    """Layers that are built inside the block compute in a dtype policy; the one before is restored afterwards.

    Args:
        name: Of a Keras dtype policy, such as `float32`; None: the current one, which the block may change.
    """
    import keras

    before = keras.config.dtype_policy()
    if name is not None:
        keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
