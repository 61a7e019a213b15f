"""Analyses of a model's samples: what papers show as a figure.

Each returns plain values (a dataclass of numbers, lists and dicts) with `table()`, a tuple of title, header and rows of text, and
`plot(path)`. `fake` are samples already made (a Side).
"""

import dataclasses
import itertools
import statistics
from pathlib import Path

import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, PercentFormatter
from scipy.spatial.distance import cdist

from zoo.errors import UserError
from zoo.metrics import extractors, pictures

BATCH = 250  # images at a time
COARSEST = 16  # pixels a side that discriminability goes down to; to a quarter in any case
LISTED = 20  # classes in a table, or named in a plot
POOL = 60_000  # training images that are drawn from
SIZES = (100, 500, 2000)  # real images that augmentation is measured with
UPDATE, FEWEST = 128, 200  # images in one update of `extractors.train`, and how many of them it makes at least
REAL, FAKE, MARK = "#555555", "#0b62a8", "#c0392b"
GAP, WIDE = 2, 8  # pixels between the pictures of a grid, and between its parts


# -- discriminability -----------------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Told:
    """Shares of images that are taken for their class, at each of some resolutions."""

    whole: list[float]
    by_class: dict[str, list[float]]
    finer: float  # share of the classes that are told better at full resolution than at a quarter of it


@dataclasses.dataclass(frozen=True)
class Discriminability:
    """What a classifier tells of real and generated images at each resolution (pixels of the smaller side, full first)."""

    extractor: str
    data: str
    resolutions: list[int]
    real: Told
    generated: Told

    def table(self):
        full, _, quarter, *_ = self.resolutions
        title = (
            f"Discriminability: images that {self.extractor} takes for their class, shrunk to a resolution and back; "
            f"{self.generated.finer:.1%} of the classes' samples are told better at {full} than at {quarter} px "
            f"(real images: {self.real.finer:.1%})"
        )
        classes = self.generated.by_class
        rows = [["real images", *map(_percent, self.real.whole)], ["samples", *map(_percent, self.generated.whole)]]
        rows += [[f"samples of '{name}'", *map(_percent, classes[name])] for name in sorted(classes, key=lambda n: classes[n][0])[:LISTED]]
        return title, ["images", *(f"{resolution} px" for resolution in self.resolutions)], rows

    def plot(self, path):
        figure, axes = _figure(f"Discriminability, {self.data}")
        for name, colour, told in [("real images", REAL, self.real), ("samples", FAKE, self.generated)]:
            axes.plot(self.resolutions, np.transpose(list(told.by_class.values())), color=colour, alpha=0.3, linewidth=0.8)
            axes.plot(self.resolutions, told.whole, "o-", color=colour, linewidth=2.5, label=f"{name} (thin: each class)")
        axes.set_xscale("log", base=2)
        axes.set_xticks(self.resolutions, self.resolutions)
        axes.xaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.set(ylim=(0, 1.03), xlabel="shrunk to, px", ylabel="taken for their class")
        axes.legend(frameon=False, loc="lower right")
        _save(figure, path)


def discriminability(evaluation, game, fake=None):
    """The shares of samples taken for the class that was asked for, and of real images for theirs, shrunk to some resolutions and back.

    Resolutions: full, half, quarter, and on while 16 px are left; bilinear, anti-aliased on the way down, so that detail is lost and not
    folded. `classifier` itself looks at 64 px at most: above that, resolutions do not differ.
    UserError: a model without classes, data without labels or with other classes, an extractor that does not tell them.
    Odena et al. 2016 (arXiv:1610.09585), §4.1.
    """
    names, extractor = _class_names("discriminability", evaluation, game), evaluation.extractor
    if extractor.classes != len(names):
        raise UserError(
            f"discriminability needs a classifier of the {len(names)} classes of {evaluation.source.name}, and {extractor.name} is none: "
            "--extractor classifier"
        )
    fake = evaluation.samples(game) if fake is None else fake
    shapes = _shapes(*evaluation.source.image_shape[:2])

    def told(side):
        right = np.array([_right(side, shape) for shape in evaluation.progress("discriminability")(shapes)])
        by_class = _by_class(right, side.labels, names)
        return Told(right.mean(axis=1).tolist(), by_class, float(np.mean([shares[0] > shares[2] for shares in by_class.values()])))

    resolutions = [min(shape) for shape in shapes]
    return Discriminability(extractor.name, evaluation.source.name, resolutions, told(evaluation.real), told(fake))


def _shapes(height, width):
    """The sizes that images are shrunk to, their own first."""
    halvings = 2
    while min(height, width) >> (halvings + 1) >= COARSEST:
        halvings += 1
    return [(max(1, round(height / 2**i)), max(1, round(width / 2**i))) for i in range(halvings + 1)]


def _right(side, shape):
    """Which images of a side are taken for their class when shrunk to `shape` and back; bool [n]."""
    full = side.images.shape[1:3]
    if shape == full:
        return side.said["probabilities"].argmax(1) == side.labels
    said = []
    for i in range(0, len(side), BATCH):
        images = tf.image.convert_image_dtype(side.images[i : i + BATCH], tf.float32)
        said.append(side.extractor(tf.image.resize(tf.image.resize(images, shape, antialias=True), full))["probabilities"].argmax(1))
    return np.concatenate(said) == side.labels


def _by_class(values, labels, names):
    """{name: mean of each row of `values` over the images of that class}, of the classes that there are; values: [..., n]."""
    return {name: values[..., labels == i].mean(axis=-1).tolist() for i, name in enumerate(names) if np.any(labels == i)}


# -- diversity ------------------------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Diversity:
    """Mean MS-SSIM within each class, of training images and of samples: 0 diverse, 1 one picture."""

    data: str
    pairs: int
    scales: int
    real: dict[str, float]
    generated: dict[str, float]
    accuracy: dict[str, float] | None  # of the samples, where the extractor tells the classes
    share: float  # of the classes whose samples are less similar than the most similar class of the training images
    correlation: float | None  # of accuracy with similarity over the classes, where both vary

    def table(self):
        title = (
            f"Diversity: mean MS-SSIM ({self.scales} scales) of {self.pairs} pairs a class of {self.data}, 1 is one picture; "
            f"{self.share:.1%} of the classes' samples are below the highest of the training images ({max(self.real.values()):.3f})"
        )
        if self.correlation is not None:
            title += f"; correlation with being told: {self.correlation:.2f}"
        columns = [self.generated, self.real]
        rows = [["all classes", *(f"{np.mean(list(column.values())):.3f}" for column in columns)]]
        alike = sorted(self.generated, key=self.generated.get, reverse=True)[:LISTED]
        rows += [[f"'{name}'", *(f"{column[name]:.3f}" for column in columns)] for name in alike]
        header = ["class", "samples", "training images"]
        if self.accuracy is not None:
            header.append("samples taken for their class")
            rows[0].append(_percent(np.mean(list(self.accuracy.values()))))
            for name, row in zip(alike, rows[1:]):
                row.append(_percent(self.accuracy[name]))
        return title, header, rows

    def plot(self, path):
        figure, axes = _figure(f"Diversity within classes, {self.data}")
        values = [*self.real.values(), *self.generated.values()]
        space = max(0.02, 0.08 * (max(values) - min(values)))
        low, high = min(values) - space, max(values) + space
        axes.plot([low, high], [low, high], color=REAL, linewidth=1, label="as the training images")
        axes.axhline(max(self.real.values()), color=MARK, linewidth=1, linestyle="--", label="the most similar training class")
        axes.scatter(list(self.real.values()), [self.generated[name] for name in self.real], color=FAKE, s=22, zorder=3)
        farthest = sorted(self.real, key=lambda name: abs(self.generated[name] - self.real[name]), reverse=True)[:LISTED]
        for name in farthest:
            axes.annotate(name, (self.real[name], self.generated[name]), (4, 4), textcoords="offset points", fontsize=8)
        axes.set(xlim=(low, high), ylim=(low, high), aspect="equal")
        axes.set(xlabel="MS-SSIM of training images", ylabel="MS-SSIM of samples (higher: less diverse)")
        figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8)
        _save(figure, path)


def diversity(evaluation, game, fake=None, pairs=100):
    """How alike images of a class are, of samples and of training images: mean MS-SSIM over random pairs within each class.

    With an extractor that tells the classes, the correlation of that with how often the samples are taken for theirs: below 0 where
    diverse classes are also the recognisable ones.
    UserError: a model without classes, data without labels or with other classes, fewer than 2 images of a class, images under 8 px.
    Odena et al. 2016 (arXiv:1610.09585), §4.2: 84.7 % of 1000 ImageNet classes, correlation -0.16.
    """
    names = _class_names("diversity", evaluation, game)
    real = evaluation.real if evaluation.split == "train" else evaluation.other_real()
    fake = evaluation.samples(game) if fake is None else fake
    similarity = []
    for kind, side in evaluation.progress("diversity")([("training images", real), ("samples", fake)]):
        _enough("diversity", kind, side.labels, names)
        found = pictures.class_similarity(side.unit, side.labels, pairs, evaluation.seed)
        similarity.append({names[label]: value for label, value in found.items()})
    accuracy = None
    if evaluation.extractor.classes == len(names):
        accuracy = _by_class(fake.said["probabilities"].argmax(1) == fake.labels, fake.labels, names)
    limit = max(similarity[0].values())
    return Diversity(
        data=evaluation.source.name,
        pairs=pairs,
        scales=pictures.scales(*evaluation.source.image_shape[:2]),
        real=similarity[0],
        generated=similarity[1],
        accuracy=accuracy,
        share=float(np.mean([value < limit for value in similarity[1].values()])),
        correlation=accuracy and _correlation(list(accuracy.values()), list(similarity[1].values())),
    )


def _correlation(first, second):
    """Pearson's, or None where one side does not vary."""
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(np.corrcoef(first, second)[0, 1])


# -- neighbours -----------------------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Neighbours:
    """Samples, each with the training images nearest to it; and how near samples are to what was seen, all in all."""

    extractor: str
    data: str
    grid: np.ndarray  # uint8: a sample a row, then its nearest by features, then by pixels
    rows: int
    nearest: int  # training images of each kind in a row
    searched: int
    seen: int  # training images that there are
    memorisation: float | None  # `distances.memorisation`, where there are images that were not seen

    def table(self):
        rows = [["training images searched", f"{self.searched} of {self.seen}"]]
        if self.memorisation is not None:
            what = "median distance to the nearest training image, over that of unseen real images (0: copies)"
            rows.append([what, f"{self.memorisation:.3f}"])
        return (
            f"Memorisation: samples against training images of {self.data}, by {self.extractor}",
            ["what", "value"],
            rows,
        )

    def plot(self, path):
        height, width, channels = self.grid.shape
        figure = Figure(figsize=(8, 8 * height / width + 0.5), dpi=150, layout="constrained")
        axes = figure.subplots()
        grey = {"cmap": "gray", "vmin": 0, "vmax": 255} if channels == 1 else {}
        axes.imshow(self.grid.squeeze(-1) if channels == 1 else self.grid, interpolation="nearest", **grey)
        cell = (width + GAP - 2 * WIDE) / (1 + 2 * self.nearest)
        part = cell * self.nearest
        centres = [cell / 2, cell + WIDE + part / 2, cell + 2 * WIDE + 1.5 * part]
        axes.set_xticks(centres, ["sample", "nearest training images by features", "by pixels"])
        axes.set_yticks([])
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        _save(figure, path)


def neighbours(evaluation, game, fake=None, count=10, nearest=5):
    """`count` samples (or as many as there are), each beside its nearest training images by features and by pixels, as one grid; and how
    near samples are.

    The grid's samples are the first ones, not chosen. Where the evaluation cannot hold all training images, copies of the others are
    missed. `memorisation` is None where the evaluation's split is that of training.
    UserError: fewer training images than `nearest`.
    """
    source, seen = evaluation.source, evaluation.seen
    fake = evaluation.samples(game) if fake is None else fake
    count = min(count, len(fake))
    if nearest > len(seen):
        raise UserError(f"neighbours: the nearest {nearest} training images were asked for, and there are {len(seen)}")
    by_features = _nearest(fake.features[:count], seen.features, nearest)
    by_pixels = _nearest(fake.images[:count], seen.images, nearest)
    memorisation = None if evaluation.split == "train" else next(iter(evaluation.scores(fake, ["memorisation"]).values()))
    grid = _grid([fake.images[:count, None], seen.images[by_features], seen.images[by_pixels]])
    return Neighbours(evaluation.extractor.name, source.name, grid, count, nearest, len(seen), source.sizes["train"], memorisation)


def _nearest(queries, references, count):
    """Indices [q, count] of the nearest references, nearest first."""
    flat = queries.reshape(len(queries), -1)
    parts = [cdist(flat, references[i : i + BATCH].reshape(-1, flat.shape[1])) for i in range(0, len(references), BATCH)]
    return np.argsort(np.concatenate(parts, axis=1), axis=1, kind="stable")[:, :count]


def _grid(groups):
    """Groups of images [rows, columns, h, w, c] side by side as one picture on white."""
    strips = []
    for images in groups:
        rows, columns, height, width, channels = images.shape
        images = np.pad(images, ((0, 0), (0, 0), (0, GAP), (0, GAP), (0, 0)), constant_values=255)
        strips.append(images.transpose(0, 2, 1, 3, 4).reshape(rows * (height + GAP), columns * (width + GAP), channels))
        strips.append(np.full((rows * (height + GAP), WIDE, channels), 255, np.uint8))
    return np.concatenate(strips[:-1], axis=1)[:-GAP, :-GAP]


# -- usefulness -----------------------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class TrainTest:
    """Shares of right answers of a classifier trained on one side and tested on the other."""

    data: str
    images: int  # that each classifier learned from
    tested: int  # real images that they were tested on
    held: str  # which ones
    updates: int
    gan_train: float  # learned from samples, tested on real images
    gan_test: float  # learned from real images, tested on samples
    real: float  # learned from real images, tested on others

    def table(self):
        title = f"GAN-train and GAN-test on {self.data}: classifiers that learned from {self.images} images in {self.updates} updates"
        held = f"{self.tested} real images: {self.held}"
        rows = [
            ["GAN-train", "samples", held, _percent(self.gan_train)],
            ["GAN-test", "real images", f"{self.images} samples", _percent(self.gan_test)],
            ["for reference", "real images", held, _percent(self.real)],
        ]
        return title, ["measure", "learned from", "tested on", "right"], rows

    def plot(self, path):
        figure, axes = _figure(f"Usefulness of samples, {self.data}")
        names = ["GAN-train\n(samples → real)", "GAN-test\n(real → samples)", "reference\n(real → real)"]
        bars = axes.bar(names, [self.gan_train, self.gan_test, self.real], 0.55, color=[FAKE, FAKE, REAL])
        axes.bar_label(bars, fmt=_percent, padding=2)
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.set(ylim=(0, 1.08), ylabel="right answers")
        _save(figure, path)


def gan_train_test(evaluation, game, count=None, updates=2000):
    """GAN-train (learn from samples, be tested on real images) and GAN-test (the reverse), with real against real beside them.

    GAN-train falls with bad and with missing images, GAN-test with bad ones only. Either side has `count` images or as many as there are
    real training images, of the same classes, and `updates` updates (at least 200). Tested on the test split, or where there is none, on a
    fifth of the train split, which the model has seen.
    UserError: a model without classes, data without labels or with other classes, fewer than 2 images of a class.
    Shmelkov et al. 2018 (arXiv:1807.09499), §3.
    """
    names = _class_names("GAN-train", evaluation, game)
    real, test, held = _halves(evaluation, count or evaluation.count)
    _enough("GAN-train", "training images", real["label"], names)
    fake = {"image": evaluation.drawn(game, len(real["label"]), {"label": real["label"]}), "label": real["label"]}
    sides = evaluation.progress("GAN-train")([fake, real])
    networks = [_learned(_small(side["image"]), side["label"], names, evaluation.seed, updates) for side in sides]
    tests = [(networks[0], test), (networks[1], fake), (networks[1], test)]
    gan_train, gan_test, reference = (extractors.right(network, _small(side["image"]), side["label"]) for network, side in tests)
    return TrainTest(
        evaluation.source.name, len(real["label"]), len(test["label"]), held, max(FEWEST, updates), gan_train, gan_test, reference
    )


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Right answers on real images of classifiers that learned from few real ones, with samples beside them and without."""

    data: str
    synthetic: int
    repeats: int
    updates: int
    tested: int
    held: str
    saw: int  # real images that the generator was trained on
    rows: list[dict]  # real, without, without_spread, augmented, augmented_spread, gain, gain_spread (standard deviations over repeats)

    def table(self):
        title = (
            f"Augmentation on {self.data}: right answers on {self.tested} real images ({self.held}) after {self.updates} updates on few "
            f"real images, without and with {self.synthetic} samples of a generator that saw {self.saw} real images"
        )
        if any(row["real"] < self.saw for row in self.rows):
            title += "; where that is more than the classifier has, the gain includes what the generator saw of the others"
        if self.repeats > 1:
            title += "; ±: standard deviation over repeats"
        header = ["real images", "without samples", "with samples", "gain", "generator saw", "repeats"]
        rows = [
            [
                str(row["real"]),
                *(_spread(row[key], row[f"{key}_spread"]) for key in ("without", "augmented")),
                _spread(row["gain"], row["gain_spread"], "+"),
                str(self.saw),
                str(self.repeats),
            ]
            for row in self.rows
        ]
        return title, header, rows

    def plot(self, path):
        figure, axes = _figure(f"Augmentation, {self.data}")
        sizes = [row["real"] for row in self.rows]
        for key, colour, name, aside in [
            ("without", REAL, "real images alone", 0.98),  # so that the bars of spread do not hide each other
            ("augmented", FAKE, f"with {self.synthetic} samples", 1.02),
        ]:
            values, spreads = [row[key] for row in self.rows], [row[f"{key}_spread"] or 0 for row in self.rows]
            axes.errorbar(np.multiply(sizes, aside), values, spreads, fmt="o-", color=colour, linewidth=2, capsize=4, label=name)
        axes.set_xscale("log")
        axes.set_xticks(sizes, sizes)
        axes.xaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.set(xlabel=f"real images that the classifier has (the generator saw {self.saw})", ylabel="right answers")
        figure.legend(loc="outside lower center", ncols=2, frameon=False)
        _save(figure, path)


def augmentation(evaluation, game, sizes=None, synthetic=None, repeats=3, updates=1000):
    """What samples add to few real images: a classifier's right answers on unseen real images, learned with and without them.

    sizes: numbers of real images, as many of each class, drawn anew in each repeat (default: those of `SIZES` that the data have).
    With: half of what is learned from is real, half samples, the same ones throughout, as many of each class. Either way `updates`
    updates (at least 200) of as many images, and the same first weights. Spreads are standard deviations over repeats.

    A generator that was trained on more images than the small classifier has knows of the others, and the gain includes that: `saw` says
    how many it saw. For a gain from n images alone, train the generator on as many (`Source.few`, `--examples`) and take an evaluation of
    those; the evaluation's extractor is not asked.
    UserError: a model without classes, data without labels or with other classes, fewer than 2 images of a class, more than there are.
    """
    names = _class_names("augmentation", evaluation, game)
    synthetic = synthetic or evaluation.count
    if repeats < 1:
        raise UserError(f"augmentation with {repeats} repeats: at least 1")
    real, test, held = _halves(evaluation, POOL)
    have = len(real["label"])
    sizes = [size for size in SIZES if size <= have] or [have] if sizes is None else list(sizes)
    turns = itertools.product(sizes, range(repeats))
    draws = {turn: evaluation.source.balanced(real["label"], turn[0], evaluation.seed + turn[1]) for turn in turns}
    for (size, _), rows in draws.items():
        if size > have:
            raise UserError(f"augmentation: {size} real images were asked for, and {evaluation.source.name} has {have} to learn from")
        _enough(f"augmentation with {size} real images", "of them", real["label"][rows], names)
    labels = np.arange(synthetic, dtype=np.int64) % len(names)
    fake = _small(evaluation.drawn(game, synthetic, {"label": labels}))
    test = {**test, "image": _small(test["image"])}
    found = {size: [] for size in sizes}
    for (size, repeat), rows in evaluation.progress("augmentation")(list(draws.items())):
        alone = _small(real["image"][rows]), real["label"][rows]
        mixed = [_halved(*pair) for pair in zip(alone, (fake, labels))]
        networks = [_learned(*side, names, evaluation.seed + repeat, updates) for side in (alone, mixed)]
        found[size].append([extractors.right(network, test["image"], test["label"]) for network in networks])
    return Augmentation(
        data=evaluation.source.name,
        synthetic=synthetic,
        repeats=repeats,
        updates=max(FEWEST, updates),
        tested=len(test["label"]),
        held=held,
        saw=evaluation.source.sizes["train"],
        rows=[{"real": size, **_summary(*zip(*pairs))} for size, pairs in found.items()],
    )


def _halves(evaluation, count):
    """Real images to learn from, at most `count`; real images to be tested on; and which those are, in words."""
    source, seed = evaluation.source, evaluation.seed
    data = source.some("train", count, seed)
    if "test" in source.sizes:
        return data, source.some("test", evaluation.count, seed), "the test split"
    cut = len(data["label"]) // 5
    learned, held = ({key: value[part] for key, value in data.items()} for part in (slice(cut, None), slice(cut)))
    return learned, held, "a fifth of the train split, which the model has seen"


def _halved(real, fake):
    """Both in one array and each half of it: the fewer are repeated."""
    size = max(len(real), len(fake))
    return np.concatenate([side[np.arange(size) % len(side)] for side in (real, fake)])


def _learned(images, labels, names, seed, updates):
    """A classifier after `updates` updates, as large whatever the number of images."""
    rows = np.arange(max(len(images), UPDATE)) % len(images)
    return extractors.train(images[rows], labels[rows], len(names), seed, seen=updates * UPDATE, epochs=updates * UPDATE)


def _small(images):
    """Images as `extractors.classifier` looks at them: shrunk to 64 px where they are larger; uint8."""
    return extractors.fit(images, extractors.shrunk(images.shape[1:]))


def _summary(without, augmented):
    """Means and standard deviations over repeats, None for one repeat; the gain is that of each repeat."""
    columns = {"without": without, "augmented": augmented, "gain": [b - a for a, b in zip(without, augmented)]}
    means = {key: statistics.fmean(values) for key, values in columns.items()}
    return means | {f"{key}_spread": statistics.stdev(values) if len(values) > 1 else None for key, values in columns.items()}


# -- what they share ------------------------------------------------------------------------------------------------------------------

_LABELLED = "use data with class labels (digits, mnist, a folder with one folder a class)"


def _class_names(analysis, evaluation, game):
    """The names of the classes. UserError where model or data have none, or others, or images of another size."""
    source = evaluation.source
    if "label" not in game.conditions:
        raise UserError(
            f"{analysis} compares classes, and this model has none; use a model that makes images by class: python -m zoo list shows them"
        )
    if source.class_names is None:
        raise UserError(f"{analysis} compares classes, and {source.name} has no labels; {_LABELLED}")
    if game.config.num_classes != source.num_classes:
        raise UserError(
            f"the model makes {game.config.num_classes} classes of images, and {source.name} has {source.num_classes}; "
            "name the data that it was trained on: --data"
        )
    evaluation.check(game)  # the sizes of the images
    return source.class_names


def _enough(analysis, kind, labels, names):
    """UserError where a class has fewer than 2 images."""
    counts = np.bincount(labels, minlength=len(names))
    if counts.min() < 2:
        raise UserError(
            f"{analysis} needs at least 2 images of each of the {len(names)} classes, and '{names[counts.argmin()]}' has {counts.min()} "
            f"of the {len(labels)} {kind}; take more of them (--count)"
        )


def _percent(share):
    return f"{share:.1%}"


def _spread(mean, deviation, sign=""):
    return f"{mean:{sign}.1%}" + ("" if deviation is None else f" ± {deviation:.1%}")


def _figure(title):
    figure = Figure(figsize=(6, 4.5), dpi=120, layout="constrained")
    axes = figure.subplots()
    axes.set_title(title)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _save(figure, path):
    """Writes a figure, in the format of the path's ending. UserError where it cannot be written."""
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path)
    except (OSError, ValueError) as error:  # ValueError: an ending that is no format
        raise UserError(f"{path} cannot be written: {error}") from None
