"""The training monitor: each failure triggers one warning, named in the field's terms."""

import numpy as np
import pytest

from zoo.core import losses
from zoo.training.monitor import TrainingMonitor


class StubModality:
    """Samples whose diversity is their mean."""

    key = "image"

    def to_external(self, samples):
        return samples

    def diversity(self, samples, labels):
        return float(samples.mean())


class StubModel:
    """What the monitor uses of a model."""

    generates_from_noise, conditions, modality = True, (), StubModality()
    stop_training = False

    def __init__(self, objective):
        self.completed_steps, self.mean, self.objective = 10, 1.0, objective

    def sample(self, seed):
        return np.full([len(seed), 4, 4, 1], self.mean, np.float32)


class EmptyRun:
    """A run without rows."""

    def rows(self):
        return []


def find_warnings(evaluations, diversities=None, objective=losses.non_saturating):
    """The warnings of several evaluations, given the means since the last one and the diversity of the samples."""
    diversities = diversities or [1.0] * len(evaluations)
    monitor = TrainingMonitor(EmptyRun(), {"image": np.ones([8, 4, 4, 1], np.float32)})
    monitor.set_model(StubModel(objective))
    warnings = []
    for logs, diversity in zip(evaluations, diversities, strict=True):
        monitor.model.mean = diversity
        monitor.on_epoch_end(0, logs)
        assert monitor.row["diversity"] == pytest.approx(diversity, abs=1e-4)
        warnings.append(monitor.row.get("warnings", []))
    return warnings


HEALTHY = {"d_pairwise_accuracy": 0.8, "g_gradient_norm": 1.0, "d_gradient_norm": 1.0}


@pytest.mark.parametrize(
    "logs, words",
    [
        ({**HEALTHY, "d_pairwise_accuracy": 0.999}, ["discriminator dominance", "99.9%", "--discriminator-learning-rate"]),
        ({**HEALTHY, "g_gradient_norm": 1e-5}, ["vanishing gradients", "generator", "fell from 1.0e+00 to"]),
        ({**HEALTHY, "d_pairwise_accuracy": 0.5, "d_gradient_norm": 1e-4}, ["uninformative discriminator", "50%"]),
    ],
)
def test_each_failure_triggers_one_warning(logs, words, capsys):
    warnings = find_warnings([HEALTHY, logs, logs, logs])
    assert [len(texts) for texts in warnings] == [0, 0, 1, 0] and all(word in warnings[2][0] for word in words)
    assert capsys.readouterr().err.count("warning:") == 1
    assert find_warnings([HEALTHY, logs, HEALTHY, HEALTHY]) == [[]] * 4


def test_a_warning_is_not_repeated_by_a_resumed_run():
    logs = {**HEALTHY, "d_pairwise_accuracy": 0.999}
    (text,) = find_warnings([logs, logs])[1]
    run = EmptyRun()
    run.rows = lambda: [{"step": 5}, {"step": 10, "warnings": [text]}]
    assert TrainingMonitor(run, {}).warned == {"discriminator dominance"}


@pytest.mark.parametrize(
    "text, failure",
    [
        ("step 10: mode collapse: two samples differ 3% as much. What usually helps: other advice", "mode collapse"),
        ("round 10: the discriminator has won: it ranks 99.9% of", "discriminator dominance"),
        ("round 10: the generator's gradient has vanished (norm 1e-9, it was 1)", "vanishing gradients"),
        ("round 10: the discriminator has given up: accuracy 50%", "uninformative discriminator"),
        ("round 10: collapse: two samples of a class differ 3% as much", "mode collapse"),
        ("the scores were skipped: mode collapse", None),
    ],
)
def test_warnings_are_recognized_by_the_failure_and_not_by_the_advice(text, failure):
    run = EmptyRun()
    run.rows = lambda: [{"step": 10, "warnings": [text]}]
    assert TrainingMonitor(run, {}).warned == ({failure} if failure else set())


def test_a_critic_does_not_dominate():
    logs = {**HEALTHY, "d_pairwise_accuracy": 0.999}
    assert find_warnings([HEALTHY, logs, logs, logs], objective=losses.wasserstein) == [[]] * 4


def test_mode_collapse_unless_diversity_is_still_rising():
    warnings = find_warnings([HEALTHY] * 5, [1.0, 0.9, 0.2, 0.19, 0.18])
    assert [len(texts) for texts in warnings] == [0, 0, 0, 1, 0] and "mode collapse: two samples differ 19%" in warnings[3][0]
    assert find_warnings([HEALTHY] * 4, [0.05, 0.1, 0.2, 0.39]) == [[]] * 4
    assert find_warnings([HEALTHY] * 3, [0.9, 0.8, 0.7]) == [[]] * 3
