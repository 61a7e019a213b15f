"""Class-conditional sampling: labels are validated, in Python and in a served graph."""

import pytest
import tensorflow as tf
from conftest import tiny_model

from zoo.errors import UserError


def test_an_out_of_range_label_is_refused():
    with pytest.raises(UserError, match="label is out of range; available classes: 0 to 2"):
        tiny_model("biggan").sample([1], label=[3])


@pytest.mark.parametrize("name", ["acgan", "sngan_projection"])  # the label is concatenated to the noise, or looked up
def test_every_seed_needs_a_label_also_when_served(name):
    model = tiny_model(name)
    with pytest.raises(UserError, match="seed has shape"):
        model.sample(seed=7, label=[1])
    with pytest.raises(UserError, match="2 seeds and label of shape .1.; give one for each seed"):
        model.sample(seed=[7, 8], label=[1])
    sample = model.signatures()["sample"]
    with pytest.raises(tf.errors.InvalidArgumentError, match="label: give one for each seed"):
        tf.function(sample.function, input_signature=sample.inputs)(tf.constant([7, 8], tf.int64), tf.constant([1], tf.int64))
    default = model.signatures()["serving_default"]
    with pytest.raises(tf.errors.InvalidArgumentError, match="label: give one for each latent"):
        latent = tf.zeros([2, model.config.latent_dim])
        tf.function(default.function, input_signature=default.inputs)(latent, tf.constant([1], tf.int64))
