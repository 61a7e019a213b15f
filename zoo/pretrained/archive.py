"""Published models in .zip files."""

from __future__ import annotations

import functools
import os
import zipfile
import zlib
from pathlib import Path

from zoo.errors import UserError
from zoo.files import write_atomically
from zoo.pretrained.manifest import FILE, refuse_pickles
from zoo.pretrained.published import PublishedModel, hash_file

MAX_BYTES = 2**32  # of a file in an archive
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)  # encrypted: RuntimeError


def cache_folder() -> Path:
    """The folder for downloaded models: `ZOO_HOME`, by default `zoo` in Keras' folder (`KERAS_HOME`, by default ~/.keras)."""
    home = os.environ.get("ZOO_HOME")
    return Path(os.path.expanduser(home) if home else os.path.join(os.path.expanduser(os.environ.get("KERAS_HOME", "~/.keras")), "zoo"))


def open_archive(path: Path, display_path: str) -> PublishedModel:
    """The published model in a .zip file, whose files lie at its top level or in one folder.

    Raises:
        UserError: It cannot be read, or has no published model.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]
    except (OSError, *DAMAGED) as error:
        raise UserError(f"{display_path} cannot be read as a .zip file: {error}") from None
    refuse_pickles(names, display_path)
    top = min((name for name in names if name.rpartition("/")[2] == FILE), key=len, default=FILE).removesuffix(FILE)
    folder = cache_folder() / "archives" / hash_file(path)
    return PublishedModel(display_path, functools.partial(_extract, path, display_path, top, folder))


def _extract(path: Path, display_path: str, top: str, folder: Path, name: str) -> Path:
    """A file of the archive, extracted to the cache: anew, because what is there may be damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            try:
                member = archive.getinfo(top + name)
            except KeyError:
                raise FileNotFoundError(name) from None
            if member.file_size > MAX_BYTES:
                raise ValueError(f"{name} has {member.file_size:,} bytes")
            content = archive.read(member)
    except DAMAGED as error:
        raise UserError(f"{display_path} cannot be read as a .zip file: {error}") from None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / name, lambda temporary: temporary.write_bytes(content))
    except OSError as error:
        raise UserError(f"{folder} cannot be written to ({error.strerror or error}); set ZOO_HOME to another folder") from None
    return folder / name
