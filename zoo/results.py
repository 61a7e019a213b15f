"""What a run's folder says of its scores and samples, how both are told to people, and files that are never half there."""

import json
import os
from pathlib import Path
from typing import NamedTuple

from PIL import Image

LOWER = ("frechet", "fid", "kid", "ms_ssim", "swd", "misclassified", "cycle_error")  # is better; of the other scores, higher
ERRORS = ("_error", "_spread")  # `kid_error[...]` is the uncertainty of `kid[...]`, no score of its own


class Point(NamedTuple):
    """A score at a round, after `images` images. error: its uncertainty, where the metric gives one."""

    value: float
    round: int
    images: int
    error: float | None = None


def measured(run):
    """{protocol as JSON: {score: [Point, ...] by round}} of a `Run`. A score without a protocol compares with nothing: it is left out."""
    found, config = {}, run.record["config"]
    for row in run.rows:
        scores = {name: value for name, value in (row.get("scores") or {}).items() if isinstance(value, (int, float))}
        if not scores or not row.get("protocol"):
            continue
        kept = found.setdefault(json.dumps(row["protocol"], sort_keys=True), {})
        images = row.get("images", row["round"] * config["batch_size"] * config["discriminator_steps"])
        for name, value in scores.items():
            stem, bracket, rest = name.partition("[")
            if not any(stem.endswith(end) and stem.removesuffix(end) + bracket + rest in scores for end in ERRORS):
                error = next((scores[f"{stem}{end}{bracket}{rest}"] for end in ERRORS if f"{stem}{end}{bracket}{rest}" in scores), None)
                kept.setdefault(name, {})[row["round"]] = Point(value, row["round"], images, error)  # measured again: the later
    return {
        protocol: {name: [points[number] for number in sorted(points)] for name, points in scores.items()}
        for protocol, scores in found.items()
    }


def last_grid(run):
    """Path of a run's newest grid of samples that can be read to its end; None where there is none."""
    paths = [path for path in (run.folder / "samples").glob("round-*.png") if path.stem.removeprefix("round-").isdecimal()]
    for path in sorted(paths, key=lambda path: int(path.stem.removeprefix("round-")), reverse=True):
        try:
            with Image.open(path) as picture:
                picture.load()
            return path
        except (OSError, SyntaxError):  # what Pillow says of a file cut short
            continue
    return None


def versions(folder):
    """Numbers of the SavedModels below a folder, sorted; none where there is no such folder."""
    return sorted(int(path.name) for path in Path(folder).glob("*") if path.name.isdecimal())


def tool(offered):
    """The command of `python -m zoo` for a model that makes images of images, by its signatures."""
    return "upscale" if "upscale" in offered else "translate"


def replace(path, save):
    """Lets `save` write beside the path and renames, so that the file is never half there."""
    work = path.with_name(f".{os.getpid()}-{path.name}")
    save(work)
    os.replace(work, path)


def table(header, rows):
    """Rows of text under a header, in columns."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = [header, ["-" * width for width in widths], *rows]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines)


def better(name):
    """Which values of a score are better: `lower`, `higher`, or `nearer to 1`."""
    if base(name) == "memorisation":
        return "nearer to 1"
    return "lower" if base(name) in LOWER or name.startswith("swd_") else "higher"


def best_first(name):
    """A key for `min` and `sorted` that puts the better value of a score first."""
    return {"lower": lambda value: value, "higher": lambda value: -value, "nearer to 1": lambda value: abs(value - 1)}[better(name)]


def base(name):
    """`frechet[classifier-mnist-1a2b]` -> `frechet`."""
    return name.partition("[")[0]


def spoken(protocol):
    """A protocol as one line of text."""
    return "; ".join(f"{name.replace('_', ' ')} {field(name, value)}" for name, value in protocol.items())


def field(name, value):
    """A value of a protocol's field: `28x28x1`, the start of a hash, `none`."""
    if isinstance(value, list):
        return "any" if None in value else "x".join(map(str, value))
    return str("none" if value is None else value)[: 12 if name.endswith("sha256") else None]


def rounded(value):
    """A number as it is written to a file: six digits that say something."""
    return float(f"{value:.6g}")


def digits(value, count=3):
    """A score with three digits that say something: 71.2, 0.850, 0.00120."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:#.{count}g}".rstrip(".")
