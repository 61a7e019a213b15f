"""The small convolutional classifier: its network, its training and its accuracy."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from zoo.metrics.extractors.base import BATCH

MAX_SIDE = 64  # pixels on the short side of its input
TRAINING_IMAGES = 480_000  # images seen in training, or 40 epochs if those are fewer
MIN_UPDATES = 200
UPDATE_IMAGES = 128  # images per update
EDGE = ((0, 0), (1, 1), (1, 1), (0, 0))  # one pixel on every side


def input_shape(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """The shape to which images of `shape` are resized for the classifier: at most 64 pixels on the short side."""
    height, width, channels = shape
    channels = min(channels, 3)  # RGBA is composited onto white
    factor = min(1, MAX_SIDE / min(height, width))
    return max(8, round(height * factor)), max(8, round(width * factor)), channels


def build_classifier(shape: tuple[int, ...], classes: int, seed: int = 0) -> keras.Model:
    """Builds the network: three convolutions, 128 features. Images in [0, 1] -> `features`, `probabilities`."""
    layers, options = keras.layers, {"dtype": "float32"}  # regardless of the precision of the evaluated model
    x = image = keras.Input(shape)
    x = layers.Rescaling(2.0, -1.0, **options)(x)
    for i, width in enumerate((32, 64, 96)):
        initializer = keras.initializers.HeNormal(1000 * seed + i)
        x = layers.Conv2D(width, 3, padding="same", activation="relu", kernel_initializer=initializer, **options)(x)
        x = layers.MaxPooling2D(padding="same", **options)(x)
    x = layers.Flatten(**options)(layers.MaxPooling2D(padding="same", **options)(x))
    x = layers.Dropout(0.2, seed=seed, **options)(x)
    x = layers.Dense(128, "relu", kernel_initializer=keras.initializers.HeNormal(1000 * seed + 10), **options)(x)
    y = layers.Dropout(0.3, seed=seed + 1, **options)(x)
    y = layers.Dense(classes, "softmax", kernel_initializer=keras.initializers.GlorotUniform(1000 * seed + 11), **options)(y)
    return keras.Model(image, {"features": x, "probabilities": y})


def train_classifier(
    images: np.ndarray, labels: np.ndarray, classes: int, seed: int = 0, max_images: int = TRAINING_IMAGES, epochs: int = 40
) -> keras.Model:
    """Trains the classifier on shifted images.

    Args:
        images: [n, h, w, c], uint8 or float32 in [0, 1].
        labels: [n].
        classes: Number of classes.
        seed: Seed of the initial weights, of dropout, and of the order and shifts of the images.
        max_images: Total number of images seen, at most `epochs` times the whole set; at least 200 updates.
        epochs: Upper limit of passes over the images.
    """
    batch = min(UPDATE_IMAGES, len(images))
    updates = max(MIN_UPDATES, min(max_images, epochs * len(images)) // batch)
    network = build_classifier(images.shape[1:], classes, seed)
    network.compile(
        optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(2e-3, updates)),
        loss={"probabilities": keras.losses.SparseCategoricalCrossentropy()},
        jit_compile=False,
        auto_scale_loss=False,
        steps_per_execution=8,
    )
    random = np.random.RandomState(seed)  # not TensorFlow's, which depends on its global seed
    rows = np.concatenate([random.permutation(len(images)) for _ in range(-(-updates * batch // len(images)))])[: updates * batch]
    with tf.device("CPU"):
        image_tensor, label_tensor = tf.constant(images), tf.constant(labels)

    def shifted_batch(rows: tf.Tensor, shift: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """A batch, shifted by up to two pixels in each direction; the border mirrors the edge."""
        batch_images = tf.image.convert_image_dtype(tf.gather(image_tensor, rows), tf.float32)
        padded = tf.pad(tf.pad(batch_images, EDGE, "SYMMETRIC"), EDGE, "SYMMETRIC")
        shifted = tf.slice(padded, [0, shift[0], shift[1], 0], [-1, *images.shape[1:]])
        return shifted, {"probabilities": tf.gather(label_tensor, rows)}

    batches = tf.data.Dataset.from_tensor_slices((rows.reshape(updates, batch), random.randint(0, 5, (updates, 2))))
    network.fit(batches.map(shifted_batch).prefetch(4), steps_per_epoch=updates, verbose=0, shuffle=False)
    return network


def measure_accuracy(network: keras.Model, images: np.ndarray, labels: np.ndarray) -> float:
    """Fraction of images that a network assigns to their label."""
    return float(np.mean(_predict(network, images) == labels))


def measure_balanced_accuracy(network: keras.Model, images: np.ndarray, labels: np.ndarray) -> float:
    """Mean over the classes of the fraction of their images that a network assigns to them, so that a rare class counts as a common one."""
    is_right = _predict(network, images) == labels
    return float(np.mean([np.mean(is_right[labels == label]) for label in np.unique(labels)]))


def _predict(network: keras.Model, images: np.ndarray) -> np.ndarray:
    """The label that a network assigns to each image."""
    predictions = [
        np.argmax(network(tf.image.convert_image_dtype(images[i : i + BATCH], tf.float32), training=False)["probabilities"], -1)
        for i in range(0, len(images), BATCH)
    ]
    return np.concatenate(predictions)
