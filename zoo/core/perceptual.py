"""Features of VGG19 for perceptual losses (Johnson et al. 2016; Ledig et al. 2016, §2.2.1)."""

from __future__ import annotations

import urllib.error
import warnings

import keras
import tensorflow as tf

from zoo.errors import UserError
from zoo.precision import dtype_policy

WEIGHTS_FILE = "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5"  # as Keras calls it
FEATURE_SCALE = 12.75  # features are divided by it, so that losses on them are of the size of the squared error (§3.2)


class VGG19Features:
    """A function from images to features of an ImageNet classifier, computed in float32 whatever the precision of the model.

    Args:
        layer: Name of the layer in `keras.applications.VGG19`; its output is taken after the activation.
        weights: File of the network's weights without its head, as Keras saves them; None: Keras downloads them.

    Raises:
        UserError: The weights cannot be downloaded, or the file does not hold them.
    """

    def __init__(self, layer: str, weights: str | None = None) -> None:
        with dtype_policy("float32"):
            network = _load_file(weights) if weights else _download()
            self.network = keras.Model(network.input, network.get_layer(layer).output)

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        """Return the features [n, h', w', c'] of images [n, h, w, 1 or 3] in [-1, 1], divided by 12.75."""
        images = tf.cast(images, tf.float32)
        images = tf.image.grayscale_to_rgb(images) if images.shape[-1] == 1 else images
        pixels = keras.applications.vgg19.preprocess_input(images * 127.5 + 127.5)
        return tf.cast(self.network(pixels, training=False), tf.float32) / FEATURE_SCALE


def _load_file(path: str) -> keras.Model:
    network = keras.applications.VGG19(include_top=False, weights=None)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # Keras only warns of layers that a file lacks
            network.load_weights(path)
    except (OSError, ValueError, KeyError, TypeError, UserWarning) as error:
        message = f"--vgg-weights {path} does not hold the weights of Keras' VGG19 without its head ({_summarize(error)})"
        raise UserError(f"{message}; a file named {WEIGHTS_FILE} does, or leave the option out to download it") from None
    return network


def _download() -> keras.Model:
    try:
        return keras.applications.VGG19(include_top=False, weights="imagenet")
    except Exception as error:
        # Keras raises a bare Exception when a download fails.
        if type(error) is not Exception and not isinstance(error, (OSError, ValueError, urllib.error.URLError)):
            raise
        raise UserError(
            f"the weights of VGG19 could not be downloaded ({_summarize(error)}); name a copy of {WEIGHTS_FILE}: --vgg-weights FILE, or "
            "train without them: --content-loss mse"
        ) from None


def _summarize(error: Exception) -> str:
    return " ".join(str(error).split())[:100]
