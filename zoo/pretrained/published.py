"""A published model: a folder with `manifest.json`, its weights and its card, wherever it is."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.errors import UserError
from zoo.pretrained.manifest import FILE, Manifest, read_manifest
from zoo.pretrained.weights import assign_weights, read_weights
from zoo.runs.record import RunRecord

if TYPE_CHECKING:
    from zoo.core import Game

REPLAY_BUFFERS = 2**27  # values in replay buffers
SHIPPED = Path(__file__).parent / "models"  # a folder for each published model of this package


class PublishedModel:
    """A published model, whose files are fetched when they are needed.

    Args:
        display_path: The model, as the user named it and as messages name it.
        fetch: Name of a file -> its path on this machine. Raises FileNotFoundError if there is no such file.

    Raises:
        UserError: There is no such model, or its manifest cannot be read.
    """

    model_spec: str | None = None  # a file with the code of a model is never published
    loads_discriminator = True  # if False, `restore` leaves the discriminator as it is, and its file is not fetched

    def __init__(self, display_path: str, fetch: Callable[[str], Path]) -> None:
        self.display_path = display_path
        self._fetch = fetch
        try:
            path = fetch(FILE)
        except FileNotFoundError:
            raise UserError(f"{display_path} is not a published model: it has no {FILE}") from None
        self.manifest: Manifest = read_manifest(path, display_path)

    @property
    def record(self) -> RunRecord:
        """The record of the run that was published."""
        return self.manifest.record

    @property
    def record_path(self) -> str:
        """Where the record is, for messages."""
        return f"{self.display_path}: {FILE}"

    @functools.cached_property
    def discriminator_path(self) -> Path | None:
        """The verified file of the discriminator's weights; None if it has none."""
        return self._fetch_weights("discriminator") if "discriminator" in self.manifest.weights else None

    @functools.cached_property
    def generator_path(self) -> Path:
        """The verified file of the generator's weights."""
        return self._fetch_weights("generator")

    def find_checkpoints(self, which: str | int) -> list[str]:
        """The files of the only checkpoint; raises UserError if another one is requested, or if they are missing or damaged."""
        if str(which) not in ("last", str(self.manifest.step)):
            raise UserError(f"{self.display_path} has no checkpoint {which!s:.60}, only that of step {self.manifest.step}; omit it")
        paths = [self.generator_path, self.discriminator_path if self.loads_discriminator else None]
        return [str(path) for path in paths if path]

    def weight_limit(self) -> int:
        """An upper bound on the number of weights of the model, with its replay buffers, which are not published."""
        return REPLAY_BUFFERS + sum(file.bytes for file in self.manifest.weights.values())  # two bytes each; those of the EMA count twice

    def restore(self, model: Game, which: str | int = "last") -> None:
        """Restores the generator and its EMA, and the discriminator.

        Raises:
            UserError: A file is missing or damaged, or belongs to another model.
        """
        from zoo.core.step import sampling_network

        self.find_checkpoints(which)
        networks = [(self.generator_path, network) for network in (sampling_network(model), model.ema_generator)]
        if self.loads_discriminator and self.discriminator_path:
            networks.append((self.discriminator_path, model.discriminator))
        for path, network in networks:
            try:
                assign_weights(network, read_weights(path))
            except (OSError, ValueError) as error:
                raise UserError(f"{self.display_path}: {path.name} cannot be read as weights of {self.record.model}: {error}") from None
        model.step_counter.assign(self.manifest.step)

    def _fetch_weights(self, player: str) -> Path:
        file = self.manifest.weights[player]
        name = f"{self.display_path}: {file.file}"
        try:
            path = self._fetch(file.file)
            size, digest = path.stat().st_size, hash_file(path)
        except FileNotFoundError:
            raise UserError(f"{name} is missing") from None
        except OSError as error:
            raise UserError(f"{name} cannot be read: {error.strerror or error}") from None
        if size != file.bytes:
            raise UserError(f"{name} is damaged: it has {size:,} bytes and not {file.bytes:,}")
        if digest != file.sha256:
            raise UserError(f"{name} is damaged: its SHA-256 is {digest} and not {file.sha256}")
        return path


def hash_file(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_folder(folder: Path, display_path: str) -> PublishedModel:
    """The published model in a folder."""
    return PublishedModel(display_path, functools.partial(_find_file, folder))


def list_pretrained() -> list[str]:
    """The names of the published models of this package, sorted."""
    return sorted(path.parent.name for path in SHIPPED.glob(f"*/{FILE}"))


def open_pretrained(name: str) -> PublishedModel:
    """A published model of this package, by its name."""
    return open_folder(SHIPPED / name, name)


def _find_file(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.is_file():
        raise FileNotFoundError(path)
    return path
