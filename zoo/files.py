"""Paths that users give, reading of regular files, downloads, and atomic writes: a file is there in full or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

from zoo.errors import UserError, printable, shorten

DOWNLOAD_TIMEOUT = 60  # seconds without an answer
MAX_PATH, MAX_NAME = 4095, 255  # bytes, on Linux and most other systems


def check_path(name: str, path: object) -> str | os.PathLike[str]:
    """A path that a user gave, once it is certain that the system can look it up.

    Args:
        name: Of the argument, for the error: `resume`, `--out`.
        path: What the user gave.

    Raises:
        UserError: For other types, an empty path, NUL characters, and names that no file system has.
    """
    text = os.fspath(path) if isinstance(path, (str, os.PathLike)) else None
    if not isinstance(text, str):
        raise UserError(f"{name}={shorten(path)}: expected a path")
    if not text:
        raise UserError(f"{name} is empty; give a value, or leave it out")
    if "\0" in text:
        raise UserError(f"{name} {shorten(text)}: a path has no NUL characters")
    encoded = os.fsencode(text)
    if len(encoded) > MAX_PATH or any(len(part) > MAX_NAME for part in encoded.split(b"/")):
        raise UserError(f"{name} {shorten(text)}: a path has at most {MAX_PATH:,} bytes, and each name in it {MAX_NAME}")
    return path  # type: ignore[return-value]


def read_file(path: Path) -> bytes:
    """The content of a regular file. Raises OSError if it cannot be read."""
    check_regular(path)
    return path.read_bytes()


def check_regular(path: Path) -> None:
    """Raises OSError if a path is not that of a regular file: reading a pipe would wait for a writer forever."""
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EPERM, "not a regular file", str(path))


def write_atomically(path: Path, save: Callable[[Path], object]) -> None:
    """Lets `save` write a temporary file next to `path`, then renames it to `path`.

    Args:
        path: The file to write; its folder must exist. An existing file is replaced.
        save: Called with the path of the temporary file.

    Raises:
        OSError: The file cannot be written. A file that was at `path` before is unchanged, and the temporary file is removed.
    """
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        save(temporary)
        os.replace(temporary, path)
    except BaseException:  # also if the user interrupts
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def write_text(path: Path, text: str) -> None:
    """Writes a UTF-8 text file atomically."""
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def download(address: str, path: Path) -> None:
    """Downloads a file to a path, with a progress bar on stderr.

    Raises:
        OSError: It cannot be downloaded or written.
    """
    import http.client
    import shutil
    import urllib.parse
    import urllib.request

    from tqdm import tqdm

    name = printable(os.path.basename(urllib.parse.urlsplit(address).path))
    try:
        with (
            urllib.request.urlopen(address, timeout=DOWNLOAD_TIMEOUT) as response,
            tqdm.wrapattr(response, "read", total=getattr(response, "length", None), desc=name, disable=None) as reader,
            path.open("wb") as file,
        ):
            shutil.copyfileobj(reader, file)
    except (ValueError, http.client.HTTPException) as error:  # an address or an answer that is not HTTP
        raise OSError(f"{type(error).__name__}: {error}") from None
