"""Compares fine-tuning with training from scratch on 200 images, and writes docs/fine-tuning.md.

    python benchmarks/fine_tuning.py ~/pictures/fruits_rot        # see benchmarks/fruits.py for the folder

A DCGAN is trained on the apples of the folder. Then 200 images of its cherries and tomatoes are trained on for the same number of steps:
from scratch, from a pretrained model of clothes, from the model of apples, and from that with the first layers of the discriminator frozen.
Images are grayscale at 32x32. Samples are compared with all images of cherries and tomatoes, by two classifiers of their varieties.
"""

from __future__ import annotations

import dataclasses
import datetime
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro
from provenance import describe_machine
from quality import run_python
from rows import merge_rows, write_rows

from zoo.cli import parsing
from zoo.errors import UserError
from zoo.reports import markdown
from zoo.runs import Run, export_versions, load_model
from zoo.runs.naming import slug
from zoo.training import runtime

TOP = Path(__file__).resolve().parents[1]
SHAPE = (32, 32, 1)
EXTRACTOR_SEEDS = (0, 1)
METRICS = ("frechet", "recall")
KEY = ("start", "seed", "steps")
MODEL, UNRELATED = "dcgan", "dcgan-fashion"
TARGET = "cherries-and-tomatoes"
KINDS = {"apples": ("Apple",), TARGET: ("Cherry", "Tomato")}  # folder of the benchmark -> how the names of its varieties start


@dataclasses.dataclass(frozen=True)
class Options:
    fruits: Annotated[Path, tyro.conf.Positional]
    """folder with a folder of images for each variety, such as Apple_1"""
    examples: int = 200
    """images that are trained on"""
    steps: int = 900
    """training steps"""
    base_steps: int = 3000
    """training steps of the model of apples"""
    evaluations: int = 3
    """points of the curves; a run keeps its last three checkpoints"""
    seeds: int = 3
    """runs of each kind"""
    frozen: int = 2
    """layers of the discriminator that are frozen in the last kind of runs"""
    count: int = 3000
    """samples that are scored"""
    runs: Path = Path("runs/fine-tuning")
    """folder of the runs"""
    rows: Path = TOP / "docs" / "fine-tuning.jsonl"
    """file with a line for each run; the page is generated from it, next to it as .md"""


def main(argv: Sequence[str] | None = None) -> int:
    options = parsing.parse(Options, sys.argv[1:] if argv is None else argv, "fine_tuning.py", __doc__)
    runtime.configure()
    runs = options.runs.resolve()
    for name, kinds in KINDS.items():
        link_varieties(options.fruits.expanduser(), kinds, runs / name)
    base = train(options, "apples", options.base_steps, runs / "base", ())
    starts: dict[str, tuple[str, ...]] = {
        "from scratch": (),
        f"from {UNRELATED} (clothes)": ("--init-from", UNRELATED),
        "from apples": ("--init-from", str(base.folder)),
        f"from apples, {options.frozen} layers frozen": ("--init-from", str(base.folder), "--freeze-discriminator", str(options.frozen)),
    }
    for seed in range(options.seeds):
        for start, words in starts.items():
            row = {"start": start, "seed": seed, "steps": options.steps, **measure(options, start, words, seed)}
            rows = list(merge_rows(options.rows, [row], KEY).values())
            write_rows(options.rows, rows, write_page(rows))
    return 0


def link_varieties(fruits: Path, kinds: Sequence[str], folder: Path) -> None:
    """Makes a folder with links to the varieties of some kinds.

    Raises:
        UserError: There is none.
    """
    varieties = [path.resolve() for path in sorted(fruits.glob("*/")) if path.name.startswith(tuple(kinds))]
    if not varieties:
        raise UserError(f"{fruits} has no folders of {' or '.join(kinds)}; see benchmarks/fruits.py")
    folder.mkdir(parents=True, exist_ok=True)
    for variety in varieties:
        if not (folder / variety.name).exists():
            (folder / variety.name).symlink_to(variety)


def train(options: Options, data: str, steps: int, folder: Path, words: Sequence[str]) -> Run:
    """The run of a folder, which is trained, or continued, if it is not complete."""
    if not (folder / "config.json").exists():
        run_python(*training_command(options, str(options.runs.resolve() / data), steps, words), "--run-dir", str(folder))
    elif not export_versions(folder / "export" / MODEL):
        run_python("train.py", "--resume", str(folder))
    return Run(folder)


def training_command(options: Options, data: str, steps: int, words: Sequence[str]) -> list[str]:
    """The command of a run without its folder."""
    shape = ["--image-shape", *map(str, SHAPE)]
    length = ["--steps", str(steps), "--eval-every", str(steps // options.evaluations), "--eval-samples", "0"]
    return ["train.py", "--model", MODEL, "--data", f"folder:{data}", *shape, *length, "--mirror", *words]


def measure(options: Options, start: str, words: Sequence[str], seed: int) -> dict[str, Any]:
    """Trains one run, or continues it, and scores each of its checkpoints."""
    words = [*words, "--examples", str(options.examples), "--seed", str(seed)]
    run = train(options, TARGET, options.steps, options.runs.resolve() / f"{slug(start)}-{seed}", words)
    interval = options.steps // options.evaluations
    shown = [Path(word).name if "/" in word else word for word in training_command(options, TARGET, options.steps, words)]
    return {
        "model": MODEL,
        "examples": options.examples,
        "curve": [score(options, run, interval * (i + 1)) for i in range(options.evaluations)],
        "command": " ".join(["python", *shown]),
        "machine": describe_machine(),
        "tensorflow": run.record.versions["tensorflow"],
        "date": datetime.date.today().isoformat(),
    }


def score(options: Options, run: Run, step: int) -> dict[str, Any]:
    """The scores of a checkpoint by each classifier."""
    from zoo import data
    from zoo.metrics import Evaluation
    from zoo.metrics.extractors import load_extractor

    source = data.open_source(f"folder:{options.runs.resolve() / TARGET}", None, SHAPE, ("image", "label"))
    model: Any = load_model(run, step)
    samples, scores = None, []
    for seed in EXTRACTOR_SEEDS:
        evaluation = Evaluation(source, load_extractor(f"classifier:{seed}", source), options.count, "train")
        samples = samples.with_extractor(evaluation.extractor) if samples else evaluation.generate_samples(model)
        scores.append({name: float(value.value) for name, value in evaluation.scores(samples, METRICS).items()})
    return {"step": step, **{name: [one[name] for one in scores] for name in METRICS}}


def write_page(rows: list[dict[str, Any]]) -> str:
    """The page: mean and standard deviation over the seeds at each scored step."""
    cells = []
    for start in dict.fromkeys(row["start"] for row in rows):
        runs = [row for row in rows if row["start"] == start]
        for i, point in enumerate(runs[0]["curve"]):
            values = [[run["curve"][i][name][k] for run in runs] for name in METRICS for k in range(len(EXTRACTOR_SEEDS))]
            cells.append([start, str(len(runs)), f"{point['step']:,}", *map(describe, values)])
    header = ["start", "runs", "step", "Fréchet", "Fréchet, second", "recall", "recall, second"]
    machine = ", ".join([rows[0]["machine"], f"TensorFlow {rows[0]['tensorflow']}", rows[0]["date"]])
    commands = markdown.code_block("sh", "\n".join(row["command"] for row in rows if row["seed"] == 0))
    table = markdown.table(header, cells, [False, *[True] * 6])
    introduction = INTRODUCTION.format(**rows[0])
    return "\n\n".join(part.strip() for part in (introduction, table, f"{machine}. The runs with seed 0:", commands)) + "\n"


def describe(values: list[float]) -> str:
    spread = f" ± {statistics.stdev(values):.2g}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.3g}{spread}"


INTRODUCTION = """# Fine-tuning against training from scratch

Generated by `python benchmarks/fine_tuning.py`, which explains what is compared: {examples} grayscale images of cherries and
tomatoes at 32x32, and the same number of steps of `{model}`. Lower distances and higher recall are better; both are computed by two
classifiers of the varieties.

A model of similar images helps, one of others does not: clothes are light on a dark background, and fruits dark on a light one.
"""


if __name__ == "__main__":
    parsing.run(main, "fine_tuning.py")
