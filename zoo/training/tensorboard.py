"""TensorBoard: curves, histograms, graph, configuration; and its profiler."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import summary as custom_scalar
from tensorboard.plugins.hparams import api as hparams

from zoo.core import Game, optimizers

if TYPE_CHECKING:
    from zoo.metrics.registry import Score
    from zoo.runs import Run
    from zoo.types import Protocol

PROFILED_EXECUTION = 3  # the executions before it include tracing and warm-up


def write_evaluation(folder: Path, step: int, checkpoint: str, scores: Mapping[str, Score], protocol: Protocol) -> None:
    """Writes scores that were computed after training, as text.

    They are written to `folder`/evaluated, because the run's own event file may still be open.

    Args:
        folder: The run's folder.
        step: The step whose weights were scored.
        checkpoint: `last`, `best`, or a step.
        scores: Name -> score.
        protocol: What the scores depend on.
    """
    rows = [f"| {name} | {score.value:.4g} |" for name, score in scores.items()]
    text = "\n".join(["| score | value |", "|---|---|", *rows, "", f"```\n{json.dumps(protocol.to_dict(), indent=2)}\n```"])
    with tf.summary.create_file_writer(str(folder / "evaluated")).as_default(step=step):
        tf.summary.text(f"evaluated, {checkpoint}", text)


class TensorBoardSummaries(keras.callbacks.Callback):
    """Writes loss terms, logits, gradient norms, learning rates, speed and histograms; once: graph, configuration and layout.

    Everything is written outside the step, so it is independent of compilation with XLA.

    Args:
        run: The run.
        writer: Writes to the run's folder.
        cadence: Steps between two points of a curve.
        histograms: Evaluations between two histograms of each weight.
    """

    def __init__(self, run: Run, writer: tf.summary.SummaryWriter, cadence: int = 20, histograms: int = 5) -> None:
        super().__init__()
        self.run, self.writer, self.cadence, self.histograms = run, writer, cadence, histograms
        self.evaluations = 0
        self.has_begun = self.has_layout = False

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        if self.has_begun:
            return
        self.has_begun = True
        record = self.run.record
        settings = {name: value if isinstance(value, (bool, int, float, str)) else str(value) for name, value in record.config.items()}
        with self.writer.as_default(step=self.model.completed_steps):
            tf.summary.text("configuration", f"```\n{json.dumps(record.to_dict(), indent=2)}\n```")
            hparams.hparams({"model": record.model, "data": record.data.name, **settings}, trial_id=self.run.folder.name)
            tf.summary.graph(_trace_networks(self.model).graph)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.last_sums: dict[str, float] = {}
        self.written_steps = self.epoch_steps = 0
        self.last_time = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.epoch_steps = batch + 1
        if self.epoch_steps - self.written_steps >= self.cadence:
            self._write_point(logs or {})

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self.epoch_steps > self.written_steps:
            self._write_point(logs or {})
        self.evaluations += 1
        if self.evaluations % self.histograms == 1 or self.model.completed_steps >= self.model.config.steps:
            self._write_histograms()
        self.writer.flush()

    def _write_histograms(self) -> None:
        with self.writer.as_default(step=self.model.completed_steps):
            for player, network in self.model.players.items():
                for weight in network.trainable_weights:
                    tf.summary.histogram(f"{player}_weights/{weight.path}", keras.ops.convert_to_numpy(weight))

    def _write_point(self, logs: dict[str, Any]) -> None:
        # Keras' logs are means since the epoch began: their sums, minus those of the last point, are the sums since then.
        now, steps, config = time.monotonic(), self.epoch_steps - self.written_steps, self.model.config
        sums = {name: float(value) * self.epoch_steps for name, value in logs.items()}
        with self.writer.as_default(step=self.model.completed_steps):
            if not self.has_layout:
                tf.summary.experimental.write_raw_pb(custom_scalar.pb(_build_layout(logs)).SerializeToString())
                self.has_layout = True
            for name, total in sums.items():
                tf.summary.scalar(_tag(name), (total - self.last_sums.get(name, 0.0)) / steps)
            for player, optimizer in optimizers.by_player(self.model).items():
                tf.summary.scalar(f"{player}/learning_rate", _to_float(optimizer.learning_rate))
                if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
                    tf.summary.scalar(f"{player}/loss_scale", _to_float(optimizer.dynamic_scale))
            images = steps * config.batch_size * config.discriminator_steps
            tf.summary.scalar("speed/images_per_second", images / (now - self.last_time))
        self.last_sums, self.written_steps, self.last_time = sums, self.epoch_steps, now


class Profile(keras.callbacks.Callback):
    """Traces one execution for TensorBoard's profiler: number `PROFILED_EXECUTION`, or the last one of a shorter run."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run, self.executions = run, 0
        self.is_tracing = self.is_done = False

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.executions += 1
        total = self.params["epochs"] * math.ceil(self.params["steps"] / self.model.steps_per_execution)
        if self.executions == min(PROFILED_EXECUTION, total) and not self.is_done:
            self.is_done = True
            tf.profiler.experimental.start(str(self.run.folder))
            self.is_tracing = True

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._stop()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self._stop()

    def _stop(self) -> None:
        if self.is_tracing:
            tf.profiler.experimental.stop()
            self.is_tracing = False


def _trace_networks(model: Game) -> tf.types.experimental.ConcreteFunction:
    """The players' networks as one graph function, for TensorBoard's graph page."""
    specs = {
        player: {tensor.name: tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype, tensor.name) for tensor in network.inputs}
        for player, network in model.players.items()
    }

    @tf.function(autograph=False)
    def networks(inputs: dict[str, dict[str, tf.Tensor]]) -> dict[str, Any]:
        return {player: network(inputs[player], training=False) for player, network in model.players.items()}

    return networks.get_concrete_function(specs)


def _build_layout(names: Iterable[str]) -> layout_pb2.Layout:
    """Custom scalars: one chart per quantity with both players side by side (`d_class` and `g_class` share one)."""
    tags: dict[str, list[str]] = {}
    for name in [*names, "d_learning_rate", "g_learning_rate"]:
        quantity = "mean logit" if name.endswith("_logit") else name.partition("_")[2].replace("_", " ")
        tags.setdefault(quantity, []).append(f"^{_tag(name)}$")
    charts = [
        layout_pb2.Chart(title=quantity, multiline=layout_pb2.MultilineChartContent(tag=tag)) for quantity, tag in sorted(tags.items())
    ]
    return layout_pb2.Layout(category=[layout_pb2.Category(title="discriminator and generator", chart=charts)])


def _tag(name: str) -> str:
    """A logged name as TensorBoard groups it: `d_class` -> `d/class`."""
    return name.replace("_", "/", 1)


def _to_float(variable: Any) -> float:
    """A scalar variable's value, also where replicas hold copies of it."""
    return float(keras.ops.convert_to_numpy(variable))
