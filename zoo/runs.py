"""A run's folder: what was asked for, checkpoints, what was measured."""

import contextlib
import datetime
import errno
import importlib.metadata
import json
import math
import os
import re
import shlex
import shutil
import sys
from pathlib import Path

import keras
import tensorflow as tf

from zoo import results
from zoo.errors import UserError

PACKAGES = ("tensorflow", "keras", "tensorflow-datasets", "tensorboard", "numpy")


class Run:
    """One training's folder. `record` is config.json: model, its configuration, data, precision, versions, command."""

    def __init__(self, folder, record=None):
        self.folder = Path(folder)
        if record is None:
            record = _read(self.folder)
        self.record = record

    @classmethod
    def create(cls, record, folder=None, under="runs"):
        """Makes the folder: `folder`, which must not exist (or be empty), or the next number below `under`."""
        if folder:
            cls.free(folder)
            folder = Path(folder)
            _make(folder)
        else:
            folder = _next(Path(under), f"{record['model']}-{_slug(record['data']['name'])}")
        run = cls(folder, record)
        now = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
        record.update(created=now, versions=versions(), command=shlex.join([os.path.basename(sys.argv[0]), *sys.argv[1:]]))
        with writing(run):
            _write(folder / "config.json", json.dumps(record, indent=2) + "\n")
        return run

    @staticmethod
    def free(folder):
        """Raises UserError where a folder (None: the next number) cannot be a new run's."""
        if folder and Path(folder).exists() and (not Path(folder).is_dir() or any(Path(folder).iterdir())):
            raise UserError(f"{folder} exists; choose another --run-dir, or go on with it: --resume {shlex.quote(str(folder))}")

    @property
    def export_folder(self):
        return self.folder / "export" / self.record["model"]

    def check(self, record):
        """Raises UserError, naming the fields, where the run was made with other settings (its length may change)."""
        wanted, made = (_settings(json.loads(json.dumps(r))) for r in (record, self.record))  # tuples become lists
        differ = [f"{k} {_short(made.get(k))} -> {_short(v)}" for k, v in wanted.items() if made.get(k) != v]
        if differ:
            raise UserError(f"{self.folder} was made with other settings: {', '.join(differ)}; resume without them, or start a new run")

    def lengthen(self, config, done):
        """Remembers the run's new length and how it came by it, and drops what was measured after round `done`, from which it goes on."""
        before = self.record["config"]
        if (config.steps, config.every) != (before["steps"], before["every"]):
            self.record["command"] += f"\n{self.resume_command} --steps {config.steps} --every {config.every}"
        before.update(steps=config.steps, every=config.every)
        _write(self.folder / "config.json", json.dumps(self.record, indent=2) + "\n")
        path = self.folder / "metrics.jsonl"
        if path.exists():
            _write(path, "".join(f"{json.dumps(row)}\n" for row in self.rows if row["round"] <= done))
        if self.best and self.best["round"] > done:
            shutil.rmtree(self.folder / "checkpoints" / "best")

    @property
    def checkpoints(self):
        """Paths of the checkpoints, the newest first."""
        paths = [str(path)[: -len(".index")] for path in (self.folder / "checkpoints").glob("ckpt-*.index")]
        return sorted(paths, key=_round, reverse=True)

    @property
    def rows(self):
        """The lines of metrics.jsonl, as dicts; one that was cut short is left out."""
        path = self.folder / "metrics.jsonl"
        return [row for line in path.read_text().splitlines() if (row := _row(line))] if path.exists() else []

    @property
    def looks(self):
        """Those of the rows that training wrote at its looks."""
        return [row for row in self.rows if "images_per_second" in row]

    @property
    def best(self):
        """The best checkpoint's {"name", "value", "round"}: the score that it is best by; None where none is kept."""
        paths = list((self.folder / "checkpoints" / "best").glob("ckpt-*.index"))
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            score = json.loads((self.folder / "checkpoints" / "best" / "score.json").read_text())
            if any(_round(str(path)[: -len(".index")]) == score["round"] for path in paths):
                return score
        return None

    def keep_best(self, game, name, value):
        """Keeps the model as it is as the best checkpoint, beside the last ones. The one before goes when this one is whole."""
        folder, number = self.folder / "checkpoints" / "best", int(keras.ops.convert_to_numpy(game.round))
        manager = tf.train.CheckpointManager(tf.train.Checkpoint(game=game), str(folder), max_to_keep=2)
        manager.save(checkpoint_number=number)
        _write(folder / "score.json", json.dumps({"name": name, "value": value, "round": number}) + "\n")
        for path in folder.glob("ckpt-*"):
            if path.name.split(".")[0] != f"ckpt-{number}":
                path.unlink()

    @property
    def resume_command(self):
        return f"python train.py --resume {shlex.quote(str(self.folder))}"

    def manager(self, game):
        """The run's checkpoints of a model: networks, averaged generator, both optimizers, round."""
        return tf.train.CheckpointManager(tf.train.Checkpoint(game=game), str(self.folder / "checkpoints"), max_to_keep=3)

    def restore(self, game, which="last"):
        """Restores a checkpoint: `last` (the newest good one), `best`, or that of a round; returns its path.

        A damaged one is passed over, saying so, unless it was asked for by number. Optimizers are restored where the model has them.
        """
        best = [str(self.folder / "checkpoints" / "best" / f"ckpt-{self.best['round']}")] if self.best else []
        if which == "best":
            paths = best
        else:
            paths = (
                [path for path in [*self.checkpoints, *best] if str(which) == str(_round(path))] if which != "last" else self.checkpoints
            )
        if not paths:
            have = [str(_round(path)) for path in reversed(self.checkpoints)] + [f"best (of round {_round(path)})" for path in best]
            raise UserError(f"{self.folder} has no checkpoint {which}; it has: {', '.join(have) or 'none'}")
        for path in paths:
            try:
                status = tf.train.Checkpoint(game=game).restore(path)
                status.expect_partial()  # no list of the optimizers' variables where the model is loaded without them
                status.assert_existing_objects_matched()
                return path
            except (tf.errors.OpError, AssertionError, ValueError, IndexError) as error:  # what TensorFlow says of files cut short
                reason = f"checkpoint {path} is damaged or of another model ({' '.join(str(error).split())[:80]})"
                if path == paths[-1]:
                    raise UserError(f"{reason}, and there is no other") from None
                print(f"warning: {reason}; using the one before", file=sys.stderr)

    def append_scores(self, number, checkpoint, scores, protocol):
        """Adds scores that were made after the training, of the checkpoint of round `number`."""
        look = next((row for row in self.rows if row["round"] == number), {})
        seen = {name: look[name] for name in ("images", "seconds") if name in look}
        scores = {name: results.rounded(value) for name, value in scores.items()}
        self.append({"round": number, **seen, "evaluated": True, "checkpoint": checkpoint, "scores": scores, "protocol": protocol})

    def append(self, row):
        """Adds one line to metrics.jsonl, below one that was cut short when the run was killed."""
        with open(self.folder / "metrics.jsonl", "ab+") as file:
            whole = file.seek(0, os.SEEK_END) == 0 or (file.seek(-1, os.SEEK_END), file.read(1) == b"\n")[1]
            file.write(f"{'' if whole else chr(10)}{json.dumps(row)}\n".encode())


@contextlib.contextmanager
def writing(run):
    """Turns a full disk or a folder that cannot be written into one line; what was saved before is whole."""
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        known = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS)
        texts = ("No space left", "File too large", "Disk quota", "Permission denied", "Read-only file system")
        found = next((text for text in texts if text in str(error)), None)
        if not known and not found:
            raise
        raise UserError(
            f"{run.folder} could not be written: {found or error.strerror}. The checkpoints that it has are whole; "
            f"make room (or make it writable), then: {run.resume_command}"
        ) from None


def versions():
    """Versions of Python and of the packages that decide what a run computes."""
    return {"python": sys.version.split()[0], **{name: importlib.metadata.version(name) for name in PACKAGES}}


def phases(done, steps, every, most=8, milestones=()):
    """How to play rounds `done` to `steps` by `fit`, whose epochs are all of one length and end where a look is due.

    Yields (first round, rounds an epoch, epochs, steps_per_execution): a shorter epoch up to the next look, whole ones, the rest.
    None goes beyond a milestone, where the step becomes another; up to there steps_per_execution is one number, for each is a trace.
    """
    while done < steps:
        end = min([steps, *(milestone for milestone in milestones if milestone > done)])
        parts = []
        while done < end:
            length = min(every - done % every, end - done)
            parts.append((done, length, (end - done) // every if length == every else 1))
            done += length * parts[-1][2]
        shared = math.gcd(*(length for _, length, _ in parts))
        at_once = max(n for n in range(1, most + 1) if shared % n == 0)
        yield from ((*part, at_once) for part in parts)


def _read(folder):
    try:
        record = json.loads((folder / "config.json").read_text())
        record["model"], record["config"], _settings(record)
    except FileNotFoundError:
        there = sorted(folder.parent.glob("*/config.json"), key=lambda path: path.stat().st_mtime, reverse=True)
        said = f". Runs there: {', '.join(str(path.parent) for path in there[:5])}" if there else ""
        said += f" and {len(there) - 5} older ones" if len(there) > 5 else ""
        raise UserError(f"{folder} is no run: it has no config.json{said}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder}/config.json cannot be read as a run's record ({type(error).__name__}: {error})") from None
    return record


def _settings(record):
    """What must not change between two parts of a run."""
    fields = {name: value for name, value in record["config"].items() if name not in ("steps", "every")}
    data = {f"data {name}": value for name, value in record["data"].items()}
    options = record.get("options", {})
    measured = {name: value for name, value in options.items() if name in ("scores", "extractor", "best")}
    begun = {"init": options["init"]} if options.get("init") else {}
    return {**{name: record[name] for name in ("model", "precision", "replicas", "xla")}, **data, **fields, **measured, **begun}


def _row(line):
    """A line of metrics.jsonl; None where it was cut short when the run was killed."""
    with contextlib.suppress(ValueError):
        row = json.loads(line)
        return row if isinstance(row, dict) and isinstance(row.get("round"), int) else None


def _round(path):
    return int(Path(path).name.removeprefix("ckpt-"))


def _slug(name):
    """A data set's name as part of a folder's: `folder:~/my pictures` -> `my-pictures`."""
    name = os.path.basename(name.removeprefix("folder:").rstrip("/")) if name.startswith("folder:") else name
    return re.sub(r"[^A-Za-z0-9_]+", "-", name).strip("-") or "data"


def _short(value):
    text = json.dumps(value)
    return text if len(text) < 40 else text[:37] + "..."


def _make(folder):
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"the run's folder cannot be made: {error}; choose another with --run-dir") from None


def _next(under, stem):
    _make(under)
    numbers = [int(p.name.rsplit("-", 1)[1]) for p in under.glob(f"{stem}-*") if p.name.rsplit("-", 1)[1].isdecimal()]
    number = max(numbers, default=0) + 1
    while True:
        folder = under / f"{stem}-{number:04d}"
        try:
            folder.mkdir()
            return folder
        except FileExistsError:  # another run took the number meanwhile
            number += 1
        except OSError as error:
            raise UserError(f"the run's folder cannot be made: {error}; choose another with --run-dir") from None


def _write(path, text):
    results.replace(path, lambda work: work.write_text(text))
