"""The table of every model on real data: trains, scores and writes benchmarks/results.md, one row a finished run.

Each run sees the same number of images and is scored by the same classifier (benchmarks/extractors), which had no part in its training;
a second one, trained from another seed, confirms. Stopped at any moment and started again, it goes on where it was: a row counts as long as
the model's preset is the one that it was made with. After a change of the code behind it, delete the row and its run.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from tqdm import tqdm

import zoo
from zoo import command, data, metrics, registry, results, runs, settings
from zoo.errors import UserError

HERE = Path(__file__).parent
LOOKS = 8  # at each, 1,000 samples are scored to find the best checkpoint
DIVERGED = 3  # train.py's exit status


@dataclasses.dataclass(frozen=True)
class Options:
    models: tuple[str, ...] = ("gan", "dcgan", "cgan", "acgan")
    """which models; the rows of others stay"""
    data: tuple[str, ...] = ("mnist", "fashion_mnist")
    """TFDS data sets with a `test` split and class labels"""
    seeds: int = 3
    """runs of each model on the first data set; the others get one"""
    images: int = 500_000
    """that each run sees"""
    image_shape: tuple[int, int, int] | None = None
    """resizes the images, for models that need other sizes than the data's; makes a table of its own"""
    count: int = 10_000
    """samples that are scored at the end"""
    data_dir: str | None = None
    """where TFDS keeps its data sets"""
    runs: Path = Path("runs/quality")
    """where the runs are kept"""
    results: Path = HERE / "results.jsonl"
    """a line a finished run; the table is made of it, beside it as .md"""
    extractors: Path = HERE / "extractors"
    """the two classifiers of each data set; made where they are missing"""
    grids: Path = HERE.parent / "docs" / "quality"
    """gets the last grid of seed 0 of each model"""


def main(argv=None):
    options = command.parse(Options, sys.argv[1:] if argv is None else argv, "quality.py", __doc__)
    for model in options.models:
        registry.entry(model)
    wanted = [  # every model once before any a second time
        (name, model, seed)
        for seed in range(options.seeds)
        for name in options.data
        for model in options.models
        if not seed or name == options.data[0]
    ]
    sources = {name: data.open(name, options.data_dir, options.image_shape, ("image", "label")) for name in options.data}
    for source in sources.values():
        real(options, source)
    write(options)
    bar = tqdm(wanted, "runs", disable=None)
    for name, model, seed in bar:
        bar.set_postfix_str(f"{model} on {name}, seed {seed}")
        if not finished(options, **key(options, name, model, seed), preset=preset(model)):
            record(options, trained(options, sources[name], model, seed))
        write(options)
    print(options.results.with_suffix(".md").read_text())
    return 0


def evaluations(options, name, source):
    """Names of the classifier that is kept for the table, and of the second one. Makes and keeps those that are missing."""
    for seed in (0, 1):
        path = options.extractors / f"{name}-{seed}.keras"
        if not path.exists():
            with tempfile.TemporaryDirectory() as folder:
                metrics.extractors.classifier(source, seed, folder)
                options.extractors.mkdir(parents=True, exist_ok=True)
                (made,) = Path(folder).glob("*.keras")
                for suffix in (".json", ".keras"):
                    shutil.copy(made.with_suffix(suffix), path.with_suffix(suffix))
        yield f"file:{os.path.relpath(path, HERE.parent)}"


def key(options, name, model, seed):
    """What a row is of."""
    shape = {"image_shape": list(options.image_shape)} if options.image_shape else {}
    return {"data": name, **shape, "model": model, "seed": seed, "images": options.images, "count": options.count}


def size(row):
    """The size that its images were brought to, in a list, which is empty where it is their own."""
    return ["x".join(map(str, row["image_shape"]))] if "image_shape" in row else []


def grid(options, row):
    """Where a model's picture is."""
    return options.grids / f"{'-'.join([row['model'], row['data'], *size(row), str(row['images'])])}.png"


def preset(model):
    """A digest of the model's settings but --steps and --every, which the table chooses.

    Those that all models share are left out where they are as usual, that new ones change nothing.
    """
    config = registry.entry(model).config
    config = dataclasses.replace(config, steps=settings.Config.steps, every=settings.Config.every)
    usual = {field.name: field.default for field in dataclasses.fields(settings.Config)}
    told = {name: value for name, value in dataclasses.asdict(config).items() if name not in usual or value != usual[name]}
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:8]


def real(options, source):
    """The row of real images in the place of samples."""
    this = key(options, source.name, "real", 0)
    if finished(options, **this):
        return
    found = {}
    for extractor in evaluations(options, source.name, source):
        evaluation = metrics.Evaluation(source, metrics.extractors.open(extractor, source), options.count)
        scores, _ = evaluation.reference(SCORES)
        found[evaluation.extractor.name] = {"scores": scores, "protocol": evaluation.protocol("float32")}  # as zoo.load's models
    record(options, {**this, "last": found})


SCORES = ("frechet", "kid", "precision", "recall", "class_accuracy")


def evaluated(options, run, which, source, extractors):
    """{extractor: its scores of a checkpoint, and their protocol}; also kept with the run."""
    game, fake, found = zoo.load(run, which), None, {}
    for name in extractors:
        evaluation = metrics.Evaluation(source, metrics.extractors.open(name, source), options.count)
        fake = evaluation.seen_again(fake) if fake else evaluation.samples(game)
        scores, protocol = evaluation.scores(fake, evaluation.possible(game, SCORES)), evaluation.protocol(game.compute_dtype)
        run.append_scores(game.played, which, scores, protocol)
        found[evaluation.extractor.name] = {"scores": scores, "protocol": protocol}
    return found


def trained(options, source, model, seed):
    """Trains, or goes on with, one run; evaluates its last and its best checkpoint; the row."""
    name, extractors, config = source.name, list(evaluations(options, source.name, source)), registry.entry(model).config
    this = {**key(options, name, model, seed), "preset": preset(model)}
    folder = (options.runs / "-".join([model, name, *size(this), str(options.images), this["preset"], f"seed{seed}"])).resolve()
    place = ["--data-dir", os.path.abspath(os.path.expanduser(options.data_dir))] if options.data_dir else []
    steps = options.images // (config.batch_size * config.discriminator_steps)
    train = ["train.py", "--model", model, "--data", name, "--steps", str(steps), "--every", str(-(-steps // LOOKS)), "--seed", str(seed)]
    train += ["--extractor", extractors[0], *(["--image-shape", *map(str, options.image_shape)] if options.image_shape else [])]
    stable = True
    if not (folder / "config.json").exists():
        stable = call(*train, *place, "--run-dir", folder)
    elif not results.versions(folder / "export" / model):
        stable = call("train.py", "--resume", folder)
    if not stable:
        return {**this, "command": "python " + " ".join(train), "diverged": True, "last": {}}
    run = runs.Run(folder)
    found = {"last": evaluated(options, run, "last", source, extractors)}
    if run.best:
        same = run.best["round"] == steps
        found["best"] = found["last"] if same else evaluated(options, run, "best", source, extractors)
    if seed == 0:
        options.grids.mkdir(parents=True, exist_ok=True)
        shutil.copy(results.last_grid(run), grid(options, this))
    return {
        **this,
        "parameters": run.record["parameters"],
        "seconds": run.looks[-1]["seconds"],
        "images_per_second": statistics.median(row["images_per_second"] for row in run.looks),
        "command": "python " + " ".join(train),
        "precision": run.record["precision"],
        "versions": run.record["versions"],
        "machine": machine(),
        **found,
    }


def call(*arguments):
    """Runs Python at the project's top; its words go to the console, below the bar. False where it diverged."""
    done = subprocess.run([sys.executable, *map(str, arguments)], cwd=HERE.parent)
    if done.returncode not in (0, DIVERGED):
        raise UserError(
            f"`python {' '.join(map(str, arguments))}` ended with status {done.returncode}; started again, this goes on where it was"
        )
    return not done.returncode


def finished(options, **wanted):
    """The rows so far, or those that have these values."""
    rows = []
    for line in options.results.read_text().splitlines() if options.results.exists() else []:
        with contextlib.suppress(ValueError):  # cut short
            rows.append(json.loads(line))
    return [row for row in rows if all(row.get(name) == value for name, value in wanted.items())]


def record(options, row):
    with open(options.results, "a") as file:
        file.write(json.dumps(row) + "\n")


# -- the table ------------------------------------------------------------------------------------------------------------------------

COLUMNS = ("model", "runs", "parameters G / D", "Fréchet ↓ best", "Fréchet ↓ last", "Fréchet ↓ last, 2nd", "KID x1000 ↓", "precision ↑")
COLUMNS += ("recall ↑", "class accuracy ↑", "class accuracy ↑ 2nd", "seconds")
PAGE = """# Models on real data

Made by `python benchmarks/quality.py`, which trains each model by the command below its table and scores the last and the best checkpoint
(chosen at eight looks by 1,000 samples) by two classifiers: `python -m zoo evaluate RUN --extractor file:benchmarks/extractors/NAME.keras`.
Neither had a part in the training; the second (2nd) was trained from another seed.

Means ± standard deviations over seeds; all but "best" are of the last checkpoint. Seconds: training, looks and scores. Real images: as many
of the train split in the place of the samples; class accuracy: of the test split.

`gan` stays behind `dcgan` for it is two perceptrons, as in its paper, which know of no neighbouring pixels; on Fashion-MNIST its samples
vary little (recall). The class accuracy of `cgan` on MNIST was to be 99.5 %, and is 99.25 to 99.60 % by seed, about that of real images; a
linear fall of the learning rates brought it to a Fréchet distance of 1.01, but to 99.14 %, and a longer average did not help.

`autoencoder` is there to fail: its codes are not normal. `wgan` and `wgan_gp` spend most of the images on their critics, and give the
generator a fifth and a third of `dcgan`'s updates. `infogan`'s samples vary little (recall). `sgan` learns slowly: after 40,000 rounds with
a hundred labels it is at 58, of 1,000 samples. `r3gan` improves to the end; penalties of a tenth and a hundredth of its own brought the
embedded digits to 85 and 92 in the place of 76, after 900 rounds. `sngan_projection` loses variety after its best look on MNIST. `sngan`
starts late with one of three seeds: it is at 22.8, and still falls, where the others are at 9.5 and 7.8.
"""


def write(options):
    """benchmarks/results.md of all rows: a table for each protocol, for only scores of the same one may share a column."""
    rows, tables = [row for row in finished(options) if row["model"] == "real" or row["preset"] == preset(row["model"])], {}
    protocols = {}  # of each data set: of a run that diverged there is none
    for row in rows:
        images = row["data"], *row.get("image_shape", ())
        if row["last"]:
            protocols[images] = json.dumps([found["protocol"] for found in row["last"].values()])
        tables.setdefault((protocols[images], row["images"]), []).append(row)
    text = [PAGE]
    for (protocol, _), found in tables.items():
        text += table(options, json.loads(protocol), found)
    results.replace(options.results.with_suffix(".md"), lambda work: work.write_text("\n".join(text) + "\n"))


def table(options, protocols, rows):
    """One protocol's part of the page."""
    name, images, real_rows = rows[0]["data"], rows[0]["images"], [row for row in rows if row["model"] == "real"]
    heading = ", ".join([name, *size(rows[0]), f"{images:,} images seen"])
    lines = [f"## {heading}", "", "| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    lines += ["| " + " | ".join(["real images", "", "", "", *scores([row])[1:], ""]) + " |" for row in real_rows[-1:]]
    models = {row["model"]: [] for row in rows if row not in real_rows}
    for row in rows:
        models.get(row["model"], []).append(row)
    for model, mine in models.items():
        whole = [row for row in mine if not row.get("diverged")]
        runs = f"{len(mine)}" + (f", {len(mine) - len(whole)} diverged" if len(whole) < len(mine) else "")
        sizes = " / ".join(f"{count:,}" for count in whole[0]["parameters"].values()) if whole else ""
        seconds = f"{statistics.mean(row['seconds'] for row in whole):,.0f}" if whole else ""
        lines.append("| " + " | ".join([f"`{model}`", runs, sizes, *scores(whole), seconds]) + " |")
    grids = {model: grid(options, mine[0]) for model, mine in models.items()}
    lines += ["", *(f"![{model}]({os.path.relpath(grid, options.results.parent)})" for model, grid in grids.items() if grid.exists())]
    lines += ["", "Last samples of seed 0, not chosen, in the order of the table. Commands:", ""]
    lines += [f"- `{mine[0]['command']}`" for mine in models.values()]
    lines += ["", f"Protocol: {results.spoken(protocols[0])}. The second classifier is {protocols[1]['extractor']}.", ""]
    places = {}  # seconds compare on one machine, in one precision
    for row in rows:
        if "machine" in row:
            place = f"{row['machine']}, {row['precision']}, " + ", ".join(" ".join(v) for v in row["versions"].items())
            places.setdefault(place, {})[f"`{row['model']}`"] = None
    of = {place: f" of {', '.join(some)}" if len(places) > 1 else "" for place, some in places.items()}
    return lines + [f"Machine{of[place]}: {place}." for place in places] + [""]


def scores(rows):
    """The cells from `Fréchet, best` to the last score."""

    def cell(which, extractor, name, form, factor=1):
        values = [list(row[which].values())[extractor]["scores"] for row in rows if which in row]
        values = [factor * score for found in values for full, score in found.items() if full.partition("[")[0] == name]
        if not values:
            return ""
        spread = f" ± {statistics.stdev(values):{form}}" if len(values) > 1 else ""
        return f"{statistics.mean(values):{form}}{spread}"

    return [
        cell("best", 0, "frechet", ".2f"),
        cell("last", 0, "frechet", ".2f"),
        cell("last", 1, "frechet", ".2f"),
        cell("last", 0, "kid", ".1f", 1000),
        cell("last", 0, "precision", ".3f"),
        cell("last", 0, "recall", ".3f"),
        cell("last", 0, "class_accuracy", ".2%"),
        cell("last", 1, "class_accuracy", ".2%"),
    ]


def machine():
    """What it was made on: processor, cores."""
    try:
        names = [line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    except OSError:
        names = []
    return f"{names[0] if names else platform.processor() or platform.machine()}, {os.cpu_count()} threads"


if __name__ == "__main__":
    command.run(main, "quality.py")
