"""Unpaired datasets of two domains."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from zoo.data.damage import FindDamage
from zoo.data.source import Source
from zoo.data.stored import join
from zoo.data.transforms import Arrays


@dataclasses.dataclass(frozen=True)
class Domains:
    """Two sources as the domains of an unpaired dataset: a batch holds `x` and `y`, each shuffled on its own.

    Attributes:
        name: The name given to `open_source`.
        version: Version of the data.
        x: The first domain.
        y: The second domain.
        paired: Splits in which equal rows of both domains belong together.
    """

    name: str
    version: str
    x: Source
    y: Source
    paired: tuple[str, ...] = ()
    keys: ClassVar[tuple[str, ...]] = ("x", "y")

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels."""
        return self.x.image_shape

    @property
    def identity(self) -> str:
        """What the data are, see `Source.identity`."""
        return self.x.identity

    @property
    def sizes(self) -> dict[str, int]:
        """Split -> size of the smaller domain, which an epoch covers once."""
        return {split: min(size, self.y.sizes[split]) for split, size in self.x.sizes.items() if split in self.y.sizes}

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """Names of the classes, which both domains share; None: no labels."""
        return self.x.class_names

    @property
    def pose_names(self) -> None:
        """Domains have no poses."""
        return None

    @property
    def num_classes(self) -> int | None:
        """Number of classes; None: no labels."""
        return self.x.num_classes

    @property
    def cache_dir(self) -> str:
        """A writable folder for files derived from the data."""
        return self.x.cache_dir

    @property
    def read_only_cache_dir(self) -> str:
        """Another folder of such files, which is not written to; empty: none."""
        return self.x.read_only_cache_dir

    @property
    def find_damage(self) -> FindDamage | None:
        """Reads every file of both domains, which are those of one dataset; see `Source`."""
        return self.x.find_damage

    def facts(self) -> dict[str, str]:
        """See `Source`."""
        return self.x.facts()

    def older_versions(self) -> tuple[str, ...]:
        """See `Source`."""
        return self.x.older_versions()

    @property
    def config_defaults(self) -> dict[str, Any]:
        """Fields of a model's configuration whose defaults come from the data."""
        return self.x.config_defaults

    def batches(
        self, batch_size: int, seed: int = 0, start: int = 0, split: str = "train", positions: Sequence[int] | None = None
    ) -> tf.data.Dataset:
        """Endless batches, see `Source.batches`."""
        x, y = (part.batches(batch_size, seed + i, start, split, positions) for i, part in enumerate((self.x, self.y)))
        return tf.data.Dataset.zip(x, y).map(lambda x, y: {"x": x["image"], "y": y["image"]})

    def load_examples(self, split: str = "train", count: int = 10_000, seed: int = 0) -> Arrays:
        """Up to `count` examples of each domain.

        Returns:
            Arrays `x` and `y`; if there are classes, `label_x` and `label_y`; if equal rows belong together, `pair`.
        """
        x, y = (part.load_examples(split, count, seed) for part in (self.x, self.y))
        arrays = {"x": x["image"], "y": y["image"]}
        arrays |= {f"label_{name}": part["label"] for name, part in (("x", x), ("y", y)) if "label" in part}
        if split in self.paired:
            arrays["pair"] = np.arange(len(x["image"]))
        return arrays

    def single_images(self) -> Source:
        """A source of single images, see `Source.single_images`."""
        sizes = {split: self.x.sizes[split] + self.y.sizes[split] for split in self.sizes}
        return dataclasses.replace(
            self.x,
            name=self.name,
            version=self.version,
            sizes=sizes,
            class_names=self.class_names or ("x", "y"),
            keys=(),
            load=self._concatenate,
            transform=None,
        )

    def _concatenate(self, split: str) -> Arrays:
        parts = [self.x.arrays(split), self.y.arrays(split)]
        labels = [part["label"] if self.class_names else np.full(len(part["image"]), i) for i, part in enumerate(parts)]
        return {"image": join([part["image"] for part in parts]), "label": np.concatenate(labels)}

    def subset(self, count: int, seed: int = 0) -> Domains:
        """Both domains with only `count` of their training images, see `Source.subset`."""
        return dataclasses.replace(self, x=self.x.subset(count, seed), y=self.y.subset(count, seed))

    def with_options(self, mirror: bool, balance: bool) -> Domains:
        """Both domains with random flips, or balanced classes, see `Source.with_options`."""
        return dataclasses.replace(self, x=self.x.with_options(mirror, balance), y=self.y.with_options(mirror, balance))

    def with_jitter(self, margin: int, flip: bool) -> Domains:
        """Both domains with random crops and flips, see `Source.with_jitter`."""
        return dataclasses.replace(self, x=self.x.with_jitter(margin, flip), y=self.y.with_jitter(margin, flip))
