"""A published model: a folder with `manifest.json`, its weights and its card, wherever it is."""

from __future__ import annotations

import copy
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from zoo.errors import UserError
from zoo.files import check_regular
from zoo.pretrained.manifest import FILE, Manifest, parse_manifest
from zoo.pretrained.weights import assign_weights, parse_weights
from zoo.records import MAX_BYTES
from zoo.runs.record import RunRecord

if TYPE_CHECKING:
    from zoo.core import Game

REPLAY_BUFFERS = 2**27  # values in replay buffers
UNREAD_WEIGHTS = 2**29  # weights of a discriminator whose file is not read
COPIES = 4  # of a weight in a model: the generator's, its EMA's, and two moments of the optimizer
SHIPPED = Path(__file__).parent / "models"  # a folder for each published model of this package


class PublishedModel:
    """A published model, whose files are read when they are needed.

    Args:
        display_path: The model, as the user named it and as messages name it.
        read: Name of a file and a number of bytes -> its content; only the start if it is longer. Raises FileNotFoundError if there is no
            such file.
        remedy: What to do if a file is damaged, for messages.

    Raises:
        UserError: There is no such model, or its manifest cannot be read.
    """

    model_spec: str | None = None  # a file with the code of a model is never published

    def __init__(self, display_path: str, read: Callable[[str, int], bytes], remedy: str = "") -> None:
        self.display_path, self.remedy = display_path, remedy
        self._read = read
        self._discriminator = True
        self._arrays: dict[str, dict[str, np.ndarray]] = {}  # player -> verified weights
        try:
            content = read(FILE, MAX_BYTES + 1)
        except FileNotFoundError:
            raise UserError(f"{display_path} is not a published model: it has no {FILE}") from None
        except OSError as error:
            raise UserError(f"{display_path}: {FILE} cannot be read: {error.strerror or error}") from None
        self.manifest: Manifest = parse_manifest(content, display_path)

    @property
    def record(self) -> RunRecord:
        """The record of the run that was published."""
        return self.manifest.record

    @property
    def record_path(self) -> str:
        """Where the record is, for messages."""
        return f"{self.display_path}: {FILE}"

    def without_discriminator(self) -> PublishedModel:
        """The same model, of which the file of the discriminator is not read."""
        model = copy.copy(self)
        model._discriminator, model._arrays = False, {}
        return model

    def find_checkpoints(self, which: str | int) -> list[str]:
        """Reads and verifies the only checkpoint; raises UserError if another one is requested, or if files are missing or damaged."""
        if str(which) not in ("last", str(self.manifest.step)):
            raise UserError(f"{self.display_path} has no checkpoint {which!s:.60}, only that of step {self.manifest.step}; omit it")
        self._arrays = {player: self.read_weights(player) for player in self._players()}
        return [self.manifest.weights[player].file for player in self._arrays]

    def weight_limit(self) -> int:
        """An upper bound on the number of values of the model, with its replay buffers, which are not published."""
        weights = sum(array.size for arrays in self._arrays.values() for array in arrays.values())
        unread = [file.bytes for player, file in self.manifest.weights.items() if player not in self._arrays]
        return REPLAY_BUFFERS + COPIES * (weights + min(sum(unread), UNREAD_WEIGHTS))

    def restore(self, model: Game, which: str | int = "last") -> None:
        """Restores the generator and its EMA, and the discriminator.

        Raises:
            UserError: A file is missing or damaged, or belongs to another model.
        """
        from zoo.core.step import sampling_network

        if not self._arrays:
            self.find_checkpoints(which)
        arrays, self._arrays = self._arrays, {}  # the next model is restored from what is read and verified then
        networks = [("generator", sampling_network(model)), ("generator", model.ema_generator), ("discriminator", model.discriminator)]
        for player, network in networks:
            if player not in arrays:
                continue
            try:
                assign_weights(network, arrays[player])
            except ValueError as error:
                raise UserError(f"{self._file_path(player)} cannot be read as weights of {self.record.model}: {error}") from None
        model.step_counter.assign(self.manifest.step)

    def read_weights(self, player: str) -> dict[str, np.ndarray]:
        """The weights of a player, as they are stored, from a file whose hash was compared.

        Args:
            player: `generator` or `discriminator`.

        Raises:
            UserError: The file is missing or damaged.
        """
        file, path = self.manifest.weights[player], self._file_path(player)
        try:
            content = self._read(file.file, file.bytes + 1)
        except FileNotFoundError:
            raise UserError(f"{path} is missing") from None
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror or error}") from None
        if len(content) != file.bytes:
            size = f"{len(content):,} bytes" if len(content) < file.bytes else "more bytes"
            raise UserError(f"{path} is damaged: it has {size} and not {file.bytes:,}{self.remedy}")
        digest = hashlib.sha256(content).hexdigest()
        if digest != file.sha256:
            raise UserError(f"{path} is damaged: its SHA-256 is {digest} and not {file.sha256}{self.remedy}")
        try:
            return parse_weights(content)
        except ValueError as error:
            raise UserError(f"{path} cannot be read as weights: {error}") from None

    def _players(self) -> list[str]:
        """The players whose weights are read."""
        return [player for player in self.manifest.weights if self._discriminator or player == "generator"]

    def _file_path(self, player: str) -> str:
        return f"{self.display_path}: {self.manifest.weights[player].file}"


def hash_file(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_start(path: Path, size: int) -> bytes:
    """The first bytes of a regular file. Raises OSError if it cannot be read."""
    check_regular(path)
    with path.open("rb") as file:
        return file.read(min(size, os.fstat(file.fileno()).st_size))  # as many bytes as are read are allocated


def open_folder(folder: Path, display_path: str) -> PublishedModel:
    """The published model in a folder."""
    return PublishedModel(display_path, lambda name, size: read_start(folder / name, size))


def list_pretrained() -> list[str]:
    """The names of the published models of this package, sorted."""
    return sorted(path.parent.name for path in SHIPPED.glob(f"*/{FILE}"))


def open_pretrained(name: str) -> PublishedModel:
    """A published model of this package, by its name."""
    return open_folder(SHIPPED / name, name)
