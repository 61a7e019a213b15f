"""scikit-learn's two photographs (a temple, a flower) as a TFDS data set that needs no download."""

import numpy as np
import tensorflow_datasets as tfds
from sklearn.datasets import load_sample_images

TEST = slice(100, 260)  # columns to test on: the left halves of the temple and the flower; the right ones are trained on


class Photographs(tfds.core.GeneratorBasedBuilder):
    """Two colour photographs of 427x640 pixels: a quarter of each, of 160 columns, to test on, what is left and right of it to train on."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.__doc__,
            features=tfds.features.FeaturesDict({"image": tfds.features.Image(shape=(None, None, 3))}),
            homepage="https://scikit-learn.org/stable/datasets/loading_other_datasets.html",
            license="CC BY 2.0 (danielbuechele; vultilion)",
        )

    def _split_generators(self, dl_manager):
        beside = slice(0, TEST.start), slice(TEST.stop, None)
        return {"train": self._generate_examples(*beside), "test": self._generate_examples(TEST)}

    def _generate_examples(self, *parts):
        for i, image in enumerate(load_sample_images().images):
            for columns in parts:
                yield f"{i}-{columns.start}", {"image": np.ascontiguousarray(image[:, columns])}
