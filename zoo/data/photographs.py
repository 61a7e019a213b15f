"""scikit-learn's two photographs (a temple, a flower) as a TFDS dataset that needs no download."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

TEST = slice(100, 260)  # columns of the test split, in the left halves of the temple and the flower; the others are the train split


class Photographs(tfds.core.GeneratorBasedBuilder):
    """Two color photographs of 427x640 pixels: 160 columns of each, a quarter, for testing; those left and right of them for training."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.__doc__,
            features=tfds.features.FeaturesDict({"image": tfds.features.Image(shape=(None, None, 3))}),
            homepage="https://scikit-learn.org/stable/datasets/loading_other_datasets.html",
            license="CC BY 2.0 (danielbuechele; vultilion)",
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        train = slice(0, TEST.start), slice(TEST.stop, None)
        return {"train": self._generate_examples(*train), "test": self._generate_examples(TEST)}

    def _generate_examples(self, *parts: slice) -> Iterator[tuple[str, dict[str, Any]]]:
        from sklearn.datasets import load_sample_images

        for i, image in enumerate(load_sample_images().images):
            for columns in parts:
                yield f"{i}-{columns.start}", {"image": np.ascontiguousarray(image[:, columns])}
