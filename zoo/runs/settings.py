"""The settings of a run that stay the same when it is resumed."""

from __future__ import annotations

import json
from typing import Any

from zoo.runs.record import RunRecord

LENGTH_FIELDS = ("steps", "eval_every")  # fields of a configuration that may change when a run is resumed
FIXED_OPTIONS = ("eval_samples", "feature_extractor", "best")  # options that may not change
VALUE_WIDTH = 40  # characters of a setting in a message


def describe_differences(made: RunRecord, wanted: RunRecord) -> list[str]:
    """The settings that differ from those that a run was made with, as `seed 0 -> 1`."""
    before = _fixed_settings(made)
    # Fields that a later version of the model has added are not compared: the run does not have them.
    added = set(wanted.config) - set(made.config)
    return [
        f"{name} {_shorten(before.get(name))} -> {_shorten(value)}"
        for name, value in _fixed_settings(wanted).items()
        if name not in added and before.get(name) != value
    ]


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


def _shorten(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) < VALUE_WIDTH else text[: VALUE_WIDTH - 3] + "..."
