"""The files of a folder, or of a zip archive that is read without unpacking it."""

from __future__ import annotations

import collections
import dataclasses
import functools
import io
import os
import re
import stat
import threading
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, NamedTuple

from zoo.errors import UserError, printable

# Made by operating systems, servers and editors; hidden files and folders are skipped as well.
JUNK = {"__MACOSX", "@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information", "Thumbs.db", "desktop.ini"}
ARCHIVES = (".zip",)
MAX_MEMBER_BYTES = 2**28  # of one file of an archive, unpacked
NUMBERS = re.compile(r"(\d+)")
ENCRYPTED = 0x1  # flag of a file of an archive


class Stamp(NamedTuple):
    """What changes when a file is written: size, time and inode; in an archive its size and checksum."""

    size: int
    time: int
    inode: int


@dataclasses.dataclass
class FileTree:
    """Files by their names relative to a folder or an archive, with `/` between folders.

    Attributes:
        path: The folder or archive.
        stamps: Name -> stamp of all files when they were listed, without junk.
        folders: Names of all folders below it, in natural order, without junk.
        skipped: Numbers of what cannot be opened, for the warning: broken symbolic links, and devices or pipes.
    """

    path: Path
    stamps: dict[str, Stamp]
    folders: list[str]
    skipped: dict[str, int] = dataclasses.field(default_factory=dict)
    _archive: zipfile.ZipFile | None = None
    _members: dict[str, zipfile.ZipInfo] = dataclasses.field(default_factory=dict)
    _lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)

    @functools.cached_property
    def names(self) -> list[str]:
        """Of all files, in natural order."""
        return _order(self.stamps)

    @classmethod
    def open(cls, path: Path) -> FileTree:
        """Lists a folder or a zip archive.

        Raises:
            UserError: It does not exist, cannot be read, or is not an archive.
        """
        if path.is_dir():
            return _list_folder(path)
        if path.is_file() and path.suffix.lower() in ARCHIVES:
            return _list_archive(path)
        problem = "is a file, not a folder" if path.exists() else "does not exist"
        raise UserError(f"the folder {path} {problem}; give a folder of pictures, or a zip archive of one: --data folder:PATH")

    def open_file(self, name: str) -> BinaryIO:
        """Opens a file for reading.

        Raises:
            OSError: It cannot be read.
        """
        if self._archive is None:
            return open(self.path / name, "rb")
        member = self._members[name]
        if member.file_size > MAX_MEMBER_BYTES:
            raise OSError(f"{member.file_size:,} bytes in the archive; at most {MAX_MEMBER_BYTES:,}")
        try:
            with self._lock:
                return io.BytesIO(self._archive.read(member))
        except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, ValueError) as error:
            raise OSError(f"damaged in the archive: {error}") from None

    def has_changed(self, name: str) -> bool:
        """Whether a file has been written since it was listed. Raises OSError if it is gone."""
        return self._archive is None and _make_stamp(os.stat(self.path / name)) != self.stamps[name]


def _make_stamp(status: os.stat_result) -> Stamp:
    return Stamp(status.st_size, status.st_mtime_ns, status.st_ino)


def natural_order(name: str) -> list[tuple[int, int, str]]:
    """Sort key that compares numbers by value: 2 before 10."""
    return [(0, int(part), part) if part.isdecimal() else (1, 0, part) for part in NUMBERS.split(name) if part]


def _order(names: Iterable[str]) -> list[str]:
    """Names in natural order, folder by folder."""
    folder_order = functools.cache(lambda folder: [natural_order(part) for part in folder.split("/")] if folder else [])

    def order(name: str) -> list[list[tuple[int, int, str]]]:
        folder, _, file = name.rpartition("/")
        return [*folder_order(folder), natural_order(file)]

    return sorted(names, key=order)


def is_junk(name: str) -> bool:
    """Whether a file or folder of this name (of the last part alone) is hidden or made by a system."""
    return name.startswith(".") or name in JUNK


def _list_folder(path: Path) -> FileTree:
    stamps: dict[str, Stamp] = {}
    folders: list[str] = []
    counts = collections.Counter[str]()
    below = [""]  # folders to list, relative to the root, with / at the end
    while below:
        prefix = below.pop()
        top = os.path.join(path, prefix)
        if _is_loop(top.rstrip("/"), str(path)):
            continue
        try:
            entries = [entry for entry in os.scandir(top) if not is_junk(entry.name)]
        except OSError as error:
            raise UserError(f"{printable(top)} cannot be read: {(error.strerror or str(error)).lower()}") from None
        for entry in entries:
            try:
                status = entry.stat()
            except OSError:
                counts["behind a broken symbolic link" if entry.is_symlink() else "that cannot be opened"] += 1
                continue
            if stat.S_ISREG(status.st_mode):
                stamps[prefix + entry.name] = _make_stamp(status)
            elif stat.S_ISDIR(status.st_mode):
                folders.append(prefix + entry.name)
                below.append(f"{prefix}{entry.name}/")
            else:
                counts["that are not regular files, such as pipes"] += 1
    return FileTree(path, stamps, _order(folders), dict(counts))


def _is_loop(folder: str, root: str) -> bool:
    """Whether a folder is a link to one that it lies in."""
    target = os.path.realpath(folder)
    while folder != root:
        folder = os.path.dirname(folder)
        if os.path.realpath(folder) == target:
            return True
    return False


def _list_archive(path: Path) -> FileTree:
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise UserError(f"{printable(path)} cannot be read as a zip archive: {error}") from None
    for info in archive.infolist():
        info.filename = info.filename.replace("\\", "/")  # as some programs for Windows write
    members = {
        info.filename: info
        for info in archive.infolist()
        if not info.is_dir() and not any(is_junk(part) for part in info.filename.split("/"))
    }
    if any(info.flag_bits & ENCRYPTED for info in members.values()):
        raise UserError(f"{printable(path)} is encrypted; unpack it first")
    prefix = _common_folder(list(members))
    members = {name.removeprefix(prefix): info for name, info in members.items()}
    empty = {info.filename.rstrip("/") for info in archive.infolist() if info.is_dir() and info.filename.startswith(prefix)}
    folders = {name.removeprefix(prefix) for name in empty} | {parent for name in members for parent in _parents(name)}
    folders = {name for name in folders if name and not any(is_junk(part) for part in name.split("/"))}
    stamps = {name: Stamp(members[name].file_size, members[name].CRC, 0) for name in members}
    return FileTree(path, stamps, _order(folders), {}, archive, members)


def _common_folder(names: list[str]) -> str:
    """The folders that all files of an archive lie in: `images/` if it was made of the folder `images`."""
    prefix = ""
    while names and all("/" in name.removeprefix(prefix) for name in names):
        first = {name.removeprefix(prefix).split("/")[0] for name in names}
        if len(first) > 1:
            break
        prefix += f"{first.pop()}/"
    return prefix


def _parents(name: str) -> list[str]:
    parts = name.split("/")[:-1]
    return ["/".join(parts[: i + 1]) for i in range(len(parts))]
