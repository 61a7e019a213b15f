"""The record of a run: the typed and versioned content of `config.json`."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

import zoo
from zoo.errors import UserError
from zoo.records import build_from, check_types
from zoo.runs.renames import upgrade_record

SCHEMA = 2
PACKAGES = ("tensorflow", "keras", "tensorflow-datasets", "tensorboard", "numpy")  # packages whose versions affect the results of a run
DISTRIBUTION = "gan-zoo"
GIT_SECONDS = 5  # timeout of `git`


class SharedFields(TypedDict, total=False):
    """Fields of a configuration that are read without the model's own `Config`."""

    image_shape: list[int | None] | None
    num_classes: int | None
    batch_size: int
    steps: int
    eval_every: int
    seed: int
    discriminator_steps: int


class RecordedOptions(TypedDict, total=False):
    """Options in a record."""

    model: str | None
    data_dir: str | None
    precision: str
    strategy: str
    xla: str
    eval_samples: int
    best: str | None
    init_from: str | None
    init_optimizers: bool
    feature_extractor: str
    crop: str
    frames: bool
    label_file: str | None
    label_key: str | None
    mirror: bool
    balance: bool


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
            ValueError: It is not a record: a field is missing, or of another type than its annotation.
        """
        if not isinstance(record, Mapping):
            raise ValueError("it is not an object")
        schema = check_types(cls, {"schema": record.get("schema", 1)})["schema"]
        if schema > SCHEMA:
            raise UserError(
                f"the run was created by a newer version of the zoo ({str(record.get('zoo_version')):.40}, schema {schema}); "
                f"this one reads schemas 1 to {SCHEMA}: pip install --upgrade {DISTRIBUTION}"
            )
        values = _check_fields(cls, record)  # of any schema: an old record has the same fields, which hold other names
        if "config" not in values:
            raise ValueError("config is missing")
        check_types(RecordedOptions, values.get("options", {}), "options.")
        values = upgrade_record({**record, **values})
        data = build_from(DataRecord, values.get("data"), "data.")
        made = build_from(cls, {**values, "data": data})
        if not re.fullmatch(r"\w[\w.-]*", made.model):
            raise ValueError(f"model={made.model!r:.60} is not a name")  # it is also the name of a folder
        check_types(SharedFields, made.config, "config.")
        check_types(RecordedOptions, made.options, "options.")  # those that had other names before
        return made

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


def _check_fields(kind: type, record: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a record, with the types of their annotations; None stands for a default in old records."""
    names = {field.name for field in dataclasses.fields(kind)} - {"data"}
    optional = {field.name for field in dataclasses.fields(kind) if field.default_factory is not dataclasses.MISSING}
    values = {name: value for name, value in record.items() if name in names}
    return check_types(kind, {name: {} if value is None and name in optional else value for name, value in values.items()})
