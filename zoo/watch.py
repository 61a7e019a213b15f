"""The watch: what goes wrong while `fit` plays, in words and once."""

import math
import sys

import keras
import numpy as np

from zoo.errors import UserError

WON = 0.998  # share of real images that are ranked above generated ones from which on a discriminator has won
FADED = 0.01  # of a gradient's largest norm: below, it has vanished
COLLAPSED = 0.4  # of the variety of real images: below, samples have collapsed
HELPS = {
    "won": "a smaller --discriminator-learning-rate, a larger --generator-learning-rate, dropout or a penalty (R1) in the discriminator",
    "vanished": "the non-saturating loss instead of minimax, a smaller --discriminator-learning-rate",
    "blind": "a larger --discriminator-learning-rate, more --discriminator-steps, less dropout",
    "collapse": "smaller learning rates, a larger --batch-size, a penalty on the discriminator, or a checkpoint from before it",
}


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
        self.largest, self.seen, self.drawn, self.labels = {}, {}, 0.0, None

    def on_epoch_begin(self, epoch, logs=None):
        self.begun = self.model.played

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
        number, drawn, found = self.model.played, self._variety(), dict(self._won(logs or {}))
        rising = drawn is None or drawn > 1.1 * self.drawn  # as in the first rounds, when all samples are still grey
        self.drawn = drawn or 0.0
        if not rising and drawn < COLLAPSED:
            kind = " of a class" if self.labels is not None else ""
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
        if accuracy is not None and accuracy > WON and not self.model.objective.critic:
            yield "won", f"the discriminator has won: it ranks {accuracy:.1%} of the real images above generated ones"
        if faded.get("g"):
            yield "vanished", f"the generator's gradient has vanished (norm {norms['g']:.1e}, it was {self.largest['g']:.1e})"
        if faded.get("d") and accuracy is not None and accuracy < 0.6:
            yield "blind", f"the discriminator has given up: accuracy {accuracy:.0%}, gradient norm {norms['d']:.1e}"

    def _variety(self):
        """How much two samples differ, over how much two real images do; within classes where the model has them."""
        if not self.model.draws:
            return None
        if not hasattr(self, "real"):
            images = (np.asarray(self.batch["image"]) + 1) / 2
            self.labels = np.asarray(self.batch["label"]) if "label" in self.model.conditions else None
            try:
                self.real = self.variety(images, self.labels)
            except UserError:  # no two of a class among them
                self.labels = None
                self.real = self.variety(images, None)
        conditions = {name: self.batch[name] for name in self.model.conditions}
        drawn = np.asarray(self.model.sample(np.arange(len(self.batch["image"]), dtype=np.int64), **conditions))
        try:
            return self.variety(drawn, self.labels) / self.real if self.real else None
        except UserError:  # samples that are not finite
            return None
