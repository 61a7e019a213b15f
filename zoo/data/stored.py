"""Decoded examples: in memory if they are few, otherwise in files that are mapped into memory, so that any row is read at once.

Both are arrays that are indexed by rows. The files of a split lie below the cache folder, in `examples/KEY/`; they are written once by one
process, and are there in full or not at all.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zoo.data import limits
from zoo.errors import UserError, printable
from zoo.locks import lock_cache

FOLDER, INDICES = "examples", "indices"  # below the cache folder: of decoded examples, and of what is in folders
INDEX = "arrays.json"  # dtype and shape of each array
WRITING = ".writing-"  # start of the name of a folder that is not complete
Chunk = dict[str, np.ndarray]  # consecutive rows of all arrays
Shapes = Mapping[str, tuple[tuple[int, ...], Any]]  # array -> shape and dtype


@dataclasses.dataclass(frozen=True)
class Examples:
    """How the examples of a split are made.

    Attributes:
        key: Changes with everything that decides the values, for example the content of files and the size of images.
        shapes: Array -> shape and dtype.
        rows: Number of examples, for the progress bar.
        chunks: Makes the values of the arrays in order; each value is a part along the first axis.
        description: Of what is done, for progress and errors: `decoding 200 pictures in PATH`.
    """

    key: str
    shapes: Shapes
    rows: int
    chunks: Callable[[], Iterator[Chunk]]
    description: str

    @property
    def num_bytes(self) -> int:
        """Size of all arrays."""
        return sum(int(np.prod(shape)) * np.dtype(dtype).itemsize for shape, dtype in self.shapes.values())

    def load(self, cache_dir: str, keep: bool = False) -> dict[str, np.ndarray]:
        """The arrays: read into memory, or mapped from files in `cache_dir` that are written if they are not there.

        Args:
            cache_dir: The cache folder; empty: none.
            keep: Whether to write files however small the arrays are, because making them takes long.

        Raises:
            UserError: There is not enough space, or the folder cannot be written to.
        """
        if not cache_dir or self.num_bytes <= limits.MEMORY_BYTES and not keep:
            return self._read()
        folder = Path(cache_dir) / FOLDER / self.key
        if arrays := _open(folder, self.shapes):
            return arrays
        with lock_cache(folder.with_name(f".{self.key}.lock"), f"is {self.description}"):
            if (arrays := _open(folder, self.shapes)) is None:
                self._write(folder)
                arrays = _open(folder, self.shapes)
        if arrays is None:
            raise UserError(f"{printable(folder)} cannot be read back; remove it with `zoo data --clear`")
        return arrays

    def _read(self) -> dict[str, np.ndarray]:
        arrays = {name: np.empty(shape, dtype) for name, (shape, dtype) in self.shapes.items()}
        ends = dict.fromkeys(arrays, 0)
        for chunk in self._progress():
            for name, values in chunk.items():
                arrays[name][ends[name] : ends[name] + len(values)] = values
                ends[name] += len(values)
        return arrays

    def _write(self, folder: Path) -> None:
        """Writes the arrays to a folder of another name, and renames it. The caller holds the lock: what is there is of a dead process."""
        for leftover in folder.parent.glob(f"{WRITING}{self.key}*"):
            shutil.rmtree(leftover, ignore_errors=True)
        temporary = folder.with_name(f"{WRITING}{self.key}")
        try:
            self._check_space(folder.parent)
            temporary.mkdir(parents=True)
            self._fill(temporary)
            if folder.exists():  # damaged, or of other shapes
                shutil.rmtree(folder)
            os.rename(temporary, folder)
        except OSError as error:
            raise UserError(f"{self.description}: {error.filename or printable(folder)}: {error.strerror or error}") from None
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def _fill(self, folder: Path) -> None:
        with contextlib.ExitStack() as stack:
            files = {name: stack.enter_context(open(_path(folder, name), "wb")) for name in self.shapes}
            for chunk in self._progress():
                for name, values in chunk.items():
                    files[name].write(np.ascontiguousarray(values, self.shapes[name][1]).data)
            for file in files.values():
                file.flush()
                os.fsync(file.fileno())
        index = {name: {"dtype": np.dtype(dtype).str, "shape": list(shape)} for name, (shape, dtype) in self.shapes.items()}
        (folder / INDEX).write_text(json.dumps(index), encoding="utf-8")

    def _check_space(self, folder: Path) -> None:
        existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
        available = shutil.disk_usage(existing).free
        if self.num_bytes > available:
            raise UserError(
                f"{self.description} takes {self.num_bytes:,} bytes in {printable(folder)}, and {available:,} are free; remove what was "
                "prepared for other data with `zoo data --clear`, choose another folder with TFDS_DATA_DIR, or a smaller --image-shape"
            )

    def _progress(self) -> Iterator[Chunk]:
        """The chunks, with a progress bar if they take longer than a moment."""
        from tqdm import tqdm

        length = next(iter(self.shapes.values()))[0][0]
        with tqdm(total=self.rows, desc=self.description, unit_scale=True, delay=2, leave=False, disable=None) as bar:
            for chunk in self.chunks():
                yield chunk
                bar.update(self.rows * len(next(iter(chunk.values()))) / length)


def _path(folder: Path, name: str) -> Path:
    return folder / f"{name}.bin"


def _open(folder: Path, shapes: Shapes) -> dict[str, np.ndarray] | None:
    """The arrays in a folder, mapped into memory; None if they are not there, or have other shapes."""
    expected = {name: (tuple(shape), np.dtype(dtype)) for name, (shape, dtype) in shapes.items()}
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        if {name: (tuple(one["shape"]), np.dtype(one["dtype"])) for name, one in index.items()} != expected:
            return None
        return {name: _map(_path(folder, name), shape, dtype) for name, (shape, dtype) in expected.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _map(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
    if path.stat().st_size != int(np.prod(shape)) * dtype.itemsize:
        raise ValueError(f"{path} has another size")
    return np.memmap(path, dtype, "r", shape=shape)


def clear(cache_dir: str) -> int:
    """Removes all examples and indices in a cache folder; returns their bytes."""
    folders = [Path(cache_dir) / name for name in (FOLDER, INDICES)]
    size = sum(file.stat().st_size for folder in folders if folder.is_dir() for file in folder.rglob("*") if file.is_file())
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    return size


class Rows:
    """Chosen rows of one or more arrays, without a copy of them: indexed by row numbers, as an array is.

    Args:
        parts: Arrays of equal row shapes.
        rows: int64 [n]: row numbers in the concatenation of the parts; None: all.
    """

    def __init__(self, parts: Sequence[Any], rows: np.ndarray | None = None) -> None:
        self.parts, self.ends = list(parts), np.cumsum([len(part) for part in parts])
        self.rows = np.arange(self.ends[-1]) if rows is None else np.asarray(rows, np.int64)
        self.shape, self.dtype = (len(self.rows), *parts[0].shape[1:]), parts[0].dtype

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> np.ndarray:
        rows = self.rows[index]
        flat = np.atleast_1d(rows).ravel()
        values = np.empty((len(flat), *self.shape[1:]), self.dtype)
        part_of_row = np.searchsorted(self.ends, flat, "right")
        for number, part in enumerate(self.parts):
            chosen = part_of_row == number
            if chosen.any():
                values[chosen] = part[flat[chosen] - (self.ends[number] - len(part))]
        return values.reshape(*np.shape(rows), *self.shape[1:])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype)


def join(parts: Sequence[Any], rows: np.ndarray | None = None) -> Any:
    """Rows of the concatenation of arrays: an array if it is small enough for the memory, otherwise `Rows`."""
    view = Rows(parts, rows)
    return view[:] if int(np.prod(view.shape)) * np.dtype(view.dtype).itemsize <= limits.MEMORY_BYTES else view
