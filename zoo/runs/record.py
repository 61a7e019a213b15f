"""The record of a run: the typed and versioned content of `config.json`."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import zoo
from zoo.errors import UserError
from zoo.runs.renames import upgrade_record

SCHEMA = 2
PACKAGES = ("tensorflow", "keras", "tensorflow-datasets", "tensorboard", "numpy")  # packages whose versions affect the results of a run
DISTRIBUTION = "gan-zoo"
GIT_SECONDS = 5  # timeout of `git`


@dataclasses.dataclass
class DataRecord:
    """The data that a run was trained on.

    Attributes:
        name: Name of the dataset, as in `--data`.
        version: Version of the dataset.
        class_names: Names of the classes; None: no classes.
        pose_names: Names of the poses; None: no poses.
        examples: Number of training examples (`--examples`); None: all.
    """

    name: str
    version: str
    class_names: list[str] | None = None
    pose_names: list[str] | None = None
    examples: int | None = None


@dataclasses.dataclass
class RunRecord:
    """The record of a run: model, configuration, data, options, and versions.

    Attributes:
        model: Registered name of the model.
        config: Fields of the configuration.
        data: The training data.
        precision: Name of the dtype policy.
        replicas: Number of replicas.
        xla: Whether the step was compiled with XLA.
        options: Command-line options that are not part of the configuration; a resumed run uses them again.
        parameters: Number of parameters of each network.
        created: Time at which the run was created, ISO 8601.
        versions: Versions of Python and of the packages in `PACKAGES`.
        command: The commands of the run, one line for each start.
        schema: Version of this layout.
        zoo_version: Version of this package; None for runs from before it was recorded.
        git_commit: Commit of the checkout; None outside a checkout.
    """

    model: str
    config: dict[str, Any]
    data: DataRecord
    precision: str
    replicas: int
    xla: bool
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    parameters: dict[str, int] = dataclasses.field(default_factory=dict)
    created: str = ""
    versions: dict[str, str] = dataclasses.field(default_factory=dict)
    command: str = ""
    schema: int = SCHEMA
    zoo_version: str | None = None
    git_commit: str | None = None

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> RunRecord:
        """The record from a `config.json` of any schema.

        Raises:
            UserError: The file was written by a newer version of this package.
            KeyError, TypeError, ValueError, AttributeError: It is not a record.
        """
        if record.get("schema", 1) > SCHEMA:
            raise UserError(
                f"the run was created by a newer version of the zoo ({record.get('zoo_version')}, schema {record['schema']}); "
                f"this one reads schemas 1 to {SCHEMA}: pip install --upgrade {DISTRIBUTION}"
            )
        record = upgrade_record(record)
        values = {name: value for name, value in record.items() if name in _field_names(cls)}
        data = {name: value for name, value in record["data"].items() if name in _field_names(DataRecord)}
        return cls(**{**values, "config": dict(record["config"]), "data": DataRecord(**data)})

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON values (tuples become lists)."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    def config_values(self) -> dict[str, Any]:
        """The fields of the configuration; the lists of JSON become tuples again."""
        return {name: tuple(value) if isinstance(value, list) else value for name, value in self.config.items()}


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that affect the results of a run."""
    return {"python": sys.version.split()[0], **{name: importlib.metadata.version(name) for name in PACKAGES}}


def zoo_version() -> str:
    """Version of this package; the metadata of an editable install may be those of an earlier version."""
    return zoo.__version__


def git_commit() -> str | None:
    """Commit of the checkout that contains this package; None outside a checkout, or without git."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "rev-parse", "HEAD"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=GIT_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip() or None


def _field_names(kind: type) -> set[str]:
    return {field.name for field in dataclasses.fields(kind)}
