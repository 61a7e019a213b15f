"""Scores of a model's samples against real images, each with the protocol it was made by."""

import functools

import numpy as np
import tensorflow as tf

from zoo.errors import UserError, nearest
from zoo.metrics import distances, pictures
from zoo.results import base, best_first

BATCH = 250  # images that are sampled at once
MOST = 60_000  # training images that are searched
QUERIES = 1000  # images whose nearest training image is looked for


class Side:
    """One of the two sets that are compared: uint8 images, their labels where there are classes, what the extractor says of them."""

    def __init__(self, images, labels, extractor, progress=iter):
        self.images, self.labels, self.extractor, self.progress = images, labels, extractor, progress

    def __len__(self):
        return len(self.images)

    @functools.cached_property
    def said(self):
        return self.extractor(self.images, self.progress)

    @property
    def features(self):
        return self.said["features"]

    @functools.cached_property
    def gaussian(self):
        return distances.gaussian(self.features)

    @property
    def unit(self):
        """The images as float32 in [0, 1]."""
        return self.images.astype(np.float32) / 255


class Evaluation:
    """Compares samples with real images. The real side is read and seen by the extractor once, and kept.

    source: where the real images come from; extractor: see `extractors`, None for a model that makes nothing of noise and whose own scores
    need none. count: samples, and real images where the split has as many.
    split: `test` where there is one (real images that the model has not seen), else `train`. seed: of the samples and of the choice of
    real images. live: the generator as it is, not its average. truncation: see `Game.latents`. progress: what is being done -> a wrapper
    of its loop (a bar).
    """

    def __init__(self, source, extractor, count=10_000, split=None, seed=0, live=False, truncation=None, progress=lambda what: iter):
        split = split or ("test" if "test" in source.sizes else "train")
        if split not in source.sizes:
            raise UserError(f"{source.name} has no split '{split}'; there is: {', '.join(source.sizes)}")
        plausible(count, seed)
        self.source, self.extractor, self.count, self.split, self.seed, self.live = source, extractor, count, split, seed, live
        self.truncation, self.progress, self._sampler = truncation, progress, (None, None)

    @functools.cached_property
    def held(self):
        """Real examples as arrays, see `Source.some`: what samples are compared with, and what a model measures itself by."""
        return self.source.some(self.split, self.count, self.seed)

    @functools.cached_property
    def real(self):
        return Side(self.held["image"], self.held.get("label"), self.extractor, self.progress(f"{self.split} images"))

    @functools.cached_property
    def seen(self):
        """The training images, as many as can be held."""
        return self._taken("train", self.seed, MOST)

    def _taken(self, split, seed, count=None):
        drawn = self.source.some(split, count or self.count, seed)
        return Side(drawn["image"], drawn.get("label"), self.extractor, self.progress(f"{split} images"))

    def samples(self, game):
        """As many samples as `count`, with the classes of the real images in turn where the model has classes. UserError: all the same."""
        self.check(game)
        labels = self.labels(game, self.count)
        images = self.drawn(game, self.count, labels)
        if (images == images[0]).all():
            raise UserError(f"all {self.count} samples are the same image: the generator has collapsed, or has hardly begun to learn")
        return Side(images, labels.get("label"), self.extractor, self.progress("samples, seen"))

    def labels(self, game, count):
        """The real images' classes in turn, by the name of what a model with classes is asked for."""
        return {name: np.resize(self.real.labels, count) for name in game.conditions}

    def seen_again(self, fake):
        """Samples of another evaluation, seen by this one's extractor."""
        return Side(fake.images, fake.labels, self.extractor, self.progress("samples, seen"))

    def drawn(self, game, count, conditions=None):
        """`count` images of a model, uint8. Image i has seed i of a row of its own for each `seed`; conditions: name -> [count].

        UserError: values that are NaN or infinite.
        """
        if self._sampler[0] is not game:  # one graph, for tracing is what costs
            cut = {} if self.truncation is None else {"truncation": self.truncation}
            row = tf.TensorSpec([None], tf.int64)

            @tf.function(input_signature=[row, dict.fromkeys(game.conditions, row)])
            def draw(seed, conditions):
                images = game.sample(seed, live=self.live, **cut, **conditions)
                finite = tf.reduce_all(tf.math.is_finite(images), [1, 2, 3])
                return tf.image.convert_image_dtype(images, tf.uint8, saturate=True), finite

            self._sampler = game, draw
        seeds = np.arange(count, dtype=np.int64) + (np.int64(self.seed) << 32) + (1 << 24)  # away from the previews'
        parts = []
        for i in self.progress("samples")(range(0, count, BATCH)):
            picked = {name: tf.constant(np.int64(values[i : i + BATCH])) for name, values in (conditions or {}).items()}
            parts.append(self._sampler[1](tf.constant(seeds[i : i + BATCH]), picked))
        images, finite = (np.concatenate([number.numpy() for number in numbers]) for numbers in zip(*parts))
        if not finite.all():
            raise UserError(f"{np.count_nonzero(~finite)} of {count} samples have values that are NaN or infinite: the generator is broken")
        return images

    def other_real(self):
        """Real images of the train split in the place of samples, at most `count`; where that is the split, others of it if there are."""
        if self.split != "train":
            return self._taken("train", self.seed)
        drawn = {key: value[len(self.real) :] for key, value in self.source.some("train", 2 * self.count, self.seed).items()}
        return Side(drawn["image"], drawn.get("label"), self.extractor)

    def reference(self, metrics):
        """({name: value} of real images in the place of the samples: what these should reach at best; what those are, in words).

        Class accuracy is that of the real side itself: the classifier has learned from the train split. Metrics that such images cannot
        have are left out.
        """
        other = self.other_real()
        found = {}
        if len(other):
            names = [name for name in metrics if name not in ("memorisation", "class_accuracy")]
            found = self.scores(other, names, lambda text: None)
        words = f"{len(other):,} other images of the train split in the place of the samples" if len(other) else "no other real images"
        if "class_accuracy" in metrics and self.real.labels is not None and self.extractor.classes:
            found |= _class_accuracy(self, self.real)
            words += f"; class accuracy: of the {len(self.real):,} real images"
        return found, words

    def scores(self, fake, metrics, say=None):
        """{name: value} of the samples (a Side). metrics: names of `METRICS`. UserError: unknown, or not for these samples.

        say: told of what a statistic cannot take (too few images, all the same), which is then left out, not raised.
        """
        found = {}
        for name in metrics:
            if reason := _lacks(self, known(name), fake.labels is not None):
                raise UserError(reason)
        for function in self.progress("scores")(list(dict.fromkeys(METRICS[known(name)] for name in metrics))):
            try:
                found.update(function(self, fake))
            except UserError as error:
                if say is None:
                    raise
                say(f"a score is left out: {error}")
        asked = {*metrics, *("fid" for name in metrics if name == "frechet")}
        return {name: value for name, value in found.items() if base(name) in asked or base(name) not in METRICS}

    def all(self, game, metrics, say=None):
        """{name: value}: of metrics, which may be of the model's samples or what it measures itself (`Game.measures`)."""
        own = [name for name in metrics if name in game.measures]
        sampled = [name for name in metrics if name not in own]
        found = self.scores(self.samples(game), sampled, say) if sampled else {}
        if not own:
            return found
        classify = None
        if self.extractor and self.extractor.classes:
            classify = lambda images: self.extractor(images)["probabilities"].argmax(1)  # noqa: E731
        return found | {name: value for name, value in game.scores(self.held, classify).items() if name in own}

    def named(self, name, scores):
        """A metric's full name among scores: `frechet` -> `frechet[classifier-mnist-1a2b]`, or `fid`; None where it is missing."""
        return next((full for full in scores if base(full) in (name, "fid" if name == "frechet" else name)), None)

    def protocol(self, precision, samples=True):
        """Everything that a score depends on beside the model's weights: two scores compare where this is the same.

        precision: that the images are made in (a game's `compute_dtype`); samples: whether of noise (a game's `draws`).
        """
        return {
            "extractor": self.extractor and self.extractor.name,
            "extractor_sha256": self.extractor and self.extractor.sha256,
            "data": f"{self.source.name} {self.source.version}",
            "split": self._said_split(),
            "real_images": len(next(iter(self.held.values()))),
            "fake_images": self.count if samples else 0,
            "image_shape": list(self.source.image_shape),
            "resizing": self.extractor and self.extractor.resizing,
            "seed": self.seed,
            "generator": "live" if self.live else "averaged",
            "precision": precision,
            "truncation": self.truncation,
        }

    def _said_split(self):
        """The split, and what else tells which of its images the real ones are."""
        if not self.source.in_memory(self.split):
            return f"{self.split}, the first"  # elsewhere they are drawn by the seed
        return f"train, of {self.source.sizes['train']} images" if self.split == "train" else self.split  # of which there may be few

    @staticmethod
    def better(name, value, than):
        """Whether a value of a score is better than another."""
        return best_first(name)(value) < best_first(name)(than)

    def possible(self, game, names):
        """Those of the metrics that this model, these data and this extractor have."""
        if not game.draws:
            return []
        return [name for name in names if not _lacks(self, known(name), "label" in game.conditions)]

    def during_training(self, game, best):
        """The metrics that are cheap enough for every look, and `best`. UserError where that one is not to be had."""
        cheap = [*self.possible(game, CHEAP), *game.measures]
        if best in game.measures:
            return cheap
        if not game.draws:
            raise UserError(f"there is no score '{best}' of this model; there is: {', '.join(game.measures)}")
        if reason := _lacks(self, known(best), "label" in game.conditions):
            raise UserError(reason)
        return list(dict.fromkeys([*cheap, best]))

    def check(self, game):
        """Raises UserError where the model's images or classes are not those of the data."""
        if tuple(game.config.image_shape) != tuple(self.source.image_shape):
            raise UserError(
                f"the model makes images of {game.config.image_shape}, and the real ones are opened as {self.source.image_shape}"
            )
        if "label" in game.conditions and self.source.class_names is None:
            raise UserError(
                f"the model makes images by class, and {self.source.name} has no labels; name the data that it was trained on: --data"
            )
        if "label" in game.conditions and not 0 <= self.real.labels.min() <= self.real.labels.max() < game.config.num_classes:
            found = f"{self.real.labels.min()} to {self.real.labels.max()}"
            raise UserError(
                f"the model has {game.config.num_classes} classes, and {self.source.name} has labels {found}; name other data: --data"
            )


def plausible(count, seed):
    """Raises UserError for a number of images, or a seed, that makes no sense."""
    if count < 2:
        raise UserError(f"--count {count}: scores compare sets of images; at least 2")
    if not 0 <= seed < 2**31:
        raise UserError(f"--seed {seed}: must be from 0 to {2**31 - 1}")


# -- the scores, each {name: value} of an evaluation and the samples ------------------------------------------------------------------


def _frechet(evaluation, fake):
    return {evaluation.extractor.distance: distances.frechet(evaluation.real.gaussian, fake.features)}


def _kid(evaluation, fake):
    name, sides = evaluation.extractor.name, {"real": evaluation.real, "generated": fake}
    for kind, side in sides.items():
        distances.usable("KID with its error", kind, side.features, 4)
    size = min(1000, *(len(side) // 2 for side in sides.values()))  # subsets that differ: of all images, their error would be 0
    mean, error = distances.kid(evaluation.real.features, fake.features, size=size, seed=evaluation.seed)
    return {f"kid[{name}]": mean, f"kid_error[{name}]": error}


def _inception_score(evaluation, fake):
    name = evaluation.extractor.name
    mean, spread = distances.inception_score(fake.said["probabilities"], min(10, max(1, len(fake) // 2)))
    return {f"inception_score[{name}]": mean, f"inception_score_spread[{name}]": spread}


def _manifold(evaluation, fake):
    found = distances.manifold(evaluation.real.features, fake.features)
    return {f"{name}[{evaluation.extractor.name}]": value for name, value in found.items()}


def _class_accuracy(evaluation, fake):
    right = np.mean(fake.said["probabilities"].argmax(1) == fake.labels)
    return {f"class_accuracy[{evaluation.extractor.name}]": float(right)}


def _ms_ssim(evaluation, fake):
    found = pictures.class_similarity(fake.unit, fake.labels, seed=evaluation.seed)
    return {"ms_ssim": float(np.mean(list(found.values())))}


def _swd(evaluation, fake):
    count = min(len(fake), len(evaluation.real))
    found = pictures.sliced_wasserstein(evaluation.real.unit[:count], fake.unit[:count], evaluation.seed)
    return {f"swd_{resolution}": value for resolution, value in found.items()} | {"swd": float(np.mean(list(found.values())))}


def _memorisation(evaluation, fake):
    found = distances.memorisation(fake.features[:QUERIES], evaluation.seen.features, evaluation.real.features[:QUERIES])
    return {f"memorisation[{evaluation.extractor.name}, of {len(evaluation.seen)} images]": found}  # more of them are nearer


METRICS = {
    "frechet": _frechet,
    "fid": _frechet,
    "kid": _kid,
    "inception_score": _inception_score,
    "precision": _manifold,
    "recall": _manifold,
    "density": _manifold,
    "coverage": _manifold,
    "class_accuracy": _class_accuracy,
    "ms_ssim": _ms_ssim,
    "swd": _swd,
    "memorisation": _memorisation,
}
CHEAP = ("frechet", "precision", "recall", "class_accuracy")  # while a model trains


def known(name, more=()):
    """The name, if it is a metric's, or one of `more`; UserError otherwise."""
    if name not in (there := [*METRICS, *more]):
        raise UserError(f"there is no metric '{name}'{nearest(name, there)} There is: {', '.join(there)}")
    return name


def _lacks(evaluation, name, by_class):
    """Why a metric is not to be had, or None."""
    extractor = evaluation.extractor
    if name == "fid" and extractor.distance != "fid":
        return f"only the Inception graph's Fréchet distance is called fid; with {extractor.name} it is frechet"
    if name in ("class_accuracy", "ms_ssim") and not by_class:
        return f"{name} needs a model with classes, and this one has none"
    if name == "class_accuracy" and not extractor.classes:
        return f"class_accuracy needs a classifier of the data's own classes, and {extractor.name} is none: --extractor classifier"
    if name == "inception_score" and not extractor.classes and extractor.distance != "fid":
        return f"inception_score needs an extractor that classifies, and {extractor.name} gives features only"
    if name == "memorisation" and evaluation.split == "train":
        return f"memorisation needs real images that were not trained on: --split test, where {evaluation.source.name} has it"
    return None
