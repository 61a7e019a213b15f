"""scikit-learn's 1,797 handwritten digits (UCI, Alpaydin & Kaynak 1998) as TFDS datasets that need no download."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

SIDE, MARGIN = 32, 4  # pixels
TRAIN = 1437  # digits in the train split: four fifths
IDENTITIES = 200  # number of digits of `TurnedDigits`
ANGLES = tuple(range(-60, 61, 15))  # degrees, as the nine cameras of Multi-PIE


def load_digits(start: int = 0, stop: int | None = None) -> Iterator[tuple[int, np.ndarray, int]]:
    """Yields number, uint8 image [32, 32, 1] and label of digits: 8x8 pixels enlarged to 24x24 (bicubic), with a black margin."""
    import sklearn.datasets

    digits = sklearn.datasets.load_digits()
    for i in range(len(digits.images))[start:stop]:
        small = Image.fromarray(np.rint(digits.images[i] * (255 / 16)).astype(np.uint8))
        large = np.asarray(small.resize((SIDE - 2 * MARGIN,) * 2, Image.Resampling.BICUBIC))
        yield i, np.pad(large, MARGIN)[..., None], int(digits.target[i])


def dataset_info(
    builder: tfds.core.DatasetBuilder,
    image_keys: Sequence[str] = ("image",),
    num_classes: int = 10,
    features: dict[str, Any] | None = None,
    **fields: Any,
) -> tfds.core.DatasetInfo:
    """Metadata of a dataset of these digits.

    Args:
        builder: The builder of the dataset.
        image_keys: Features that are images; `label` is another feature.
        num_classes: Number of labels.
        features: More features.
        fields: More fields of `tfds.core.DatasetInfo`.
    """
    image = tfds.features.Image(shape=(SIDE, SIDE, 1))
    label = tfds.features.ClassLabel(num_classes=num_classes)
    return tfds.core.DatasetInfo(
        builder=builder,
        description=builder.__doc__,
        features=tfds.features.FeaturesDict({**dict.fromkeys(image_keys, image), "label": label, **(features or {})}),
        homepage="https://archive.ics.uci.edu/dataset/80",
        license="CC BY 4.0",
        **fields,
    )


class Digits(tfds.core.GeneratorBasedBuilder):
    """Grayscale digits of 8x8 pixels, enlarged to 24x24 (bicubic) with a margin to 32x32; 1,437 for training, the last 360 for testing."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        return dataset_info(self, supervised_keys=("image", "label"))

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        return {"train": self._generate_examples(0, TRAIN), "test": self._generate_examples(TRAIN, None)}

    def _generate_examples(self, start: int, stop: int | None) -> Iterator[tuple[int, dict[str, Any]]]:
        for i, image, label in load_digits(start, stop):
            yield i, {"image": image, "label": label}


class TurnedDigits(tfds.core.GeneratorBasedBuilder):
    """Two hundred single digits (the label), each rotated to nine angles from -60 to 60 degrees (the pose)."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        pose = tfds.features.ClassLabel(names=[f"{angle}" for angle in ANGLES])
        return dataset_info(self, num_classes=IDENTITIES, features={"pose": pose})

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        return {"train": self._generate_examples()}

    def _generate_examples(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for i, image, _ in load_digits(0, IDENTITIES):
            for pose, angle in enumerate(ANGLES):
                rotated = Image.fromarray(image[..., 0]).rotate(angle, Image.Resampling.BICUBIC)
                yield f"{i}-{pose}", {"image": np.asarray(rotated)[..., None], "label": i, "pose": pose}
