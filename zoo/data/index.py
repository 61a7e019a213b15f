"""What is in image files, without keeping their pixels: content digest, size and mode of each, remembered between starts."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import hashlib
import itertools
import json
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import PIL

from zoo.data.files import FileTree, Stamp
from zoo.data.image_files import DECODE_ERRORS, SUFFIXES, Header, read_header, reason, refuse_invalid
from zoo.data.stored import INDICES
from zoo.files import write_text

BATCH = 512  # files that one task reads
SCHEMA = f"3, Pillow {PIL.__version__}"
FRAME = "\0"  # between the name of a file and the number of a frame


@dataclasses.dataclass
class Index:
    """The image files of a tree.

    Attributes:
        headers: Name -> what the file's header says.
        damaged: Files that are named like images and cannot be read as such, each with the reason.
        others: Number of files that are not images, by suffix.
    """

    headers: dict[str, Header]
    damaged: dict[str, str]
    others: collections.Counter[str]

    @property
    def names(self) -> list[str]:
        """Of all images, in natural order."""
        return list(self.headers)

    def with_frames(self, tree: FileTree) -> Index:
        """An index in which each frame of a file is an image of its own.

        Raises:
            UserError: A frame cannot be used.
        """
        headers: dict[str, Header] = {}
        invalid = []
        for name, header in self.headers.items():
            headers[name] = header._replace(frames=1)
            for i in range(1, header.frames):
                try:
                    with tree.open_file(name) as file:
                        headers[f"{name}{FRAME}{i}"] = read_header(file, f"{header.digest}{i:08x}", i)._replace(frames=1)
                except DECODE_ERRORS as error:
                    invalid.append(f"{self.describe(tree, f'{name}{FRAME}{i}')} ({reason(error)})")
        refuse_invalid(invalid, len(headers))
        return dataclasses.replace(self, headers=headers)

    def locate(self, name: str) -> tuple[str, int]:
        """The file of an image, and the number of its frame."""
        file, _, frame = name.partition(FRAME)
        return file, int(frame or 0)

    def describe(self, tree: FileTree, name: str) -> str:
        """The file of an image, and its frame if that is not the first one, for messages."""
        file, frame = self.locate(name)
        return f"{tree.path / file}" + (f", frame {frame + 1}" if frame else "")

    def digest(self, names: Iterable[str], labels: str = "", digits: int = 8) -> str:
        """Hexadecimal digits that change with the names and the content of files, and with what else decides their labels."""
        names = list(names)
        digests = [bytes.fromhex(self.headers[name].digest) for name in names]
        texts = itertools.chain.from_iterable(zip(map(os.fsencode, names), itertools.repeat(b"\0"), digests, strict=False))
        return hashlib.sha256(b"".join(texts) + os.fsencode(labels)).hexdigest()[:digits]


def read_index(tree: FileTree, cache_dir: str) -> Index:
    """Reads the header of every image and the digest of its content; files that are as they were at the last start are not read again.

    Args:
        tree: The files.
        cache_dir: The cache folder; empty: nothing is remembered.
    """
    path = Path(cache_dir) / INDICES / f"{hashlib.sha256(os.fsencode(tree.path)).hexdigest()[:16]}.json" if cache_dir else None
    stored = _load(path) if path else {}
    names = list(stored) if stored.keys() == tree.stamps.keys() else tree.names  # they are stored in natural order
    entries = {name: entry for name, (stamp, entry) in stored.items() if tree.stamps.get(name) == stamp}
    changed = [name for name in names if name not in entries]
    entries |= dict(zip(changed, _inspect_all(tree, changed), strict=True))
    readable = [name for name in names if not isinstance(entries[name], OSError)]
    if path and (changed or len(stored) != len(readable)):
        _save(path, {name: (tree.stamps[name], entries[name]) for name in readable})
    index = Index({}, {}, collections.Counter())
    for name in names:
        entry = entries[name]
        if isinstance(entry, list):
            index.headers[name] = Header(*entry)
        elif isinstance(entry, OSError):
            index.damaged[name] = reason(entry)
        elif (suffix := Path(name).suffix.lower()) in SUFFIXES:
            index.damaged[name] = entry
        else:
            index.others[suffix or "without suffix"] += 1
    return index


def _inspect_all(tree: FileTree, names: list[str]) -> Iterator[Any]:
    from tqdm import tqdm

    batches = [names[i : i + BATCH] for i in range(0, len(names), BATCH)]
    with (
        ThreadPoolExecutor(os.cpu_count()) as pool,
        tqdm(total=len(names), desc=f"reading {tree.path.name}", unit=" files", delay=2, leave=False, disable=None) as bar,
    ):
        for entries in pool.map(lambda batch: [_inspect(tree, name) for name in batch], batches):
            bar.update(len(entries))
            yield from entries


def _inspect(tree: FileTree, name: str) -> Any:
    """The fields of a header, the reason why the file is not an image, or an error of the system, which may not happen again."""
    try:
        with tree.open_file(name) as file:
            header = read_header(file, "")
            file.seek(0)
            digest = hashlib.file_digest(file, _new_digest)  # type: ignore[arg-type]
            return list(header._replace(digest=digest.hexdigest()))
    except DECODE_ERRORS as error:
        return error if isinstance(error, OSError) and error.errno else reason(error)


def _new_digest() -> Any:
    return hashlib.blake2b(digest_size=16)


def _load(path: Path) -> dict[str, tuple[tuple[int, ...], Any]]:
    """Name -> stamp and entry of the last start; empty if there is none that can be read."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        stored = json.loads(path.read_text(encoding="utf-8", errors="surrogateescape"))
        if stored["schema"] == SCHEMA and all(isinstance(entry, (str, list)) for entry in stored["entries"]):
            stamps = zip(*(stored[field] for field in Stamp._fields), strict=True)
            return dict(zip(stored["names"], zip(stamps, stored["entries"], strict=True), strict=True))
    return {}


def _save(path: Path, files: dict[str, tuple[Stamp, Any]]) -> None:
    with contextlib.suppress(OSError):  # the next start reads the files again
        path.parent.mkdir(parents=True, exist_ok=True)
        stamps, entries = [stamp for stamp, _ in files.values()], [entry for _, entry in files.values()]
        columns = {field: [getattr(stamp, field) for stamp in stamps] for field in Stamp._fields}
        write_text(path, json.dumps({"schema": SCHEMA, "names": list(files), **columns, "entries": entries}))
