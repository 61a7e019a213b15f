"""Made-up models whose evaluation is known, a linear classifier as their feature extractor, and assertions about analyses."""

import types

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from zoo.core.images import Images
from zoo.errors import UserError
from zoo.metrics import FeatureExtractor

SHAPE = (16, 16, 1)


def flatten(images):
    """uint8 images as rows of pixels in [0, 1]."""
    return images.reshape(len(images), -1) / 255


def linear_extractor(source):
    """A linear classifier of the source's classes."""
    examples = source.arrays("train")
    fitted = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.3).fit(flatten(examples["image"]), examples["label"])
    weights, bias = tf.constant(fitted.coef_.T, tf.float32), tf.constant(fitted.intercept_, tf.float32)

    def run(images):
        features = tf.reshape(images, [len(images), -1])
        return {"features": features, "probabilities": tf.nn.softmax(features @ weights + bias)}

    return FeatureExtractor("linear", "0", "linear", source.image_shape, "none", run, source.num_classes)


def image_model(images, labels, wrong=0.0, conditions=("label",)):
    """A model that returns an image of the requested class (in a fraction of the cases, of another one), chosen by the seed."""
    rows = tf.ragged.constant([np.flatnonzero(labels == label) for label in range(labels.max() + 1)], row_splits_dtype=tf.int64)
    images, classes = tf.constant(images), labels.max() + 1

    def sample(seed, live=False, **conditions):
        uniform = tf.map_fn(lambda s: tf.random.stateless_uniform([2], [s, 7]), seed, fn_output_signature=tf.float32)
        label = conditions.get("label", seed % classes)
        label = tf.where(uniform[:, 0] < wrong, (label + 1) % classes, label)
        chosen = tf.cast(uniform[:, 1] * tf.cast(tf.gather(rows.row_lengths(), label), tf.float32), tf.int64)
        return tf.image.convert_image_dtype(tf.gather(images, tf.gather_nd(rows, tf.stack([label, chosen], 1))), tf.float32)

    config = types.SimpleNamespace(image_shape=images.shape[1:], num_classes=int(classes))
    return types.SimpleNamespace(
        sample=sample, conditions=list(conditions), config=config, modality=Images(), generates_from_noise=True, own_metrics=()
    )


def copying_model(source, split="train", **options):
    """It returns images of a split."""
    examples = source.arrays(split)
    return image_model(examples["image"], examples["label"], **options)


def collapsed_model(source):
    """It returns one image per class."""
    examples = source.arrays("train")
    firsts = [np.flatnonzero(examples["label"] == label)[0] for label in range(source.num_classes)]
    return image_model(examples["image"][firsts], examples["label"][firsts])


def noise_model(source):
    """It returns white noise."""
    images = np.random.RandomState(0).randint(0, 256, (500, *source.image_shape)).astype(np.uint8)
    return image_model(images, np.arange(500) % source.num_classes)


def assert_well_formed(table):
    """A table has a title of one line, and rows of strings as long as its header."""
    title, header, rows = table
    assert title and "\n" not in title and rows
    assert all(len(row) == len(header) and all(isinstance(cell, str) for cell in row) for row in rows)


def assert_drawn(path):
    """A picture has more than a background."""
    pixels = np.asarray(Image.open(path).convert("L"))
    assert pixels.shape[0] > 100 and np.mean(pixels < 250) > 0.005 and pixels.std() > 5


def assert_refused(match, function, *args, **kwargs):
    """A call raises a UserError of one line."""
    with pytest.raises(UserError, match=match) as error:
        function(*args, **kwargs)
    assert "\n" not in str(error.value)
