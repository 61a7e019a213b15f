"""scikit-learn's two photographs (a temple, a flower) as a TFDS data set that needs no download."""

import numpy as np
import tensorflow_datasets as tfds
from sklearn.datasets import load_sample_images

KEPT = 480  # columns to train on; the others, to the right of them, to test on


class Photographs(tfds.core.GeneratorBasedBuilder):
    """Two colour photographs of 427x640 pixels: the left three quarters of each to train on, the rest to test on."""

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
        return {"train": self._generate_examples(slice(0, KEPT)), "test": self._generate_examples(slice(KEPT, None))}

    def _generate_examples(self, columns):
        for i, image in enumerate(load_sample_images().images):
            yield i, {"image": np.ascontiguousarray(image[:, columns])}
