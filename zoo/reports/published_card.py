"""The card of a published model: README.md beside its weights, with the head that the Hugging Face Hub reads."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.data.licenses import find_license
from zoo.files import write_text
from zoo.reports import markdown
from zoo.reports.directions import find_score_metric
from zoo.reports.model_card import FILE, MISUSE
from zoo.reports.usage import input_names, tool_command
from zoo.runs.scores import format_score

if TYPE_CHECKING:
    from zoo.core import Game
    from zoo.pretrained import Manifest
    from zoo.registry import ModelEntry

LIBRARY, TAG = "gan-zoo", "generative-adversarial-network"
NOISE_TASK, IMAGE_TASK = "unconditional-image-generation", "image-to-image"  # the hub's names


def write_published_card(folder: Path, manifest: Manifest, entry: ModelEntry, model: Game, address: str, samples: str | None) -> Path:
    """Writes the card of a published model.

    Args:
        folder: The folder of the model.
        manifest: Its manifest.
        entry: The registry entry of its model.
        model: The model; its weights do not matter.
        address: What `zoo.load` takes: a name, a folder or an address.
        samples: Name of a PNG file with samples, in the folder.

    Returns:
        The path of the card.
    """
    sections = [
        _write_head(manifest, model),
        f"# {markdown.escape(manifest.name)}\n\n{markdown.escape(markdown.format_sentence(manifest.summary.rstrip('.')))}",
        f"![samples]({samples})\n\nNot cherry-picked." if samples else "",
        _write_usage(model, address),
        f"## Model\n\n`{manifest.record.model}`: {markdown.escape(entry.paper)}. {markdown.escape(entry.summary)}.",
        _write_data(manifest),
        _write_scores(manifest, model),
        f"## How it was trained\n\n{markdown.code_block('sh', manifest.record.command)}\n\n{_describe_training(manifest)}",
        _write_limits(manifest),
    ]
    path = folder / FILE
    write_text(path, "\n\n".join(section for section in sections if section) + "\n")
    return path


def _write_head(manifest: Manifest, model: Game) -> str:
    """The head in YAML; strings are quoted as in JSON, which is YAML."""
    data = re.sub(r"\W+", "-", manifest.record.data.name.removeprefix("folder:").rstrip("/").rpartition("/")[2]).strip("-").lower()
    tags = [TAG, manifest.record.model, data]
    lines = [f"license: {json.dumps(manifest.license)}", f"library_name: {LIBRARY}"]
    if (stated := find_license(manifest.record.data.name)) and stated.hub:
        lines += ["datasets:", f"- {stated.hub}"]
    lines += [f"pipeline_tag: {NOISE_TASK if model.generates_from_noise else IMAGE_TASK}", "tags:"]
    lines += [f"- {json.dumps(tag)}" for tag in dict.fromkeys(tag for tag in tags if tag)]
    return "\n".join(["---", *lines, "---"])


def _write_usage(model: Game, address: str) -> str:
    signatures = model.signatures()
    command = f"zoo generate {shlex.quote(address)} --count 64 --out samples.png"
    call = "samples = model.sample(seed=[7, 8, 9])"
    if not model.generates_from_noise:
        name = next((name for name in signatures if f"{name}_png" in signatures), next(iter(signatures)))
        inputs = ", ".join(f"{input_name}=..." for input_name in input_names(signatures, name))
        command = f"zoo {tool_command(signatures)} {shlex.quote(address)} input.png output.png"
        call = f'outputs = model.serve("{name}", {inputs})'
    elif "label" in input_names(signatures, "sample"):
        call = "samples = model.sample(seed=[7, 8, 9], label=[0, 1, 2])"
    code = f"import zoo\n\nmodel = zoo.load({json.dumps(address)})\n{call}"
    if address.startswith("hf://"):
        command = f"pip install 'gan-zoo[hub]'\n{command}"
    return f"## Usage\n\n{markdown.code_block('sh', command)}\n\n{markdown.code_block('python', code)}"


def _write_data(manifest: Manifest) -> str:
    data = manifest.record.data
    shape = manifest.record.config.get("image_shape")
    size = f" Images have {markdown.format_setting(shape, 'shape')} values." if shape else ""
    classes = f" Classes: {', '.join(map(markdown.escape, data.class_names))}." if data.class_names else ""
    return (
        f"## Data and license\n\n{markdown.escape(markdown.format_sentence(manifest.attribution.rstrip('.')))}{size}{classes}\n\n"
        f"The weights are published under the license {markdown.escape(manifest.license)}."
    )


def _write_scores(manifest: Manifest, model: Game) -> str:
    if not manifest.scores:
        return "## Scores\n\nNone were measured."
    parts = ["## Scores", "Scores are comparable only if their protocols are equal in every field."]
    for protocol, scores in manifest.protocols().items():
        rows = []
        for name, value in scores.values.items():
            metric, error = find_score_metric(name, model.own_metrics), scores.errors.get(name)
            text = format_score(value) + (f" ± {format_score(error, 2)}" if error is not None else "")
            rows.append([markdown.escape(name.replace("_", " ")), metric.better if metric else "–", text])
        parts += [markdown.table(["score", "better", "value"], rows, [False, False, True])]
        parts += [f"Protocol: {markdown.escape(protocol.describe())}."]
    return "\n\n".join(parts)


def _describe_training(manifest: Manifest) -> str:
    record = manifest.record
    versions = ", ".join(f"{name} {version}" for name, version in record.versions.items())
    commit = f" (commit {record.git_commit})" if record.git_commit else ""
    text = f"{manifest.step:,} steps, precision {record.precision}. gan-zoo {record.zoo_version}{commit}; {versions}"
    settings: list[list[str]] = [
        [name if name.isidentifier() else markdown.escape(name), markdown.escape(markdown.format_setting(value, name))]
        for name, value in record.config.items()
    ]
    table = markdown.table(["setting", "value"], settings)
    return f"{markdown.escape(text)}.\n\n<details><summary>All settings</summary>\n\n{table}\n\n</details>"


def _write_limits(manifest: Manifest) -> str:
    limits: list[Any] = [f"- {markdown.escape(limit)}" for limit in manifest.limits]
    listed = "\n".join(limits) + "\n\n" if limits else ""
    return f"## Limitations and misuse\n\n{listed}{MISUSE}"
