"""A run's folder: config.json, checkpoints/, metrics.jsonl, samples/, export/, README.md."""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from zoo.errors import UserError, printable
from zoo.files import write_text
from zoo.runs.commands import command_prefix, program_name
from zoo.runs.naming import check_can_be_made, expand_home, explain_folder_error, make_folder, make_next_folder, slug
from zoo.runs.record import RunRecord, git_commit, package_versions, zoo_version
from zoo.runs.renames import upgrade_best, upgrade_row
from zoo.runs.scores import ScoreValue, score_fields
from zoo.runs.writing import explain_write_errors
from zoo.types import Protocol

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

RUNS_LISTED = 5  # runs listed in the message about a folder that is not a run
LENGTH_FIELDS = ("steps", "eval_every")  # fields of a configuration that may change when a run is resumed
FIXED_OPTIONS = ("eval_samples", "feature_extractor", "best")  # options that may not change
VALUE_WIDTH = 40  # characters of a setting in a message


class BestCheckpoint(NamedTuple):
    """The checkpoint with the best value of a score.

    Attributes:
        name: The score.
        value: Its value.
        step: The step of the checkpoint.
        extractor: The feature extractor of the score, if it is recorded.
    """

    name: str
    value: float
    step: int
    extractor: str | None = None


class Run:
    """The folder of a training run.

    Args:
        folder: The folder; `~` stands for the home folder.
        record: The content of its config.json; default: read from the file.

    Raises:
        UserError: The folder is not a run.
    """

    def __init__(self, folder: str | os.PathLike[str], record: RunRecord | None = None) -> None:
        self._display_path = expand_home(folder)
        self._folder = Path(os.path.abspath(self._display_path))
        self._record = _read_record(self._display_path) if record is None else record

    @property
    def folder(self) -> Path:
        """The absolute path of the folder, which stays valid if the program changes its working directory."""
        return self._folder

    @property
    def display_path(self) -> Path:
        """The path of the folder as it was given, for messages and commands."""
        return self._display_path

    @property
    def record(self) -> RunRecord:
        return self._record

    @property
    def export_folder(self) -> Path:
        """The folder of its SavedModels, with one subfolder per version."""
        return self.folder / "export" / self.record.model

    @property
    def model_spec(self) -> str | None:
        """`path/to/file.py:NAME` of a model of one's own, as it was given when the run was trained; for display only, never executed."""
        spec = self.record.options.get("model")
        return spec if isinstance(spec, str) and spec.endswith(f".py:{self.record.model}") and spec.isprintable() else None

    @classmethod
    def create(cls, record: RunRecord, folder: str | os.PathLike[str] | None = None, under: str | os.PathLike[str] = "runs") -> Run:
        """Creates the folder of a new run and writes its config.json.

        Args:
            record: The record of the run; date and versions are filled in.
            folder: The folder, which must be empty or not exist; default: the next number below `under`.
            under: The folder in which runs are numbered.
        """
        if folder:
            cls.check_free(folder)
            folder = expand_home(folder)
            make_folder(folder)
        else:
            folder = make_next_folder(expand_home(under), f"{record.model}-{slug(record.data.name)}")
        now = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
        record = dataclasses.replace(record, created=now, versions=package_versions(), zoo_version=zoo_version(), git_commit=git_commit())
        run = cls(folder, record)
        with explain_write_errors(run):
            run._write_record()
        return run

    @staticmethod
    def check_free(folder: str | os.PathLike[str] | None) -> None:
        """Raises UserError if a folder cannot become a new run; None means the next numbered folder, which is always free."""
        path = expand_home("runs" if folder is None else folder)
        try:
            is_free = folder is None or not path.exists() or (path.is_dir() and not any(path.iterdir()))
        except OSError as error:
            raise explain_folder_error(error) from None
        if not is_free:
            raise UserError(
                f"{path} already exists; choose another --run-dir, or continue this run: {program_name()} --resume {shlex.quote(str(path))}"
            )
        check_can_be_made(path)

    def check_settings(self, record: RunRecord) -> None:
        """Raises UserError, naming the settings that differ, if the run has other settings (its length may differ)."""
        made = _fixed_settings(self.record)
        wanted = _fixed_settings(record)
        # Fields that a later version of the model has added are not compared: the run does not have them.
        added = set(record.config) - set(self.record.config)
        differences = [
            f"{name} {_shorten(made.get(name))} -> {_shorten(value)}"
            for name, value in wanted.items()
            if name not in added and made.get(name) != value
        ]
        if differences:
            raise UserError(
                f"{self.display_path} was made with other settings: {', '.join(differences)}; "
                "resume it without these options, or start a new run"
            )

    def extend(self, config: Any, step: int) -> None:
        """Records the new length of a resumed run, and removes everything that was measured after the step from which it resumes.

        Args:
            config: The configuration of the resumed run.
            step: The step from which it resumes.
        """
        recorded = self.record.config
        if (config.steps, config.eval_every) != (recorded["steps"], recorded["eval_every"]):
            self.record.command += f"\n{self.resume_command()} --steps {config.steps} --eval-every {config.eval_every}"
        recorded.update(steps=config.steps, eval_every=config.eval_every)
        self._write_record()
        path = self.folder / "metrics.jsonl"
        if path.exists():
            write_text(path, "".join(f"{json.dumps(row)}\n" for row in self.rows() if row["step"] <= step))
        best = self.best()
        if best and best.step > step:
            shutil.rmtree(self.folder / "checkpoints" / "best")

    def resume_command(self) -> str:
        """The command that continues this run."""
        return f"{program_name()} --resume {shlex.quote(str(self.display_path))}{self._model_option()}"

    def command(self, name: str, arguments: str = "") -> str:
        """A command that uses this run: `zoo NAME RUN ARGUMENTS`, with the file of a model of one's own."""
        words = f"{command_prefix()} {name} {shlex.quote(str(self.display_path))} {arguments}".rstrip()
        return f"{words}{self._model_option()}"

    def _model_option(self) -> str:
        """` --model path/to/file.py:NAME` for a model of one's own, which a new process has to register; empty for others."""
        return f" --model {shlex.quote(self.model_spec)}" if self.model_spec else ""

    def format_path(self, path: str | os.PathLike[str]) -> Path:
        """A path below the run's folder, as messages name it."""
        return self.display_path / Path(path).relative_to(self.folder)

    # -- checkpoints ------------------------------------------------------------------------------------------------------------------

    def checkpoints(self) -> list[str]:
        """Paths of the checkpoints, newest first, without the best one."""
        from zoo.runs.checkpoints import list_checkpoints

        return list_checkpoints(self.folder / "checkpoints")

    def manager(self, model: keras.Model) -> tf.train.CheckpointManager:
        """The manager that writes the run's checkpoints."""
        from zoo.runs.checkpoints import build_manager

        return build_manager(model, self.folder / "checkpoints")

    def best(self) -> BestCheckpoint | None:
        """The best checkpoint; None if there is none."""
        folder = self.folder / "checkpoints" / "best"
        try:
            score = upgrade_best(json.loads((folder / "score.json").read_text(encoding="utf-8")))
            best = BestCheckpoint(score["name"], score["value"], score["step"], score.get("extractor"))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return best if (folder / f"ckpt-{best.step}.index").exists() else None

    def keep_best(self, model: keras.Model, name: str, value: float, extractor: str | None = None) -> None:
        """Saves the model as the best checkpoint, in addition to the latest ones. The previous best is deleted when this one is complete.

        Args:
            model: The model.
            name: The score by which it is the best.
            value: The value of the score.
            extractor: The feature extractor of the score.
        """
        from zoo.runs.checkpoints import build_manager

        folder, step = self.folder / "checkpoints" / "best", model.completed_steps
        build_manager(model, folder, max_to_keep=2).save(checkpoint_number=step)
        write_text(folder / "score.json", json.dumps(BestCheckpoint(name, value, step, extractor)._asdict()) + "\n")
        for path in folder.glob("ckpt-*"):
            if path.name.split(".")[0] != f"ckpt-{step}":
                path.unlink()

    def restore(self, model: keras.Model, which: str | int = "last") -> str:
        """Restores a checkpoint; a damaged one is skipped with a warning, unless it is the only candidate.

        Args:
            model: The model; its optimizers are restored if it is compiled.
            which: `last` (the newest one that is intact), `best`, or a step.

        Returns:
            The path of the checkpoint.

        Raises:
            UserError: The checkpoint does not exist, or none can be read.
        """
        import tensorflow as tf

        from zoo.runs.checkpoints import restore_checkpoint

        paths = self._find_checkpoints(which)
        for path in paths:
            try:
                restore_checkpoint(model, path)
                return path
            except (tf.errors.OpError, AssertionError, ValueError, IndexError) as error:  # TensorFlow's errors for truncated files
                reason = f"checkpoint {self.format_path(path)} is damaged or belongs to another model ({' '.join(str(error).split())[:80]})"
                if path == paths[-1]:
                    raise UserError(f"{reason}, and the run has no other checkpoint") from None
                print(f"warning: {printable(reason)}; using the previous one", file=sys.stderr)
        raise AssertionError("unreachable: there is at least one path")

    def _find_checkpoints(self, which: str | int) -> list[str]:
        """Paths of the checkpoints that `which` may mean, the preferred one first."""
        from zoo.runs.checkpoints import checkpoint_step

        checkpoints, best = self.checkpoints(), self.best()
        best_paths = [str(self.folder / "checkpoints" / "best" / f"ckpt-{best.step}")] if best else []
        if which == "last":
            paths = checkpoints
        elif which == "best":
            paths = best_paths
        else:
            paths = [path for path in [*checkpoints, *best_paths] if str(which) == str(checkpoint_step(path))]
        if not paths:
            available = [str(checkpoint_step(path)) for path in reversed(checkpoints)] + ([f"best (step {best.step})"] if best else [])
            raise UserError(f"{self.display_path} has no checkpoint {which!s:.60}. Available: {', '.join(available) or 'none'}.")
        return paths

    # -- metrics.jsonl ----------------------------------------------------------------------------------------------------------------

    def rows(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl, those of old runs with the current names; truncated ones are skipped."""
        path = self.folder / "metrics.jsonl"
        if not path.exists():
            return []
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        return [row for line in lines if (row := _parse_row(line))]

    def evaluations(self) -> list[dict[str, Any]]:
        """The rows that were written during training."""
        return [row for row in self.rows() if "images_per_second" in row]

    def append(self, row: Mapping[str, Any]) -> None:
        """Appends a line to metrics.jsonl; a last line that was truncated when the run was killed stays separate."""
        with open(self.folder / "metrics.jsonl", "ab+") as file:
            if file.seek(0, os.SEEK_END) > 0:
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    file.write(b"\n")
            file.write(f"{json.dumps(row)}\n".encode())

    def append_scores(self, step: int, checkpoint: str | int, scores: Mapping[str, ScoreValue], protocol: Protocol) -> None:
        """Appends scores that were computed after training.

        Args:
            step: The step of the scored checkpoint.
            checkpoint: The scored checkpoint: `last`, `best`, or a step.
            scores: Name -> number, or `metrics.Score` (value and uncertainty).
            protocol: The protocol of the scores.
        """
        trained = next((row for row in self.rows() if row["step"] == step), {})
        progress: dict[str, Any] = {name: trained[name] for name in ("images", "seconds") if name in trained}
        self.append({"step": step, **progress, "evaluated": True, "checkpoint": checkpoint, **score_fields(scores, protocol)})

    def _write_record(self) -> None:
        write_text(self.folder / "config.json", json.dumps(self.record.to_dict(), indent=2) + "\n")


def _read_record(folder: Path) -> RunRecord:
    try:
        return RunRecord.from_dict(json.loads((folder / "config.json").read_text(encoding="utf-8")))
    except FileNotFoundError:
        runs = sorted(folder.parent.glob("*/config.json"), key=lambda path: path.stat().st_mtime, reverse=True)
        listed = f". Runs in {folder.parent}: {', '.join(str(path.parent) for path in runs[:RUNS_LISTED])}" if runs else ""
        older = f" and {len(runs) - RUNS_LISTED} older ones" if len(runs) > RUNS_LISTED else ""
        raise UserError(f"{folder} is not a run: it has no config.json{listed}{older}") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{folder}/config.json cannot be read as the record of a run ({type(error).__name__}: {error})") from None


def _fixed_settings(record: RunRecord) -> dict[str, Any]:
    """Settings that must not change when a run is resumed."""
    fields = record.to_dict()
    options = fields["options"]
    return {
        **{name: fields[name] for name in ("model", "precision", "replicas", "xla")},
        **{f"data {name}": value for name, value in fields["data"].items()},
        **{name: value for name, value in fields["config"].items() if name not in LENGTH_FIELDS},
        **{name: value for name, value in options.items() if name in FIXED_OPTIONS},
        **({"init_from": options["init_from"]} if options.get("init_from") else {}),
    }


def _parse_row(line: str) -> dict[str, Any] | None:
    """A line of metrics.jsonl; None if it was truncated when the run was killed."""
    try:
        row = upgrade_row(json.loads(line))
    except (ValueError, TypeError, AttributeError):
        return None
    return row if isinstance(row.get("step"), int) else None


def _shorten(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) < VALUE_WIDTH else text[: VALUE_WIDTH - 3] + "..."
