"""The loop: phases that share a trace, and what happens when values are no longer finite."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import random_source, tiny_model

import zoo
from zoo.core.step_metrics import StepMetrics
from zoo.models.gan import GAN
from zoo.runs import Run
from zoo.training.loop import phases
from zoo.training.monitor import Diverged

SMALL = {"generator_units": 8, "discriminator_units": 4, "maxout_pieces": 2, "latent_dim": 4, "batch_size": 16, "eval_samples": 0}


@pytest.mark.parametrize("name", ["dcgan", "pggan"])
@pytest.mark.parametrize("steps, eval_every", [(1200, 200), (3906, 489), (1201, 400)])
def test_phases_cover_a_run_and_share_a_trace(name, steps, eval_every):
    model = tiny_model(name, image_shape=(32, 32, 1), **({"phase_steps": 100} if name == "pggan" else {}))
    boundaries = model.config.stage_boundaries
    for begin in (0, 350):
        completed, traces = begin, {}
        for phase in phases(begin, steps, eval_every, 8, boundaries):
            assert phase.start == completed and phase.length % phase.steps_per_execution == 0
            completed += phase.length * phase.epochs
            stage = sum(boundary <= phase.start for boundary in boundaries)
            assert stage == sum(boundary < completed for boundary in boundaries)  # none continues into the next one
            assert phase.epochs == 1 or phase.length == eval_every and phase.start % eval_every == 0
            traces.setdefault(stage, set()).add(phase.steps_per_execution)
        stages = {sum(boundary <= step for boundary in boundaries) for step in range(begin, steps)}
        assert completed == steps and {stage: len(values) for stage, values in traces.items()} == dict.fromkeys(stages, 1)
    assert [phase.steps_per_execution for phase in phases(0, 1200, 200)] == [8]
    assert [phase.steps_per_execution for phase in phases(0, 14, 7)] == [7]


# -- values that are not finite -----------------------------------------------------------------------------------------


def break_generator(monkeypatch, until):
    """From step 6 (the sixth) on, the generator's loss has a term that is not finite, in training runs with fewer than `until` retries."""
    generator_loss = GAN.generator_loss

    def broken_loss(self, batch, fake):
        is_broken = tf.logical_and(self.step_counter.value >= 5, self.retries.value < until)
        terms = generator_loss(self, batch, fake)
        return {**terms, "g_extra": tf.where(is_broken, float("nan"), 0.0) * tf.reduce_mean(fake)}

    monkeypatch.setattr(GAN, "generator_loss", broken_loss)


def is_finite(model):
    return all(np.isfinite(keras.ops.convert_to_numpy(weight)).all() for weight in model.weights)


def test_a_value_that_is_not_finite_is_named_and_the_run_returns_to_its_checkpoint(working_directory, capsys, monkeypatch):
    break_generator(monkeypatch, 1)
    run = zoo.train("gan", steps=8, eval_every=4, run_dir="run", **SMALL)
    stderr = capsys.readouterr().err
    assert "step 6: g_extra is not finite; the gradient of the generator's dense" in stderr and "(1 of 3)" in stderr
    model = zoo.load(run)
    assert int(model.retries) == 1 and model.completed_steps == 8 and is_finite(model)
    assert [row["step"] for row in run.evaluations()] == [4, 8]
    (row,) = [row for row in run.rows() if row not in run.evaluations()]
    assert row["step"] == 4 and "g_extra" in row["warnings"][0] and "extra is not finite" in Path("run/README.md").read_text()


def test_it_gives_up_after_three_retries_with_the_checkpoint_intact(working_directory, capsys, monkeypatch):
    break_generator(monkeypatch, 100)
    with pytest.raises(Diverged, match="step 6: g_extra is not finite.* giving up; .*--resume run") as error:
        zoo.train("gan", steps=8, eval_every=4, run_dir="run", **SMALL)
    assert error.value.exit_status == 3
    stderr = capsys.readouterr().err
    assert stderr.count("step 6: g_extra is not finite") == 3 and "(3 of 3)" in stderr
    assert sum("g_extra" in text for row in Run("run").rows() for text in row.get("warnings", [])) == 4
    model = zoo.load("run")
    assert model.completed_steps == 4 and Run("run").progress(4).retries == 4 and not Path("run/export").exists() and is_finite(model)
    assert Path("run/README.md").exists()


def test_divergence_has_an_exit_status_of_its_own(working_directory, capsys, monkeypatch):
    from zoo.cli import parsing, train

    break_generator(monkeypatch, 100)
    argv = ["--model", "gan", "--generator-units", "8", "--discriminator-units", "4", "--batch-size", "16", "--eval-samples", "0"]
    with pytest.raises(SystemExit) as stop:
        parsing.run(lambda: train.main([*argv, "--steps", "8", "--eval-every", "4", "--run-dir", "run"]), "train.py")
    assert stop.value.code == 3
    stderr = capsys.readouterr().err
    assert stderr.count("step 6: g_extra is not finite") == 4 and "--resume run" in stderr.splitlines()[-1]


def test_before_the_first_evaluation_it_returns_to_the_start(working_directory, capsys, monkeypatch):
    break_generator(monkeypatch, 1)
    run = zoo.train("gan", steps=8, eval_every=8, run_dir="run", **SMALL)
    assert "step 6: g_extra" in capsys.readouterr().err and zoo.load(run).completed_steps == 8


def test_a_retry_has_new_noise():
    model = tiny_model("gan")
    batch = next(iter(random_source(model).batches(4)))
    model.seeds.restart()
    first = model.generate(batch).numpy()
    model.seeds.restart()
    np.testing.assert_array_equal(model.generate(batch).numpy(), first)
    model.retries.assign(1)
    model.seeds.restart()
    assert not np.array_equal(model.generate(batch).numpy(), first)


def test_the_step_of_the_first_value_that_is_not_finite():
    metrics = StepMetrics()
    for value in (1.0, 2.0, float("inf"), 4.0, 5.0):
        metrics.restart()
        metrics.log({"d_term": 1.0, "g_term": value})
        metrics.update()
    assert metrics.first_non_finite(5) == (2, ["g_term"], [])
    assert np.isnan(metrics.mean(1)) and float(metrics.mean(0)) == 1
