"""The gallery: trains each model that runs anywhere on the embedded digits, and writes docs/gallery.md with a picture of each.

    python benchmarks/gallery.py                    # all that are missing, or whose preset has changed
    python benchmarks/gallery.py --models pggan     # one again

A model's seconds are those of the whole command, from start to export.
"""

import dataclasses
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from quality import machine, preset
from tqdm import tqdm

from zoo import command, registry, results, runs
from zoo.errors import UserError

TOP = Path(__file__).parents[1]
ORDER = ("autoencoder", "vae", "ebm", "gan", "dcgan", "cgan", "acgan", "sgan", "infogan", "lsgan", "wgan", "wgan_gp", "sngan")
ORDER += (
    "sngan_projection",
    "sagan",
    "pggan",
    "biggan",
    "r3gan",
    "pix2pix",
    "cyclegan",
    "srresnet",
    "srgan",
    "drgan",
)  # the story that lectures tell
PAGE = """# Gallery

Each model as `python train.py --model NAME` leaves it, on its embedded data, with nothing chosen: the last preview of seed 0. Made by
`python benchmarks/gallery.py`. Models with classes show one class a row, the same noise down each column; what makes images of images
shows held-out ones, and below each what was made of it. What some of them do on data of one's own: [real.md](real.md).

Scores are those of a run's last look: of 1,000 samples against the 360 digits that were not trained on, as the classifier of the digits
sees them (about 98 % right), or what a model measures of itself on held-out images. They say what to expect of the command; models are
compared by [one table](../benchmarks/results.md).
"""


@dataclasses.dataclass(frozen=True)
class Options:
    models: tuple[str, ...] = ORDER
    """which models; the others' rows stay"""
    rows: Path = TOP / "docs" / "gallery.jsonl"
    """a line a picture; the page is made of it, beside it as .md"""


def main(argv=None):
    options = command.parse(Options, sys.argv[1:] if argv is None else argv, "gallery.py", __doc__)
    asked_all = options.models == ORDER
    for name in tqdm(options.models, "models", disable=None):
        row = read(options).get(name)
        if not (asked_all and row and row["preset"] == preset(name)):
            keep(options, made(options, name))
    keep(options)
    return 0


def made(options, name):
    """Trains one model; its row. The picture goes beside the page."""
    words = ["train.py", "--model", name]
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        done = subprocess.run([sys.executable, *words, "--run-dir", f"{folder}/run"], cwd=TOP)
        if done.returncode:
            raise UserError(f"`python {' '.join(words)}` ended with status {done.returncode}")
        seconds = time.monotonic() - began
        pictures = options.rows.with_suffix("")
        pictures.mkdir(parents=True, exist_ok=True)
        shutil.copy(results.last_grid(runs.Run(f"{folder}/run")), pictures / f"{name}.png")
        look = json.loads(Path(folder, "run", "metrics.jsonl").read_text().splitlines()[-1])
    return {
        "model": name,
        "preset": preset(name),
        "seconds": round(seconds),
        "rounds": look["round"],
        "scores": look["scores"],
        "protocol": look["protocol"],
        "machine": machine(),
    }


def read(options):
    lines = options.rows.read_text().splitlines() if options.rows.exists() else []
    return {row["model"]: row for row in map(json.loads, lines)}


def keep(options, *rows):
    """Writes the rows, the new ones in the place of those before, and the page."""
    found = {**read(options), **{row["model"]: row for row in rows}}
    found = {name: found[name] for name in sorted(found, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))}
    results.replace(options.rows, lambda work: work.write_text("".join(f"{json.dumps(row)}\n" for row in found.values())))
    text = [PAGE, *(section(row) for row in found.values())]
    results.replace(options.rows.with_suffix(".md"), lambda work: work.write_text("\n".join(text)))


def section(row):
    entry, scores = registry.entry(row["model"]), [f"{results.base(name)} {results.digits(value)}" for name, value in row["scores"].items()]
    return (
        f"## {row['model']}\n\n{entry.paper}. {entry.line}.\n\n![{row['model']}](gallery/{row['model']}.png)\n\n"
        f"`python train.py --model {row['model']}`: {row['rounds']:,} rounds, {row['seconds']} seconds ({row['machine']}). "
        f"{'Of 1,000 samples' if entry.model.draws else 'Of held-out images'}: {', '.join(scores)}.\n"
    )


if __name__ == "__main__":
    command.run(main, "gallery.py")
