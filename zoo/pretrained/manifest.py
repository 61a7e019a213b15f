"""The manifest of a published model: the typed and versioned content of `manifest.json`."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo.errors import UserError, shorten
from zoo.records import MAX_BYTES, build_from, check_types, parse_object
from zoo.runs.record import DISTRIBUTION, RunRecord
from zoo.types import Protocol

FILE = "manifest.json"
SCHEMA = 1
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
WEIGHTS_NAME = re.compile(r"[A-Za-z0-9_-]+\.safetensors")
PICKLE_SUFFIXES = frozenset(
    (".pkl", ".pickle", ".pt", ".pth", ".bin", ".ckpt", ".joblib", ".dill", ".npy", ".npz")
)  # they may execute code


@dataclasses.dataclass
class WeightsFile:
    """A file of weights.

    Attributes:
        file: Its name, beside the manifest.
        sha256: SHA-256 of its content, in hexadecimal digits.
        bytes: Its size.
    """

    file: str
    sha256: str
    bytes: int


@dataclasses.dataclass
class PublishedScores:
    """Scores of a published model under one protocol.

    Attributes:
        protocol: The fields of the protocol.
        values: Score -> value.
        errors: Score -> its uncertainty, where it has one.
    """

    protocol: dict[str, Any]
    values: dict[str, float]
    errors: dict[str, float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Manifest:
    """What is known of a published model.

    Attributes:
        name: Its name, such as `acgan-fashion`.
        summary: What it makes, in one line.
        license: SPDX identifier of the license of the weights, in lower case.
        attribution: Who made the data, and under which license, in one sentence.
        step: Completed training steps.
        record: The record of its run: model, configuration, data, command, versions.
        weights: `generator` (EMA) and, if there is one, `discriminator` -> the file.
        scores: Scores, one entry for each protocol.
        limits: Known limitations, one sentence each.
        schema: Version of this layout.
    """

    name: str
    summary: str
    license: str
    attribution: str
    step: int
    record: RunRecord
    weights: dict[str, WeightsFile]
    scores: list[PublishedScores]
    limits: list[str]
    schema: int = SCHEMA

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Manifest:
        """The manifest from the object in a `manifest.json`.

        Raises:
            UserError: It was written by a newer version of this package, or names files that may execute code.
            ValueError: It is not a manifest: a field is missing, or of another type than its annotation.
        """
        schema = check_types(cls, {"schema": values.get("schema")})["schema"]
        if schema > SCHEMA:
            raise UserError(
                f"the model was published by a newer version of the zoo (schema {schema}); this one reads schemas up to {SCHEMA}: "
                f"pip install --upgrade {DISTRIBUTION}"
            )
        weights, scores = values.get("weights"), values.get("scores")
        if not isinstance(weights, Mapping) or "generator" not in weights or set(weights) - {"generator", "discriminator"}:
            raise ValueError("weights is not an object with generator, and possibly discriminator")
        if not isinstance(scores, list):
            raise ValueError("scores is not a list")
        if not isinstance(values.get("record"), Mapping):
            raise ValueError("record is not an object")
        parts = {
            "record": RunRecord.from_dict(values["record"]),
            "weights": {player: build_from(WeightsFile, file, f"weights.{player}.") for player, file in weights.items()},
            "scores": [build_from(PublishedScores, one, "scores.") for one in scores],
        }
        manifest = build_from(cls, {**values, **parts})
        for file in manifest.weights.values():
            if file.bytes < 0:
                raise ValueError(f"weights.bytes={file.bytes} is negative")
            if not WEIGHTS_NAME.fullmatch(file.file):
                raise UserError(
                    f"its weights are in {shorten(file.file)}; only .safetensors files are read, because others may execute code"
                )
        if not NAME.fullmatch(manifest.name):
            raise ValueError(f"name={shorten(manifest.name)} is not a name")
        return manifest

    def to_json(self) -> str:
        """The content of the file."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    def total_bytes(self) -> int:
        """The size of all files of weights."""
        return sum(file.bytes for file in self.weights.values())

    def protocols(self) -> dict[Protocol, PublishedScores]:
        """The scores by their protocols."""
        return {Protocol.from_dict(scores.protocol): scores for scores in self.scores}


def parse_manifest(content: bytes, display: object) -> Manifest:
    """The manifest that the content of a file holds.

    Args:
        content: The content; at most `records.MAX_BYTES`.
        display: The model, as messages name it.

    Raises:
        UserError: It is not a manifest.
    """
    try:
        if len(content) > MAX_BYTES:
            raise ValueError(f"it has more than {MAX_BYTES:,} bytes")
        return Manifest.from_dict(parse_object(content))
    except UserError as error:
        raise UserError(f"{display}: {error}") from None
    except ValueError as error:
        raise UserError(f"{display}: {FILE} cannot be read as that of a published model: {error}") from None


def refuse_pickles(names: list[str], display: object) -> None:
    """Raises UserError if there are pickles among the names of files."""
    pickles = sorted(name for name in names if Path(name).suffix.lower() in PICKLE_SUFFIXES)
    if pickles:
        raise UserError(f"{display} is refused: it contains {pickles[0]}, and files of this kind can execute code when they are loaded")
