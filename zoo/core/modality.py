"""The interface of a modality: what is specific to one kind of samples, such as images, points or series."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import tensorflow as tf

if TYPE_CHECKING:
    from zoo.core.signatures import Signature

Augmentation = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]  # of samples and the seed of a stateless draw


class Modality(Protocol):
    """How samples of one kind are named, shaped, converted, checked, compared and shown; `zoo.core.images.Images` is one.

    Samples are float32 [n, ...]. They have an internal form, in which networks compute, and an external form, which `Game.sample`, serving
    signatures and previews have: images are in [-1, 1] and [0, 1]. A model names its modality in `Game.modality`, and its configuration has
    the fields that `sample_shape` reads.
    """

    @property
    def key(self) -> str:
        """Name of a sample in batches, network inputs and signatures: `image`."""

    @property
    def external_range(self) -> tuple[float, float] | None:
        """Lowest and highest value of samples in external form; values outside it are refused. None: any value is valid."""

    @property
    def augmentations(self) -> Mapping[str, Augmentation]:
        """The differentiable augmentations of samples in internal form, by the name that `--augment` has for them."""

    def sample_shape(self, config: Any) -> tuple[int, ...]:
        """The shape of one sample under a model's configuration."""

    def describe_shape(self, config: Any) -> str:
        """Description of the samples in the plural: `32x32x1 images`."""

    def to_external(self, samples: tf.Tensor) -> tf.Tensor:
        """Samples in internal form -> in external form."""

    def from_external(self, samples: tf.Tensor, name: str = ...) -> tf.Tensor:
        """Samples in external form -> in internal form.

        Args:
            samples: The samples.
            name: Name of the argument, for the error message.

        Raises:
            UserError: For values outside the external range; InvalidArgumentError inside a graph. See `zoo.core.signatures.require`.
        """

    def file_signatures(self, sample: Signature) -> dict[str, Signature]:
        """The signatures that return the samples of the signature `sample` as files, such as `png`; may be empty."""

    def render(self, samples: Any, columns: int) -> np.ndarray:
        """A picture of samples in external form, in a grid if it shows them one by one.

        Args:
            samples: The samples.
            columns: Number of columns of the grid.

        Returns:
            uint8 [height, width, 1, 3 or 4].
        """

    def diversity(self, samples: Any, labels: Any = None) -> float:
        """Mean distance between two samples in external form, of the same label if labels are given.

        Raises:
            UserError: If there is no such pair, or values are not finite.
        """

    def validate_batch(self, batch: dict[str, Any], config: Any) -> None:
        """Checks the samples of a batch that a user feeds to `fit`.

        Raises:
            UserError: For samples of the wrong type, range or shape.
        """
