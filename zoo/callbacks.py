"""What happens while `fit` plays: the checkpoint, scores, a grid, a line of numbers at each look; signals."""

import json
import math
import signal
import sys
import time

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from zoo.errors import UserError
from zoo.results import base, rounded

SHARE = 0.15  # of a training's time that scores may take
PROBE = 50  # images by which it is found out how long they take
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


class Evaluate(keras.callbacks.Callback):
    """At the end of an epoch: scores of samples by an `Evaluation`; keeps the best checkpoint by one of them.

    metrics: their names; best: the one that decides. Where evaluating would take more than `SHARE` of the training's time, a look goes
    without (never the last one), so that training does not stall and every score has the same protocol.
    """

    def __init__(self, run, writer, evaluation, metrics, best):
        super().__init__()
        self.run, self.writer, self.evaluation, self.metrics, self.best = run, writer, evaluation, metrics, best
        self.started, self.spent, self.row, self.said = None, 0.0, {}, set()

    def on_train_begin(self, logs=None):
        if self.started is None:
            self.expected = self._probed() if self.model.draws else 0.0
            self.started = time.monotonic()
            with self.writer.as_default(step=self.model.played):
                tf.summary.text("protocol", f"```\n{json.dumps(self._protocol(), indent=2)}\n```")

    def on_epoch_end(self, epoch, logs=None):
        self.row, began = {}, time.monotonic()
        last = self.model.played >= self.model.config.steps
        if self.model.stop_training or (self.spent + self.expected > SHARE * (began - self.started) and not last):
            return
        try:
            scores = self.evaluation.all(self.model, self.metrics, self._say)
        except UserError as error:  # the samples are all the same: training goes on, it may get over that
            self._say(f"nothing is scored: {error}")
            scores = {}
        self._keep(scores)
        seconds = time.monotonic() - began
        self.spent, self.expected = self.spent + seconds, seconds
        if not scores:
            return
        self.row = {
            "scores": {name: rounded(value) for name, value in scores.items()},
            "protocol": self._protocol(),
            "scores_seconds": round(seconds, 2),
        }
        with self.writer.as_default(step=self.model.played):
            for name, value in scores.items():
                tf.summary.scalar(f"scores of {self.evaluation.count}/{name}", value)
        logs.update({base(name): value for name, value in scores.items()}, scores_seconds=seconds)  # for the progress line

    def _probed(self):
        """Seconds that samples and real images will take to be made and seen, as a few tell."""
        evaluation, real = self.evaluation, self.evaluation.real.images[:PROBE]
        evaluation.check(self.model)
        for _ in range(2):  # the first time traces
            began = time.monotonic()
            made = evaluation.drawn(self.model, PROBE, evaluation.labels(self.model, PROBE))
            for images in (made, real):
                evaluation.extractor(images)
        return (time.monotonic() - began) / PROBE * evaluation.count

    def _protocol(self):
        return self.evaluation.protocol(self.model.compute_dtype, self.model.draws)

    def _say(self, text):
        """Says a thing once: samples that a statistic cannot take are no reason to stop."""
        if text not in self.said:
            print(f"\nwarning: {text}", file=sys.stderr, flush=True)
        self.said.add(text)

    def _keep(self, scores):
        name = self.evaluation.named(self.best, scores)
        if name is None and scores:
            offer = ", ".join(map(base, scores))
            self._say(f"these data do not allow to measure {self.best}: no best checkpoint is kept; --best may be one of {offer}")
        if name is None or not math.isfinite(scores[name]):
            return
        before = self.run.best
        if before and before["name"] != name:
            self._say(f"the best checkpoint was chosen by {before['name']}; from here on it is by {name}, which does not compare")
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
        self.manager.save(checkpoint_number=self.model.played)


class Look(keras.callbacks.Callback):
    """At the end of each epoch: a grid of samples and a line of numbers.

    others: callbacks before this one whose `row` belongs to that line.
    """

    def __init__(self, run, writer, batch, others=()):
        super().__init__()
        self.run, self.writer, self.batch, self.others, self.started = run, writer, batch, others, None

    def on_train_begin(self, logs=None):
        if self.started is None:
            self.started = time.monotonic()
            self.before = max((row.get("seconds", 0.0) for row in self.run.rows), default=0.0)

    def on_epoch_begin(self, epoch, logs=None):
        self.begun, self.first = time.monotonic(), self.model.played

    def on_train_batch_end(self, batch, logs=None):
        self.ended = time.monotonic()  # what comes after is no training

    def on_epoch_end(self, epoch, logs=None):
        number, config = self.model.played, self.model.config
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
        self.run.append(
            {
                "round": number,
                "images": number * images,
                "seconds": round(self.before + seconds, 3),
                "images_per_second": round((number - self.first) * images / (self.ended - self.begun), 1),
                **{name: round(float(value), 6) for name, value in (logs or {}).items() if name not in shown},
                **{name: value for row in rows for name, value in row.items()},
            }
        )
