"""The error rate of a semi-supervised GAN's own classifier."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from conftest import tiny_model, to_numpy

from zoo.metrics.classification import compute_error_rate


def test_the_error_rate_counts_wrong_predictions():
    model = tiny_model("sgan")
    images = np.random.RandomState(0).randint(0, 256, (20, 16, 16, 1)).astype(np.uint8)
    predictions = to_numpy(model.discriminate(tf.constant(images / 255, tf.float32))["class_probabilities"]).argmax(1)

    def error_rate(labels):
        return compute_error_rate(SimpleNamespace(held_out={"image": images, "label": labels}), model)["error_rate"].value

    assert error_rate(predictions) == 0
    wrong = predictions.copy()
    wrong[:5] = (wrong[:5] + 1) % 3
    assert error_rate(wrong) == pytest.approx(0.25)
    (metric,) = model.own_metrics
    assert metric.name == "error_rate" and metric.is_better(0.1, 0.2)
