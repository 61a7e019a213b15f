"""A small training run, and everything that it holds."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

NETWORK = ["--generator-widths", "8", "4", "--discriminator-widths", "4", "8", "--latent-dim", "8", "--image-shape", "8", "8", "1"]
SCORES = ["--eval-samples", "40", "--best", "recall"]
TRAINING = ["--model", "acgan", *NETWORK, *SCORES, "--batch-size", "16", "--steps", "4", "--eval-every", "2"]
STEPS = 4
TIMES = ("seconds", "images_per_second", "scores_seconds")  # fields of a row that no two processes share
BOOKKEEPING = ("_CHECKPOINTABLE_OBJECT_GRAPH", "save_counter")  # of TensorFlow: a process that resumes has saved fewer checkpoints


def train(folder: str) -> int:
    """Creates the run."""
    return run_command("train", *TRAINING, "--run-dir", folder)


def resume(folder: str, description: str) -> int:
    """Resumes the run, or creates it if it was not recorded yet, and writes what it holds to a JSON file."""
    is_recorded = Path(folder, "config.json").exists()
    status = run_command("train", "--resume", folder) if is_recorded else train(folder)
    if status in (0, 2):  # 2: it is refused because it is complete, or for another reason
        write_description(folder, description)
    return status


def write_description(folder: str, path: str) -> int:
    """Writes what the run holds to a JSON file; see `describe`."""
    Path(path).write_text(json.dumps(describe(Path(folder))), encoding="utf-8")
    return 0


def run_command(program: str, *argv: str) -> int:
    """Runs `train.py` (`train`) or `zoo` as their scripts do, and returns the exit status."""
    from zoo import __main__ as commands
    from zoo.cli import parsing, train
    from zoo.training import callbacks

    callbacks.MAX_TIME_SHARE = float("inf")  # scores are not left out on a slow machine
    main = train.main if program == "train" else commands.main
    try:
        parsing.run(lambda: main(list(argv)), "train.py" if program == "train" else "zoo")
    except SystemExit as stop:
        return int(stop.code or 0)
    raise AssertionError("parsing.run exits")


def describe(folder: Path) -> dict[str, Any]:
    """What a run holds, without times: rows, files, pictures, and digests of the weights of checkpoints and export."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and "events" not in path.name}
    card = (folder / "README.md").read_text(encoding="utf-8")
    checkpoints = sorted(path.with_suffix("") for path in folder.glob("checkpoints/**/ckpt-*.index"))
    return {
        "rows": [{name: value for name, value in row.items() if name not in TIMES} for row in rows],
        "files": sorted(files),
        "best": json.loads((folder / "checkpoints" / "best" / "score.json").read_text(encoding="utf-8")),
        "pictures": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (folder / "samples").iterdir()},
        "checkpoints": {str(path.relative_to(folder)): digest(path) for path in checkpoints},
        "export": sorted(digest(folder / "export" / "acgan" / "1" / "variables" / "variables").values()),  # numbered in any order
        "card": [line for line in card.splitlines() if line.startswith("#")],
    }


def digest(prefix: Path) -> dict[str, str]:
    """SHA-256 of all tensors of a checkpoint, by name; without TensorFlow's own."""
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(prefix))
    names = [name for name in sorted(reader.get_variable_to_shape_map()) if not name.startswith(BOOKKEEPING)]
    return {name: hashlib.sha256(reader.get_tensor(name).tobytes()).hexdigest() for name in names}


def compare(expected: dict[str, Any], actual: dict[str, Any]) -> list[str]:
    """What differs between two runs: `rows`, `checkpoints`."""
    return [name for name in expected if expected[name] != actual.get(name)]
