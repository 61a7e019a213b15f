"""scikit-learn's 1,797 real handwritten digits (UCI, Alpaydin & Kaynak 1998) as TFDS data sets that need no download."""

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image
from sklearn.datasets import load_digits

SIDE, MARGIN = 32, 4
TRAIN = 1437  # four fifths
IDENTITIES, ANGLES = 200, tuple(range(-60, 61, 15))  # of `TurnedDigits`; degrees, as the nine cameras of Multi-PIE


def enlarged(start=0, stop=None):
    """(number, uint8 image [32, 32, 1], label) of each digit: 8x8 enlarged to 24x24 (bicubic) amid 32x32."""
    digits = load_digits()
    for i in range(len(digits.images))[start:stop]:
        small = Image.fromarray(np.uint8(np.rint(digits.images[i] * (255 / 16))))
        large = np.asarray(small.resize((SIDE - 2 * MARGIN,) * 2, Image.Resampling.BICUBIC))
        yield i, np.pad(large, MARGIN)[..., None], int(digits.target[i])


def described(builder, pictures=("image",), classes=10, features=None, **more):
    """What is known of a data set that is made of them: its pictures and `label`, and more features."""
    image = tfds.features.Image(shape=(SIDE, SIDE, 1))
    known = {**dict.fromkeys(pictures, image), "label": tfds.features.ClassLabel(num_classes=classes), **(features or {})}
    return tfds.core.DatasetInfo(
        builder=builder,
        description=builder.__doc__,
        features=tfds.features.FeaturesDict(known),
        homepage="https://archive.ics.uci.edu/dataset/80",
        license="CC BY 4.0",
        **more,
    )


class Digits(tfds.core.GeneratorBasedBuilder):
    """Grey digits of 8x8 pixels, enlarged to 24x24 (bicubic) amid 32x32; the first 1,437 to train on, the last 360 to test on."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        return described(self, supervised_keys=("image", "label"))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(0, TRAIN), "test": self._generate_examples(TRAIN, None)}

    def _generate_examples(self, start, stop):
        for i, image, label in enlarged(start, stop):
            yield i, {"image": image, "label": label}


class TurnedDigits(tfds.core.GeneratorBasedBuilder):
    """Two hundred single digits (the label), each turned to nine angles from -60 to 60 degrees (the pose)."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        pose = tfds.features.ClassLabel(names=[f"{angle}" for angle in ANGLES])
        return described(self, classes=IDENTITIES, features={"pose": pose})

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for i, image, _ in enlarged(0, IDENTITIES):
            for pose, angle in enumerate(ANGLES):
                turned = Image.fromarray(image[..., 0]).rotate(angle, Image.Resampling.BICUBIC)
                yield f"{i}-{pose}", {"image": np.asarray(turned)[..., None], "label": i, "pose": pose}
