"""The closed form of a model's latent distribution."""

import numpy as np
import pytest
import tensorflow as tf
from conftest import tiny_model

from zoo.errors import UserError
from zoo.latent.prior import LatentPrior


@pytest.mark.parametrize("name, kind", [("dcgan", "normal"), ("acgan", "normal"), ("gan", "uniform"), ("sgan", "uniform")])
def test_the_distribution_is_recognized(name, kind):
    prior = LatentPrior.fit(tiny_model(name))
    assert prior.kind == kind and prior.to_json()["category"] == []


def test_a_category_is_recognized():
    values = LatentPrior.fit(tiny_model("infogan")).to_json()
    assert values["kind"] == "uniform" and values["category"] == [3, 4, 5]
    np.testing.assert_allclose([values["low"][0], values["high"][0]], [-1, 1], atol=0.01)


@pytest.mark.parametrize(
    "transform, reason",
    [
        (lambda normal: normal**3, "neither normal nor uniform"),
        (lambda normal: tf.cast(normal > 0, tf.float32), "discrete values that are not one category"),
    ],
)
def test_other_distributions_are_refused(transform, reason, monkeypatch):
    model = tiny_model("dcgan")
    monkeypatch.setattr(type(model), "sample_latent", lambda self, shape, seed: transform(tf.random.stateless_normal(shape, seed)))
    with pytest.raises(UserError, match=f"{reason}; export ONNX files instead"):
        LatentPrior.fit(model)
