"""Classification of held-out images by the model itself: the error rate of semi-supervised GANs (Salimans et al. 2016, tables 1 and 2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

import numpy as np
import tensorflow as tf

from zoo.metrics.registry import Metric, Score

if TYPE_CHECKING:
    from zoo.metrics.evaluation import Evaluation

BATCH = 500  # images per forward pass


class Classifier(Protocol):
    """The interface of a model that the error rate requires."""

    def discriminate(self, image: tf.Tensor) -> Mapping[str, tf.Tensor]:
        """Return `class_probabilities` [n, classes] of images in [0, 1]."""


def compute_error_rate(evaluation: Evaluation, model: Classifier) -> dict[str, Score]:
    """Compute `error_rate`, the fraction of held-out images that the model assigns to a wrong class."""
    images, labels = evaluation.held_out["image"], evaluation.held_out["label"]
    batches = [tf.constant(images[i : i + BATCH] / 255, tf.float32) for i in range(0, len(images), BATCH)]
    predictions = np.concatenate([tf.argmax(model.discriminate(batch)["class_probabilities"], -1) for batch in batches])
    return {"error_rate": Score(float(np.mean(predictions != labels)))}


CLASSIFICATION_METRICS = (Metric("error_rate", "lower", ("held_out", "labels"), compute_error_rate, during_training=True),)
