"""Compares fine-tuning with training from scratch on 200 images, and writes docs/fine-tuning.md.

    python benchmarks/fine_tuning.py --data folder:~/pictures/fruits_rot

200 images of the data, grayscale at 32x32, are trained on for the same number of steps: from scratch, from a pretrained model, and from it
with the first layers of the discriminator frozen. Samples are compared with all images of the data, by two classifiers of their classes.
"""

from __future__ import annotations

import dataclasses
import datetime
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from provenance import describe_machine
from quality import run_python
from rows import merge_rows, write_rows

from zoo.cli import parsing
from zoo.reports import markdown
from zoo.runs import Run, export_versions, load_model
from zoo.runs.naming import slug
from zoo.training import runtime

TOP = Path(__file__).resolve().parents[1]
SHAPE = (32, 32, 1)
EXTRACTOR_SEEDS = (0, 1)
METRICS = ("frechet", "recall")
KEY = ("start", "seed", "steps", "base", "data")


@dataclasses.dataclass(frozen=True)
class Options:
    data: str
    """dataset with classes, as --data of train.py"""
    base: str = "dcgan-fashion"
    """pretrained model to start from"""
    examples: int = 200
    """images that are trained on"""
    steps: int = 900
    """training steps"""
    evaluations: int = 3
    """points of the curves; a run keeps its last three checkpoints"""
    seeds: int = 3
    """runs of each kind"""
    frozen: int = 2
    """layers of the discriminator that are frozen in the third kind of runs"""
    count: int = 3000
    """samples that are scored"""
    runs: Path = Path("runs/fine-tuning")
    """folder of the runs"""
    rows: Path = TOP / "docs" / "fine-tuning.jsonl"
    """file with a line for each run; the page is generated from it, next to it as .md"""


def main(argv: Sequence[str] | None = None) -> int:
    options = parsing.parse(Options, sys.argv[1:] if argv is None else argv, "fine_tuning.py", __doc__)
    runtime.configure()
    pretrained = ("--init-from", options.base)
    base = Path(options.base).name
    starts: dict[str, tuple[str, ...]] = {
        "from scratch": (),
        f"from {base}": pretrained,
        f"the same, {options.frozen} layers frozen": (*pretrained, "--freeze-discriminator", str(options.frozen)),
    }
    for seed in range(options.seeds):
        for start, words in starts.items():
            row = {"start": start, "seed": seed, "steps": options.steps, "base": base, **measure(options, words, seed)}
            rows = list(merge_rows(options.rows, [row], KEY).values())
            write_rows(options.rows, rows, write_page(rows))
    return 0


def measure(options: Options, words: Sequence[str], seed: int) -> dict[str, Any]:
    """Trains one run, or continues it, and scores each of its checkpoints."""
    from zoo.pretrained import open_model

    model, data = open_model(options.base).record.model, slug(options.data)
    names = {options.data: data, options.base: Path(options.base).name}  # of this machine's folders
    kind = "-".join(names.get(word, word.lstrip("-")) for word in words) or "scratch"
    folder = (options.runs / f"{data}-{options.examples}-{options.steps}-{kind}-{seed}").resolve()
    interval = options.steps // options.evaluations
    command = ["train.py", "--model", model, "--data", options.data, "--image-shape", *map(str, SHAPE), "--examples", str(options.examples)]
    command += [
        "--steps",
        str(options.steps),
        "--eval-every",
        str(interval),
        "--eval-samples",
        "0",
        "--seed",
        str(seed),
        "--mirror",
        *words,
    ]
    if not (folder / "config.json").exists():
        run_python(*command, "--run-dir", str(folder))
    elif not export_versions(folder / "export" / model):
        run_python("train.py", "--resume", str(folder))
    run = Run(folder)
    return {
        "data": data,
        "model": model,
        "examples": options.examples,
        "curve": [score(options, run, interval * (i + 1)) for i in range(options.evaluations)],
        "command": " ".join(["python", *(names.get(word, word) for word in command)]),
        "machine": describe_machine(),
        "tensorflow": run.record.versions["tensorflow"],
        "date": datetime.date.today().isoformat(),
    }


def score(options: Options, run: Run, step: int) -> dict[str, Any]:
    """The scores of a checkpoint by each classifier."""
    from zoo import data
    from zoo.metrics import Evaluation
    from zoo.metrics.extractors import load_extractor

    source = data.open_source(options.data, None, SHAPE, ("image", "label"))
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

Generated by `python benchmarks/fine_tuning.py`, which explains what is compared: {examples} grayscale images of `{data}` at 32x32, and
the same number of steps of `{model}`. Lower distances and higher recall are better; both are computed by two classifiers of the data's
classes.
"""


if __name__ == "__main__":
    parsing.run(main, "fine_tuning.py")
