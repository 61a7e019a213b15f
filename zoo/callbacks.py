"""What happens while `fit` plays: looks (checkpoint, scores, grid, a line of numbers), the watch, TensorBoard, signals, the profiler."""

import json
import math
import signal
import sys
import time

import keras
import numpy as np
import tensorflow as tf
from PIL import Image
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import summary as custom_scalar
from tensorboard.plugins.hparams import api as hparams

from zoo.errors import UserError
from zoo.results import base, rounded

SHARE = 0.15  # of a training's time that scores may take
WON = 0.998  # share of real images that are ranked above generated ones from which on a discriminator has won
FADED = 0.01  # of a gradient's largest norm: below, it has vanished
COLLAPSED = 0.4  # of the variety of real images: below, samples have collapsed
HELPS = {
    "won": "a smaller --discriminator-learning-rate, a larger --generator-learning-rate, dropout or a penalty (R1) in the discriminator",
    "vanished": "the non-saturating loss instead of minimax, a smaller --discriminator-learning-rate",
    "blind": "a larger --discriminator-learning-rate, more --discriminator-steps, less dropout",
    "collapse": "smaller learning rates, a larger --batch-size, a penalty on the discriminator, or a checkpoint from before it",
}
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
        for number in (signal.SIGINT, signal.SIGTERM) if self.signal is None else ():
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


class Diverged(Exception):
    """A value of the game is not finite any more; its text says which, where and when."""


class Watch(keras.callbacks.Callback):
    """Names what goes wrong while it happens: values that are not finite (raises Diverged), a player that has won, collapse.

    The last two are judged at each look by means over it, need two looks in a row, and are said once. batch: real images, what the variety
    of samples is measured against by `variety(images in [0, 1], labels or None)`.
    """

    def __init__(self, run, batch, variety):
        super().__init__()
        self.batch, self.variety, self.row, self.begun = batch, variety, {}, 0
        before = [text for row in run.rows for text in row.get("warnings", [])]
        self.said = {kind for kind, help in HELPS.items() if any(help in text for text in before)}
        self.largest, self.seen, self.drawn = {}, {}, 0.0

    def on_epoch_begin(self, epoch, logs=None):
        self.begun = played(self.model)

    def on_train_batch_end(self, batch, logs=None):
        if all(math.isfinite(value) for value in logs.values()):
            return
        found = self.model.ledger.trouble(batch + 1)
        if found is None:
            raise Diverged(f"by round {self.begun + batch + 1}: a value has grown beyond what a float holds")
        first, values, weights = found
        number = self.begun + first + 1
        values = [name for name in values if not name.endswith("gradient_norm")]
        terms = f"{' and '.join(values)} {'are' if len(values) > 1 else 'is'} not finite" if values else "every loss term is finite"
        layers = (
            f"the gradient of the {weights[0]}{f' and {len(weights) - 1} more' if weights[1:] else ''} is not finite" if weights else ""
        )
        raise Diverged(f"round {number}: {'; '.join(part for part in (terms, layers) if part)}")

    def on_epoch_end(self, epoch, logs=None):
        number, drawn, found = played(self.model), self._variety(), dict(self._won(logs or {}))
        rising = drawn is None or drawn > 1.1 * self.drawn  # as in the first rounds, when all samples are still grey
        self.drawn = drawn or 0.0
        if not rising and drawn < COLLAPSED:
            kind = " of a class" if self.model.conditions else ""
            found["collapse"] = f"collapse: two samples{kind} differ {drawn:.0%} as much as two real images do"
        self.seen = {kind: self.seen.get(kind, 0) + 1 for kind in found}
        news = [kind for kind, times in self.seen.items() if times >= 2 and kind not in self.said]
        self.said.update(news)
        texts = [f"round {number}: {found[kind]}. What usually helps: {HELPS[kind]}" for kind in news]
        for text in texts:
            print(f"\nwarning: {text}", file=sys.stderr, flush=True)
        self.row = {"warnings": texts} if texts else {}
        if drawn is not None:
            self.row["variety"] = round(drawn, 4)

    def _won(self, logs):
        """(kind, what to say) of a player that has won, by the means over this look."""
        accuracy, norms, faded = logs.get("d_accuracy"), {}, {}
        for player in "gd":
            if (norm := logs.get(f"{player}_gradient_norm")) is not None:
                self.largest[player] = max(norm, self.largest.get(player, 0.0))
                faded[player], norms[player] = norm < FADED * self.largest[player] or norm < 1e-7, norm
        if accuracy is not None and accuracy > WON:
            yield "won", f"the discriminator has won: it ranks {accuracy:.1%} of the real images above generated ones"
        if faded.get("g"):
            yield "vanished", f"the generator's gradient has vanished (norm {norms['g']:.1e}, it was {self.largest['g']:.1e})"
        if faded.get("d") and accuracy is not None and accuracy < 0.6:
            yield "blind", f"the discriminator has given up: accuracy {accuracy:.0%}, gradient norm {norms['d']:.1e}"

    def _variety(self):
        """How much two samples differ, over how much two real images do; within classes where the model has them."""
        labels = self.batch.get("label") if "label" in self.model.conditions else None
        try:
            if not hasattr(self, "real"):
                self.real = self.variety((np.asarray(self.batch["image"]) + 1) / 2, None if labels is None else np.asarray(labels))
            conditions = {name: self.batch[name] for name in self.model.conditions}
            count = len(self.batch["image"])
            drawn = np.asarray(self.model.sample(np.arange(count, dtype=np.int64), **conditions))
            return self.variety(drawn, None if labels is None else np.asarray(labels)) / self.real if self.real else None
        except UserError:  # too few images of a class to say
            return None


class Evaluate(keras.callbacks.Callback):
    """At the end of an epoch: scores of samples by an `Evaluation`; keeps the best checkpoint by one of them.

    metrics: their names; best: the one that decides. share: of the training's time; where evaluating has taken more, a look goes without
    (never the last one), so that training never stalls and every score has the same protocol.
    """

    def __init__(self, run, writer, evaluation, metrics, best, share=SHARE):
        super().__init__()
        self.run, self.writer, self.evaluation, self.metrics, self.best, self.share = run, writer, evaluation, metrics, best, share
        self.started, self.spent, self.row, self.failed = None, 0.0, {}, False

    def on_train_begin(self, logs=None):
        if self.started is None:
            self.started = time.monotonic()
            with self.writer.as_default(step=played(self.model)):
                tf.summary.text("protocol", f"```\n{json.dumps(self.evaluation.protocol(self.model.compute_dtype), indent=2)}\n```")

    def on_epoch_end(self, epoch, logs=None):
        self.row, began = {}, time.monotonic()
        last = played(self.model) >= self.model.config.steps
        if self.model.stop_training or (self.spent > self.share * (began - self.started) and not last):
            return
        scores = self.evaluation.scores(self.evaluation.samples(self.model), self.metrics, self._say)
        self._keep(scores)
        seconds = time.monotonic() - began
        self.spent += seconds
        self.row = {
            "scores": {name: rounded(value) for name, value in scores.items()},
            "protocol": self.evaluation.protocol(self.model.compute_dtype),
            "scores_seconds": round(seconds, 2),
        }
        with self.writer.as_default(step=played(self.model)):
            for name, value in scores.items():
                tf.summary.scalar(f"scores/{name}", value)
        logs.update({base(name): value for name, value in scores.items()}, scores_seconds=seconds)  # for the progress line

    def _say(self, text):
        """Samples that a statistic cannot take are no reason to stop; said once."""
        if not self.failed:
            print(f"\nwarning: {text}", file=sys.stderr, flush=True)
        self.failed = True

    def _keep(self, scores):
        name = self.evaluation.named(self.best, scores)
        if name is None or not math.isfinite(scores[name]):
            return
        before = self.run.best
        if not before or before["name"] != name or self.evaluation.better(name, scores[name], before["value"]):
            self.run.keep_best(self.model, name, scores[name])


class Save(keras.callbacks.Callback):
    """The checkpoint: at the end of each epoch, before anything else happens there, and at the start where there is none to go back to."""

    def __init__(self, run):
        super().__init__()
        self.run = run

    def set_model(self, model):
        super().set_model(model)
        self.manager = self.run.manager(model)

    def on_train_begin(self, logs=None):
        if not self.run.checkpoints:
            self.save()

    def on_epoch_end(self, epoch, logs=None):
        self.save()

    def save(self):
        self.manager.save(checkpoint_number=played(self.model))


class Look(keras.callbacks.Callback):
    """At the end of each epoch: a grid of samples and a line of numbers.

    others: callbacks before this one whose `row` belongs to that line.
    """

    def __init__(self, run, writer, batch, others=()):
        super().__init__()
        self.run, self.writer, self.batch, self.others, self.started = run, writer, batch, others, None

    def on_train_begin(self, logs=None):
        if self.started is None:
            self.started, self.first = time.monotonic(), played(self.model)
            self.before = max((row.get("seconds", 0.0) for row in self.run.rows), default=0.0)

    def on_epoch_end(self, epoch, logs=None):
        number, config = played(self.model), self.model.config
        picture = grid(*(np.asarray(value) for value in self.model.preview(self.batch)))
        folder = self.run.folder / "samples"
        folder.mkdir(exist_ok=True)
        save_png(folder / f"round-{number:06d}.png", picture)
        with self.writer.as_default(step=number):
            tf.summary.image("samples", picture[None])
        seconds = time.monotonic() - self.started
        images = config.batch_size * config.discriminator_steps
        rows = [other.row for other in self.others]
        shown = {base(name) for row in rows for name in row.get("scores", {})} | {"scores_seconds"}
        training = seconds - sum(getattr(other, "spent", 0.0) for other in self.others)
        self.run.append(
            {
                "round": number,
                "images": number * images,
                "seconds": round(self.before + seconds, 3),
                "images_per_second": round((number - self.first) * images / training, 1),
                **{name: round(float(value), 6) for name, value in (logs or {}).items() if name not in shown},
                **{name: value for row in rows for name, value in row.items()},
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
