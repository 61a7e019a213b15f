"""Locks between processes: a file that one process holds, and that the operating system releases when the process ends, however it ends."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from zoo.errors import UserError, printable

try:
    import fcntl
except ImportError:  # Windows: no locks
    fcntl = None  # type: ignore[assignment]


class LockedError(Exception):
    """Another process holds the lock; the text names the process and its host, as far as they are known."""


@contextlib.contextmanager
def hold_lock(path: Path, on_wait: Callable[[str], object] | None = None) -> Iterator[None]:
    """Holds the lock of a file while the block runs. The file holds the owner's host and process, and stays when the lock is released.

    The lock is advisory, between processes of one machine; on network file systems it also holds between machines where the server
    supports `flock`. Where a file system has no locks or cannot be written to, the block runs without one.

    Args:
        path: The file; the folders above it must exist.
        on_wait: Called once with the owner if another process holds the lock; the block runs when the lock is free. None: do not wait.

    Raises:
        LockedError: Another process, or another thread of this one, holds the lock, and `on_wait` is None.
        UserError: Something else is in the place of the file: nobody could lock it.
    """
    if os.path.lexists(path) and not path.is_file():
        raise UserError(f"{printable(path)} is not a regular file, so it cannot be locked; remove it")
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666) if fcntl else None
    except OSError:  # a read-only disk
        descriptor = None
    if descriptor is None:
        yield
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(descriptor, 200, 0).decode("utf-8", "replace").strip() or "another process"
            if on_wait is None:
                raise LockedError(owner) from None
            on_wait(owner)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError:  # a file system without locks
            pass
        with contextlib.suppress(OSError):  # a full disk: the lock holds without the note
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)  # releases the lock


@contextlib.contextmanager
def lock_cache(path: Path, action: str) -> Iterator[None]:
    """Holds the lock of a cache, so that one process fills it; another one waits, after a line that says for whom.

    Args:
        path: The file of the lock; the folders above it are created if possible, and removed if nothing was written there.
        action: What the owner does, such as `prepares digits`.
    """
    missing = [folder for folder in path.parents if not folder.exists()]
    with contextlib.suppress(OSError):  # whoever writes there reports it
        path.parent.mkdir(parents=True, exist_ok=True)
    with hold_lock(path, lambda owner: print(f"waiting for {owner}, which {action}", file=sys.stderr, flush=True)):
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                if missing and list(path.parent.iterdir()) == [path]:
                    path.unlink()
                    for folder in missing:
                        folder.rmdir()
