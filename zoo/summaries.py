"""TensorBoard: curves, histograms, graph, settings; and its profiler."""

import json
import time

import keras
import tensorflow as tf
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import summary as custom_scalar
from tensorboard.plugins.hparams import api as hparams


def evaluated(folder, number, checkpoint, scores, protocol):
    """Scores that were made after the training, with their protocol, as a text of a part of its own: the run's may still be written."""
    rows = [f"| {name} | {value:.4g} |" for name, value in scores.items()]
    text = "\n".join(["| score | value |", "|---|---|", *rows, "", f"```\n{json.dumps(protocol, indent=2)}\n```"])
    with tf.summary.create_file_writer(str(folder / "evaluated")).as_default(step=number):
        tf.summary.text(f"evaluated, {checkpoint}", text)


class Summaries(keras.callbacks.Callback):
    """TensorBoard: every term, logit and gradient norm by player, rates, speed; histograms; once: graph, settings, layout.

    Written from outside the step, where compilation by XLA does not mind. cadence: rounds between two points of a curve.
    """

    def __init__(self, run, writer, cadence=20, histograms=5):
        super().__init__()
        self.run, self.writer, self.cadence, self.histograms, self.looks = run, writer, cadence, histograms, 0
        self.begun = self.laid_out = False

    def on_train_begin(self, logs=None):
        if self.begun:
            return
        self.begun = True
        record = self.run.record
        settings = {k: v if isinstance(v, (bool, int, float, str)) else str(v) for k, v in record["config"].items()}
        with self.writer.as_default(step=self.model.played):
            tf.summary.text("configuration", f"```\n{json.dumps(record, indent=2)}\n```")
            hparams.hparams({"model": record["model"], "data": record["data"]["name"], **settings}, trial_id=self.run.folder.name)
            tf.summary.graph(_networks(self.model).graph)

    def on_epoch_begin(self, epoch, logs=None):
        self.sums, self.count, self.done, self.since = {}, 0, 0, time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        self.done = batch + 1
        if self.done - self.count >= self.cadence:
            self._write(self.done, logs)

    def on_epoch_end(self, epoch, logs=None):
        if self.done > self.count:
            self._write(self.done, logs)
        self.looks += 1
        number = self.model.played
        if self.looks % self.histograms == 1 or number >= self.model.config.steps:
            with self.writer.as_default(step=number):
                for player, network in self.model.players.items():
                    for weight in network.trainable_weights:
                        tf.summary.histogram(f"{player}_weights/{weight.path}", keras.ops.convert_to_numpy(weight))
        self.writer.flush()

    def _write(self, done, logs):
        # Keras' logs are means since the epoch began: their sums, less the ones of the last point, are those since then.
        now, rounds, config = time.monotonic(), done - self.count, self.model.config
        sums = {name: float(value) * done for name, value in logs.items()}
        with self.writer.as_default(step=self.model.played):
            if not self.laid_out:
                tf.summary.experimental.write_raw_pb(custom_scalar.pb(_layout(logs)).SerializeToString())
                self.laid_out = True
            for name, total in sums.items():
                tf.summary.scalar(_tag(name), (total - self.sums.get(name, 0.0)) / rounds)
            for player, optimizer in self.model.optimizers.items():
                tf.summary.scalar(f"{player}/learning_rate", _value(optimizer.learning_rate))
                if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
                    tf.summary.scalar(f"{player}/loss_scale", _value(optimizer.dynamic_scale))
            images = rounds * config.batch_size * config.discriminator_steps
            tf.summary.scalar("speed/images_per_second", images / (now - self.since))
        self.sums, self.count, self.since = sums, done, now


class Profile(keras.callbacks.Callback):
    """Traces the third execution for TensorBoard's profiler, when everything is warm, or the last where there are fewer."""

    def __init__(self, run):
        super().__init__()
        self.run, self.executions, self.tracing, self.traced = run, 0, False, False

    def on_train_batch_begin(self, batch, logs=None):
        self.executions += 1
        here = self.params["epochs"] * -(-self.params["steps"] // self.model.steps_per_execution)
        if self.executions == min(3, here) and not self.traced:
            self.traced = True
            tf.profiler.experimental.start(str(self.run.folder))
            self.tracing = True

    def on_train_batch_end(self, batch, logs=None):
        self._stop()

    def on_train_end(self, logs=None):
        self._stop()

    def _stop(self):
        if self.tracing:
            tf.profiler.experimental.stop()
            self.tracing = False


def _networks(game):
    """The players' networks as one graph function, for TensorBoard's graph page."""
    inputs = {
        player: {i.name: tf.TensorSpec([None, *i.shape[1:]], i.dtype, i.name) for i in network.inputs}
        for player, network in game.players.items()
    }

    @tf.function
    def networks(inputs):
        return {player: network(inputs[player], training=False) for player, network in game.players.items()}

    return networks.get_concrete_function(inputs)


def _layout(names):
    """Custom scalars: the two players side by side, one chart a quantity (`d_class` and `g_class` share one)."""
    charts = {}
    for name in [*names, "d_learning_rate", "g_learning_rate"]:
        quantity = "mean logit" if name.endswith("_logit") else name.partition("_")[2].replace("_", " ")
        charts.setdefault(quantity, []).append(f"^{_tag(name)}$")
    charts = [
        layout_pb2.Chart(title=quantity, multiline=layout_pb2.MultilineChartContent(tag=tags)) for quantity, tags in sorted(charts.items())
    ]
    return layout_pb2.Layout(category=[layout_pb2.Category(title="discriminator and generator", chart=charts)])


def _tag(name):
    """A logged name as TensorBoard groups it: `d_class` -> `d/class`."""
    return name.replace("_", "/", 1)


def _value(variable):
    """A scalar variable's value, also where replicas hold copies of it."""
    return float(keras.ops.convert_to_numpy(variable))
