"""Means of what the training step logs, and the detection of values that are not finite."""

from __future__ import annotations

import threading
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from zoo.core import replicas


class StepTrace(threading.local):
    """What is logged in one tracing of the step; replicas are traced in threads of their own."""

    def __init__(self) -> None:
        self.values: dict[str, list[tf.Tensor]] = {}
        self.gradients: dict[str, tf.Tensor] = {}


class NonFinite(NamedTuple):
    """The first step in which something was not finite: its number from 0, the names of logged values and of weights."""

    step: int
    values: list[str]
    weights: list[str]


class StepMetrics(keras.metrics.Metric):
    """Means of named values, in one variable: names may appear while the step is traced, variables may not be created then.

    Beside each sum stands the number of steps until the value was not finite for the first time, which tells what went wrong and when.
    All replicas hold the same numbers, those of the global batch, so that each can read them without the others.
    """

    MAX_VALUES = 63  # values that can be logged
    MAX_WEIGHTS = 1024  # weights whose gradients are watched

    class Mean(keras.metrics.Metric):
        """The mean of one value, as Keras' logs expect it; NaN if the value was not finite in some step."""

        def __init__(self, parent: StepMetrics, index: int, name: str) -> None:
            super().__init__(name=name)
            self.read = lambda: parent.mean(index)
            self.reset_state = parent.reset_state

        def result(self) -> tf.Tensor:
            return self.read()

    def __init__(self) -> None:
        super().__init__(name="step_metrics")
        # Sums of finite values and numbers of finite steps; below, those of each weight's gradient. A replica reads its own.
        self.total = self.add_variable((2, self.MAX_VALUES + 1), "zeros", name="total", aggregation="only_first_replica")
        self.finite_steps = self.add_variable((self.MAX_WEIGHTS,), "zeros", name="finite_steps", aggregation="only_first_replica")
        self.means: dict[str, StepMetrics.Mean] = {}
        self.watched_weights: list[str] = []
        self.trace = StepTrace()

    def restart(self) -> None:
        """Begins a new step; what an abandoned tracing logged belongs to its own graph."""
        self.trace.values, self.trace.gradients = {}, {}

    def log(self, values: dict[str, Any]) -> None:
        """Logs scalars of this step; a value logged several times (k discriminator updates) counts by its mean."""
        for name, value in values.items():
            self.trace.values.setdefault(name, []).append(tf.cast(value, tf.float32))

    def log_logits(self, real: tf.Tensor, fake: tf.Tensor) -> None:
        """Logs the mean logits of the discriminator, and its accuracy on pairs: how often the real image has the higher logit.

        The accuracy is 0.5 for a discriminator that cannot tell them apart.
        """
        pairs = tf.cast(real > fake, tf.float32)
        self.log({"d_real_logit": tf.reduce_mean(real), "d_fake_logit": tf.reduce_mean(fake), "d_pairwise_accuracy": tf.reduce_mean(pairs)})

    def watch_gradients(self, network: keras.Model, squares: tf.Tensor) -> None:
        """Records whether the gradient of each weight is finite.

        Args:
            network: The player that is updated.
            squares: Sum of squares of each trainable weight's gradient, [weights].
        """
        finite = tf.unstack(tf.cast(tf.math.is_finite(squares), tf.float32))
        for weight, is_finite in zip(network.trainable_variables, finite, strict=True):
            name = f"{network.name}'s {weight.path}"
            gradients = self.trace.gradients
            gradients[name] = gradients[name] * is_finite if name in gradients else is_finite

    def update(self) -> None:
        """Adds the values of this step to the means."""
        values, gradients = self.trace.values, self.trace.gradients
        for name in values:
            if name not in self.means:
                self.means[name] = self.Mean(self, len(self.means), name)
        self.watched_weights.extend(path for path in gradients if path not in self.watched_weights)
        missing = tf.constant(float("nan"))  # a test step logs fewer values than a training step
        row = tf.stack([tf.add_n(list(values[name])) / len(values[name]) if name in values else missing for name in self.means])
        finite = tf.stack([gradients.get(path, 1.0) for path in self.watched_weights][: self.MAX_WEIGHTS])
        row, finite = replicas.mean((row, finite))
        is_finite, counts = tf.math.is_finite(row), self.total[1]
        rows = tf.stack([tf.where(is_finite, row, 0.0), tf.cast(is_finite & (counts[: row.shape[0]] >= counts[-1]), tf.float32)])
        self.total.assign_add(tf.concat([rows, tf.zeros([2, self.MAX_VALUES - row.shape[0]]), tf.ones([2, 1])], 1))
        finite = tf.pad(tf.floor(finite), [[0, self.MAX_WEIGHTS - finite.shape[0]]])
        self.finite_steps.assign_add(tf.where(self.finite_steps >= counts[-1], finite, 0.0))

    def results(self) -> dict[str, tf.Tensor]:
        """The means of all values by name."""
        return dict(zip(self.means, tf.unstack(self._compute_means()[: len(self.means)]), strict=True))

    def mean(self, index: int) -> tf.Tensor:
        """The mean of value number `index` over the steps since the last reset."""
        return self._compute_means()[index]

    def _compute_means(self) -> tf.Tensor:
        """The means of all values, [MAX_VALUES + 1]."""
        sums, counts = tf.unstack(self.total.value)
        steps = counts[-1]
        return tf.where(counts < steps, float("nan"), sums / tf.maximum(steps, 1))

    def first_non_finite(self, steps: int) -> NonFinite | None:
        """What was not finite in the first bad one of `steps` steps since the last reset, or None.

        What the discriminator's update has broken breaks the generator's too: then only the former is named.
        """
        counts = keras.ops.convert_to_numpy(self.total)[1]
        finite_steps = keras.ops.convert_to_numpy(self.finite_steps)
        first_bad = {name: int(counts[i]) for i, name in enumerate(self.means)}
        first_bad |= {name: int(finite_steps[i]) for i, name in enumerate(self.watched_weights[: self.MAX_WEIGHTS])}
        step = min(first_bad.values(), default=steps)
        if step >= steps:
            return None
        names = [name for name, bad_step in first_bad.items() if bad_step == step]
        if any(name.startswith("d_") for name in names):
            names = [name for name in names if not name.startswith(("g_", "generator's"))]
        return NonFinite(step, [name for name in names if name in self.means], [name for name in names if name not in self.means])

    def result(self) -> tf.Tensor:
        return self.total[1, -1]
