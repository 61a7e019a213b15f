"""The settings of a run that stay the same when it is resumed."""

from __future__ import annotations

import json
from typing import Any

from zoo.runs.record import RunRecord

LENGTH_FIELDS = ("steps", "eval_every")  # fields of a configuration that may change when a run is resumed
FIXED_OPTIONS = (
    "eval_samples",
    "feature_extractor",
    "best",
    "crop",
    "frames",
    "label_key",
    "mirror",
    "balance",
)  # options that may not change
DEFAULTS = {"crop": "center", "frames": False, "mirror": False, "balance": False}  # of options that older records do not have
FOLDER = "folder:"
VALUE_WIDTH = 40  # characters of a setting in a message


def describe_differences(made: RunRecord, wanted: RunRecord) -> list[str]:
    """The settings that differ from those that a run was made with, as `seed 0 -> 1`."""
    before = _fixed_settings(made)
    if made.replicas != wanted.replicas:  # XLA compiles for a single one only, and results are equal up to rounding anyway
        before["xla"] = wanted.xla
    # Fields that a later version of the model has added are not compared: the run does not have them.
    added = set(wanted.config) - set(made.config)
    names = {"data name": (made.data.name, wanted.data.name)}  # instead of the kind of data
    differences = {
        name: names.get(name, (before.get(name), value))
        for name, value in _fixed_settings(wanted).items()
        if name not in added and before.get(name) != value
    }
    return [f"{name} {_shorten(old)} -> {_shorten(new)}" for name, (old, new) in differences.items()]


def _fixed_settings(record: RunRecord) -> dict[str, Any]:
    """Settings that must not change when a run is resumed."""
    fields = record.to_dict()
    options = fields["options"]
    return {
        **{name: fields[name] for name in ("model", "precision", "xla")},
        **{f"data {name}": value for name, value in fields["data"].items()},
        "data name": FOLDER if record.data.name.startswith(FOLDER) else record.data.name,  # its version is that of its content
        **{name: value for name, value in fields["config"].items() if name not in LENGTH_FIELDS},
        **{name: options.get(name, DEFAULTS.get(name)) for name in FIXED_OPTIONS},
        **({"init_from": options["init_from"]} if options.get("init_from") else {}),
    }


def _shorten(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) < VALUE_WIDTH else text[: VALUE_WIDTH - 3] + "..."
