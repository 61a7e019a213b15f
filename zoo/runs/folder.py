"""A run's folder: config.json, checkpoints/, metrics.jsonl, samples/, export/, README.md."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo import registry
from zoo.errors import UserError, printable
from zoo.files import write_text
from zoo.records import read_object
from zoo.runs import measurements
from zoo.runs.best import SCORE_FILE, BestCheckpoint, read_best, remove_best, save_best
from zoo.runs.checkpoints import build_manager, checkpoint_step, list_checkpoints, remove_checkpoints, restore_checkpoint, weight_limit
from zoo.runs.commands import command_prefix, program_name
from zoo.runs.naming import check_can_be_made, expand_home, explain_folder_error, list_runs, make_folder, make_next_folder, slug
from zoo.runs.ownership import NOT_A_RUN, identify, own
from zoo.runs.progress import Progress, read_progress, write_progress
from zoo.runs.record import RunRecord, git_commit, package_versions, zoo_version
from zoo.runs.scores import grid_step, list_grids
from zoo.runs.settings import describe_differences
from zoo.runs.writing import explain_moved_folder, explain_write_errors

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

MARKUP = frozenset("`<>\"'&|;$\\")  # characters that no path of a model's file may have in what is printed and in the card


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
        self._identity = identify(self._folder)
        self._record = _read_record(self._display_path) if record is None else record
        self._is_recorded = record is None  # whether the folder has a config.json

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
    def record_path(self) -> str:
        """The path of config.json, for messages."""
        return f"{self.display_path}/config.json"

    @property
    def export_folder(self) -> Path:
        """The folder of its SavedModels, with one subfolder per version."""
        return self.folder / "export" / self.record.model

    @property
    def model_spec(self) -> str | None:
        """`path/to/file.py:NAME` of a model of one's own, as it was given when the run was trained; for display only, never executed.

        None for the models of this package: whoever wrote the record would decide which file a command executes that we print.
        """
        spec = self.record.options.get("model")
        if not isinstance(spec, str) or not spec.endswith(f".py:{self.record.model}") or not spec.isprintable() or set(spec) & MARKUP:
            return None
        return None if registry.is_built_in(self.record.model) else spec

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
        run = cls(folder, RunRecord.from_dict(record.to_dict()))  # with the values that a resumed run reads
        with explain_write_errors(run), own(run):
            cls.check_free(folder)  # another process may have taken it meanwhile
            run._write_record()
        return run

    @staticmethod
    def check_free(folder: str | os.PathLike[str] | None) -> None:
        """Raises UserError if a folder cannot become a new run; None means the next numbered folder, which is always free."""
        path = expand_home("runs" if folder is None else folder)
        try:
            is_new = folder is None or not path.exists()
            is_free = is_new or (path.is_dir() and all(NOT_A_RUN.fullmatch(one.name) for one in path.iterdir()))
        except OSError as error:
            raise explain_folder_error(error) from None
        if not is_free:
            raise UserError(
                f"{path} already exists; choose another --run-dir, or continue this run: {program_name()} --resume {shlex.quote(str(path))}"
            )
        check_can_be_made(path)

    def check_settings(self, record: RunRecord) -> None:
        """Raises UserError, naming the settings that differ, if the run has other settings (its length may differ)."""
        differences = describe_differences(self.record, record)
        if differences:
            raise UserError(
                f"{self.display_path} was made with other settings: {', '.join(differences)}; "
                "resume it without these options, or start a new run"
            )

    def extend(self, config: Any, step: int, is_restored: bool = True) -> None:
        """Records the new length of a resumed run, and removes everything that was measured after the step from which it resumes.

        The same goes for what was measured at an interruption between two evaluations.

        Args:
            config: The configuration of the resumed run.
            step: The step from which it resumes.
            is_restored: Whether a checkpoint was restored; if not, training starts over.
        """
        interruptions = {row["step"] for row in self.rows() if row.get("interrupted")}
        recorded, length = self.record.config, {"steps": config.steps, "eval_every": config.eval_every}
        if any(recorded.get(name) != value for name, value in length.items()):
            self.record.command += f"\n{self.resume_command()} --steps {config.steps} --eval-every {config.eval_every}"
        recorded.update(length)
        self._write_record()
        measurements.remove_later_rows(self.folder, self.display_path, step)
        for grid in list_grids(self):
            if grid_step(grid) > step or grid_step(grid) in interruptions:
                grid.unlink()
        best = self.best()
        if best and best.step > step:
            remove_best(self._best_folder)
        if not is_restored:
            remove_checkpoints(self.folder / "checkpoints")  # of the initial weights, and damaged

    def own(self) -> contextlib.AbstractContextManager[None]:
        """While the block runs, this process is the only one that trains or changes the run; raises UserError if another one does."""
        return own(self)

    def is_in_place(self) -> bool:
        """Whether the folder is still the one that was opened: it may have been renamed or deleted meanwhile."""
        is_same = self._identity is None or identify(self.folder) == self._identity
        return is_same and (not self._is_recorded or (self.folder / "config.json").exists())

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
        return list_checkpoints(self.folder / "checkpoints")

    def completed_steps(self) -> int:
        """The number of completed steps: that of the newest checkpoint, or of the last evaluation where the checkpoints are missing."""
        checkpoints = self.checkpoints()
        return checkpoint_step(checkpoints[0]) if checkpoints else max((row["step"] for row in self.evaluations()), default=0)

    def weight_limit(self) -> int | None:
        """An upper bound on the number of weights of the run's model; None if no checkpoint can be read."""
        return weight_limit(self.checkpoints())

    def manager(self, model: keras.Model) -> tf.train.CheckpointManager:
        """The manager that writes the run's checkpoints."""
        return build_manager(model, self.folder / "checkpoints")

    def best(self) -> BestCheckpoint | None:
        """The best checkpoint; None if there is none."""
        try:
            return read_best(self._best_folder)
        except (OSError, ValueError):
            return None

    @property
    def _best_folder(self) -> Path:
        return self.folder / "checkpoints" / "best"

    def keep_best(self, model: keras.Model, name: str, value: float, extractor: str | None = None) -> None:
        """Saves the model as the best checkpoint, in addition to the latest ones. The previous best is deleted when this one is complete.

        Args:
            model: The model.
            name: The score by which it is the best.
            value: The value of the score.
            extractor: The feature extractor of the score.
        """
        self._check_in_place()
        save_best(self._best_folder, model, BestCheckpoint(name, value, model.completed_steps, extractor))

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

        paths = self.find_checkpoints(which)
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

    def find_checkpoints(self, which: str | int) -> list[str]:
        """Paths of the checkpoints that `which` may mean, the preferred one first; raises UserError if there are none."""
        checkpoints, best = self.checkpoints(), self.best()
        best_paths = [str(self._best_folder / f"ckpt-{best.step}")] if best else []
        if which == "last":
            paths = checkpoints
        elif which == "best":
            paths = best_paths
        else:
            paths = [path for path in [*checkpoints, *best_paths] if str(which) == str(checkpoint_step(path))]
        if which == "best" and not best:
            self._explain_missing_best()
        if not paths:
            available = [str(checkpoint_step(path)) for path in reversed(checkpoints)] + ([f"best (step {best.step})"] if best else [])
            raise UserError(f"{self.display_path} has no checkpoint {which!s:.60}. Available: {', '.join(available) or 'none'}.")
        return paths

    # -- metrics.jsonl ----------------------------------------------------------------------------------------------------------------

    def rows(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl, those of old runs with the current names; a line that is damaged is skipped with a warning."""
        return measurements.read_rows(self.folder, self.display_path)

    def evaluations(self) -> list[dict[str, Any]]:
        """The rows that were written during training."""
        return [row for row in self.rows() if "images_per_second" in row]

    def append(self, row: Mapping[str, Any]) -> None:
        """Appends a line to metrics.jsonl."""
        self._check_in_place()
        measurements.append_row(self.folder, row)

    def write_progress(self, progress: Progress) -> None:
        """Writes what an evaluation needs, before its checkpoint is written."""
        self._check_in_place()
        write_progress(self.folder, progress)

    def unfinished_evaluation(self, step: int) -> Progress | None:
        """The evaluation of a checkpoint whose line is not in metrics.jsonl; None if it was finished."""
        if step == 0 or any(row["step"] == step for row in self.evaluations()):
            return None
        progress = read_progress(self.folder, step)
        return None if progress.is_interruption else progress

    def progress(self, step: int) -> Progress:
        """The progress of training at a checkpoint."""
        return read_progress(self.folder, step)

    def _check_in_place(self) -> None:
        if not self.is_in_place():
            raise explain_moved_folder(self)

    def _explain_missing_best(self) -> None:
        """Raises UserError if there is a best checkpoint whose score cannot be read."""
        try:
            read_best(self._best_folder)
        except (OSError, ValueError) as error:
            raise UserError(f"{self.format_path(self._best_folder / SCORE_FILE)} cannot be read: {error}") from None

    def _write_record(self) -> None:
        write_text(self.folder / "config.json", json.dumps(self.record.to_dict(), indent=2) + "\n")
        self._is_recorded = True


def _read_record(folder: Path) -> RunRecord:
    try:
        return RunRecord.from_dict(read_object(folder / "config.json"))
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{folder} is not a run: it has no config.json{list_runs(folder.parent)}") from None
    except UserError as error:
        raise UserError(f"{folder}/config.json: {error}") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{folder}/config.json cannot be read as the record of a run: {error}") from None
