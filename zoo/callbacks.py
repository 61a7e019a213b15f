"""What happens while `fit` plays: looks (checkpoint, grid, a line of numbers), TensorBoard, signals, the profiler."""

import json
import signal
import time

import keras
import numpy as np
import tensorflow as tf
from PIL import Image
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import summary as custom_scalar
from tensorboard.plugins.hparams import api as hparams

GAP = 2  # pixels between the pictures of a grid


def grid(images, columns):
    """Images [n, h, w, c] in [0, 1] as one uint8 picture, row by row; the last row is filled up with grey."""
    images = np.uint8(np.rint(np.clip(images, 0, 1) * 255))
    n, height, width, channels = images.shape
    rows = -(-n // columns)
    whole = np.full((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, channels), 128, np.uint8)
    for i, image in enumerate(images):
        top, left = i // columns * (height + GAP), i % columns * (width + GAP)
        whole[top : top + height, left : left + width] = image
    return whole


def save_png(path, picture):
    """Writes a uint8 picture [h, w, 1 or 3]."""
    Image.fromarray(picture.squeeze(-1) if picture.shape[-1] == 1 else picture).save(path, "PNG")


def played(game):
    """Rounds that a model has played."""
    return int(_value(game.round))


def _value(variable):
    """A scalar variable's value, also where replicas hold copies of it."""
    return float(keras.ops.convert_to_numpy(variable))


class Interrupt(keras.callbacks.Callback):
    """Ctrl-C and SIGTERM end the training after the round under way; the looks still save it. `signal` tells which came."""

    def __init__(self):
        super().__init__()
        self.signal, self.before = None, {}

    def on_train_begin(self, logs=None):
        for number in (signal.SIGINT, signal.SIGTERM):
            self.before.setdefault(number, signal.signal(number, self._note))

    def _note(self, number, frame):
        self.signal = number
        self.restore()  # a second one ends it at once

    def on_train_batch_end(self, batch, logs=None):
        if self.signal:
            self.model.stop_training = True

    def restore(self):
        """Puts the handlers back that were there before."""
        while self.before:
            signal.signal(*self.before.popitem())


class Look(keras.callbacks.Callback):
    """At the end of each epoch: the checkpoint first, then a grid of samples and a line of numbers."""

    def __init__(self, run, writer, batch):
        super().__init__()
        self.run, self.writer, self.batch, self.started = run, writer, batch, None

    def set_model(self, model):
        super().set_model(model)
        self.manager = self.run.manager(model)

    def on_train_begin(self, logs=None):
        if self.started is None:
            self.started, self.first = time.monotonic(), played(self.model)
            before = self.run.folder / "metrics.jsonl"
            rows = before.read_text().splitlines() if before.exists() else []
            self.before = json.loads(rows[-1])["seconds"] if rows else 0.0

    def on_epoch_end(self, epoch, logs=None):
        number, config = played(self.model), self.model.config
        self.manager.save(checkpoint_number=number)
        picture = grid(*(np.asarray(value) for value in self.model.preview(self.batch)))
        folder = self.run.folder / "samples"
        folder.mkdir(exist_ok=True)
        save_png(folder / f"round-{number:06d}.png", picture)
        with self.writer.as_default(step=number):
            tf.summary.image("samples", picture[None])
        seconds = time.monotonic() - self.started
        images = config.batch_size * config.discriminator_steps
        self.run.append(
            {
                "round": number,
                "images": number * images,
                "seconds": round(self.before + seconds, 3),
                "images_per_second": round((number - self.first) * images / seconds, 1),
                **{name: round(float(value), 6) for name, value in (logs or {}).items()},
            }
        )


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
        with self.writer.as_default(step=played(self.model)):
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
        number = played(self.model)
        if self.looks % self.histograms == 1 or number >= self.model.config.steps:
            with self.writer.as_default(step=number):
                for player, network in (("g", self.model.generator), ("d", self.model.discriminator)):
                    for weight in network.trainable_weights:
                        tf.summary.histogram(f"{player}_weights/{weight.path}", keras.ops.convert_to_numpy(weight))
        self.writer.flush()

    def _write(self, done, logs):
        # Keras' logs are means since the epoch began: their sums, less the ones of the last point, are those since then.
        now, rounds, config = time.monotonic(), done - self.count, self.model.config
        sums = {name: float(value) * done for name, value in logs.items()}
        with self.writer.as_default(step=played(self.model)):
            if not self.laid_out:
                tf.summary.experimental.write_raw_pb(custom_scalar.pb(_layout(logs)).SerializeToString())
                self.laid_out = True
            for name, total in sums.items():
                tf.summary.scalar(_tag(name), (total - self.sums.get(name, 0.0)) / rounds)
            for player, optimizer in (("d", self.model.d_optimizer), ("g", self.model.g_optimizer)):
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
    """Both networks as one graph function, for TensorBoard's graph page."""
    inputs = [
        {i.name: tf.TensorSpec([None, *i.shape[1:]], i.dtype, i.name) for i in network.inputs}
        for network in (game.generator, game.discriminator)
    ]

    @tf.function
    def networks(for_generator, for_discriminator):
        return game.generator(for_generator, training=False), game.discriminator(for_discriminator, training=False)

    return networks.get_concrete_function(*inputs)


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
