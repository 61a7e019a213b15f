"""Published models in .zip files."""

from __future__ import annotations

import functools
import zipfile
import zlib
from pathlib import Path

from zoo.errors import UserError
from zoo.pretrained.manifest import FILE, refuse_pickles
from zoo.pretrained.published import PublishedModel

DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)  # encrypted: RuntimeError
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # of compression


def open_archive(path: Path, display_path: str) -> PublishedModel:
    """The published model in a .zip file, whose files lie at its top level or in one folder. Nothing is extracted.

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
    return PublishedModel(display_path, functools.partial(_read_member, path, display_path, top))


def _read_member(path: Path, display_path: str, top: str, name: str, size: int) -> bytes:
    """The first bytes of a file in the archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            try:
                member = archive.getinfo(top + name)
            except KeyError:
                raise FileNotFoundError(name) from None
            if member.compress_type not in METHODS:
                raise ValueError(f"{name} is compressed by another method than deflate")
            with archive.open(member) as file:
                return file.read(size)
    except DAMAGED as error:
        raise UserError(f"{display_path} cannot be read as a .zip file: {error}") from None
