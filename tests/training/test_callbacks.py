"""Scores take a bounded fraction of the training time."""

import pytest
import tensorflow as tf

import zoo
from zoo import data, metrics
from zoo.metrics.extractors import load_extractor
from zoo.training.callbacks import Evaluate

SMALL = {"generator_units": 8, "discriminator_units": 4, "maxout_pieces": 2, "latent_dim": 4, "batch_size": 16}


@pytest.fixture(scope="module")
def digits():
    return data.open_source("digits")


def test_evaluations_skip_scores_that_take_too_long_but_for_the_last_one(digits, working_directory):
    run = zoo.train("gan", steps=8, eval_every=4, eval_samples=20, run_dir="run", **SMALL)
    writer = tf.summary.create_file_writer("events")
    evaluation = metrics.Evaluation(digits, load_extractor("classifier", digits), 20)
    callback = Evaluate(run, writer, evaluation, ["frechet"], "frechet")
    callback.set_model(zoo.load(run))
    callback.model.stop_training = False
    for weight in callback.model.ema_generator.weights:  # after eight steps all samples would be the same gray
        weight.assign(tf.random.stateless_normal(weight.shape, [1, 2]))
    callback.on_train_begin()
    callback.seconds_spent = 1e6  # of the few that have passed
    vars(callback.model.config)["steps"] = 100
    callback.on_epoch_end(0, {})
    assert callback.row == {}
    vars(callback.model.config)["steps"] = 8
    callback.model.stop_training = True  # a signal in the last step of an interval changes nothing
    assert callback.decide()
    callback.is_due = None
    vars(callback.model.config).update(steps=100, eval_every=7)
    assert not callback.decide(), "no evaluation is due at step 8"
    callback.is_due = None
    vars(callback.model.config)["eval_every"] = 4
    vars(callback.model.config)["steps"] = 8
    callback.on_epoch_end(0, {})
    assert set(callback.row) == {"scores", "protocol", "scores_seconds"} and set(callback.row["scores"]) == {"frechet"}
