"""The networks of `keras.applications` as feature extractors."""

from __future__ import annotations

import sys
from collections.abc import Callable

import keras
import tensorflow as tf

from zoo.errors import UserError, suggest
from zoo.metrics.extractors.base import FeatureExtractor, hash_weights, one_line, resizing_to
from zoo.precision import dtype_policy

SHAPE = (224, 224, 3)
EXAMPLES = ("ResNet50", "MobileNetV2", "EfficientNetB0")  # for error messages


def load_application(name: str, weights: str | None = "imagenet") -> FeatureExtractor:
    """Loads a network of `keras.applications` without its head, average-pooled; Keras fetches its weights.

    Args:
        name: Name of the network, such as `MobileNetV2`.
        weights: As in `keras.applications`; None: random ones.

    Raises:
        UserError: There is no such network, or its weights cannot be loaded.
    """
    builder = find_application(name)
    network = _build_network(builder, name, weights)
    preprocess = sys.modules[builder.__module__].preprocess_input
    sha256 = hash_weights(network)
    return FeatureExtractor(
        name=f"keras_{name}-{sha256[:4]}",
        sha256=sha256,
        description=f"keras.applications.{name}, pooled features",
        shape=SHAPE,
        resizing=resizing_to(SHAPE),
        run=tf.function(
            lambda images: {"features": network(preprocess(images * 255), training=False)}, [tf.TensorSpec([None, *SHAPE], tf.float32)]
        ),
    )


def find_application(name: str) -> Callable[..., keras.Model]:
    """The function of `keras.applications` that builds a network; raises UserError if there is none of that name."""
    builders = {key: value for key, value in vars(keras.applications).items() if callable(value)}
    if name not in builders:
        raise UserError(
            f"--feature-extractor keras:{name}: keras.applications has no '{name}'{suggest(name, builders)} "
            f"It has {len(builders)} networks, such as {', '.join(EXAMPLES)}; https://keras.io/api/applications lists them."
        )
    return builders[name]


def _build_network(builder: Callable[..., keras.Model], name: str, weights: str | None) -> keras.Model:
    """Builds the network in float32, regardless of the precision of the evaluated model."""
    try:
        with dtype_policy("float32"):
            return builder(include_top=False, weights=weights, pooling="avg", input_shape=SHAPE)
    except Exception as error:
        # `keras.utils.get_file` turns a network error into a bare Exception; the other errors are files that cannot be read or written.
        if type(error) is not Exception and not isinstance(error, (OSError, ValueError, EOFError)):
            raise
        raise UserError(
            f"--feature-extractor keras:{name}: the weights cannot be loaded ({one_line(error)}); put the file "
            "into ~/.keras/models, or use --feature-extractor classifier"
        ) from None
