"""scikit-learn's 1,797 real handwritten digits (UCI, Alpaydin & Kaynak 1998) as a TFDS data set that needs no download."""

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image
from sklearn.datasets import load_digits

SIDE, MARGIN = 32, 4
TRAIN = 1437  # four fifths


class Digits(tfds.core.GeneratorBasedBuilder):
    """Grey digits of 8x8 pixels, enlarged to 24x24 (bicubic) amid 32x32; the first 1,437 to train on, the last 360 to test on."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.__doc__,
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(SIDE, SIDE, 1)),
                    "label": tfds.features.ClassLabel(num_classes=10),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://archive.ics.uci.edu/dataset/80",
            license="CC BY 4.0",
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(0, TRAIN), "test": self._generate_examples(TRAIN, None)}

    def _generate_examples(self, start, stop):
        digits = load_digits()
        for i in range(len(digits.images))[start:stop]:
            small = Image.fromarray(np.uint8(np.rint(digits.images[i] * (255 / 16))))
            large = np.asarray(small.resize((SIDE - 2 * MARGIN,) * 2, Image.Resampling.BICUBIC))
            yield i, {"image": np.pad(large, MARGIN)[..., None], "label": int(digits.target[i])}
