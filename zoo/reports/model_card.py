"""The model card of a run: RUN/README.md, generated from the run's folder, with its curves."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.data.licenses import find_license
from zoo.errors import join_first
from zoo.files import read_file, write_text
from zoo.metrics.registry import Metric
from zoo.registry import ModelEntry
from zoo.reports import markdown
from zoo.reports.curve import write_curve
from zoo.reports.directions import find_best_point, find_score_metric
from zoo.reports.usage import input_names, write_usage
from zoo.runs.folder import Run
from zoo.runs.measurements import average_speed
from zoo.runs.scores import count_images, format_score, grid_step, latest_grid, score_points
from zoo.types import Protocol, ScorePoint

if TYPE_CHECKING:
    from zoo.core import Game
    from zoo.core.signatures import Signature

Scores = Mapping[Protocol, Mapping[str, Sequence[ScorePoint]]]

FILE = "README.md"
MAX_CLASSES = 12  # class names that are listed
MAX_WARNINGS = 8  # warnings that are quoted
MAX_STEPS = 3  # steps that are listed per warning
MISUSE = (
    "This model is intended for study and research. Do not use it to create the likeness of a real person without their consent, do not "
    "identify people without their consent, and do not present its outputs as photographs or as measured data. Its outputs carry no "
    "watermark, and detectors of generated content are unreliable: label the outputs as generated, and do not rely on a detector as proof."
)
CATALOG = "https://www.tensorflow.org/datasets/catalog"


def write_card(run: Run, entry: ModelEntry, model: Game) -> Path:
    """Writes the card of a run and its curve.png.

    Args:
        run: The run.
        entry: The registry entry of its model.
        model: The model; its weights do not matter.

    Returns:
        The path of the card.
    """
    scores, signatures = score_points(run), model.signatures()
    sections = [
        _write_title(run, entry, model, signatures),
        _write_samples(run, model),
        _write_scores(scores, model.own_metrics),
        write_curve(run, scores),
        _write_training(run),
        _write_data(run),
        _write_warnings(run),
        _write_limitations(run, model, scores),
        write_usage(run, model, signatures),
        _write_versions(run),
    ]
    path = run.folder / FILE
    write_text(path, "\n\n".join(section for section in sections if section) + "\n")
    return path


def is_card_current(run: Run, step: int) -> bool:
    """Whether a run has a card that was written after this step; one that does not name its step was edited, and stays."""
    try:
        steps = re.search(r": ([\d,]+) steps \(", read_file(run.folder / FILE).decode("utf-8", "replace"))
    except OSError:
        return False
    return steps is None or int(steps[1].replace(",", "")) == step


# -- the sections: Markdown, empty if there is nothing to report --------------------------------------------------------------


def _write_title(run: Run, entry: ModelEntry, model: Game, signatures: Mapping[str, Signature]) -> str:
    record, evaluations = run.record, run.evaluations()
    by_class = "label" in input_names(signatures, "sample")
    classes = f" in {record.config.get('num_classes') or 0:,} classes" if by_class else ""
    shape = model.modality.describe_shape(model.config)
    data = f"{markdown.escape(record.data.name)} {markdown.escape(record.data.version)}"
    purpose = f"generates {shape}{classes} and was trained on {data}" if model.generates_from_noise else f"was trained on {shape} of {data}"
    state, step = "no evaluation yet", run.completed_steps()
    if step:
        images = count_images(run, next((row for row in evaluations if row["step"] == step), {"step": step}))
        seconds = max((row.get("seconds", 0.0) for row in evaluations), default=0.0)
        state = f"{step:,} steps ({images:,} images seen), {markdown.format_duration(seconds)}"
        if step < (total := record.config.get("steps", 0)):
            state += f"; stopped before its {total:,} steps were completed"
    return (
        f"# {markdown.escape(run.folder.resolve().name)}\n\n"
        f"`{record.model}`: {markdown.escape(entry.paper)}. {markdown.escape(entry.summary)}. The model {purpose}: {state}."
    )


def _write_samples(run: Run, model: Game) -> str:
    path = latest_grid(run)
    if path is None:
        return ""
    step = grid_step(path)
    description = (type(model).preview.__doc__ or "").partition("\n")[0]
    return (
        f"![samples after step {step:,}](samples/{path.name})\n\nAfter step {step:,}, not cherry-picked. {markdown.escape(description)}"
    ).rstrip()


def _write_scores(scores: Scores, own_metrics: Sequence[Metric]) -> str:
    """One table per protocol."""
    if not scores:
        return ""
    parts = ["## Scores", "Scores are comparable only if their protocols are equal in every field. Each table has one protocol."]
    for protocol in sorted(scores, key=lambda protocol: -protocol.fake_images):
        rows = [_score_row(name, points, find_score_metric(name, own_metrics)) for name, points in scores[protocol].items()]
        header = ["score", "better", "best", "at step", "last", "at step"]
        table = markdown.table(header, rows, numeric=[False, False, True, True, True, True])
        ambiguous = sum(other.subject == protocol.subject for other in scores) > 1
        heading = f"{protocol.subject}, {markdown.escape(protocol.describe_field('precision'))}" if ambiguous else protocol.subject
        parts += [f"### {heading}", table, f"Protocol: {markdown.escape(protocol.describe())}."]
    return "\n\n".join(parts)


def _score_row(name: str, points: Sequence[ScorePoint], metric: Metric | None) -> list[str]:
    last = points[-1]
    best = find_best_point(metric, points) or (last if metric else None)
    best_cells = _point_cells(best) if best else ["–", "–"]
    return [markdown.escape(name.replace("_", " ")), metric.better if metric else "–", *best_cells, *_point_cells(last)]


def _point_cells(point: ScorePoint) -> list[str]:
    error = "" if point.error is None else f" ± {format_score(point.error, 2)}"
    return [f"{format_score(point.value)}{error}", f"{point.step:,}"]


def _write_training(run: Run) -> str:
    record, evaluations, best = run.record, run.evaluations(), run.best()
    facts = [f"created {record.created[:10]}", f"precision {record.precision}"]
    if record.replicas > 1:
        facts.append(f"{record.replicas} replicas")
    if evaluations:
        facts.append(f"{average_speed(evaluations[-1]):,.0f} images/s")
    if record.parameters:
        facts.append("parameters: " + ", ".join(f"{name} {size:,}" for name, size in record.parameters.items()))
    if best:
        facts.append(f"the best checkpoint is from step {best.step:,}, selected by {best.name} {format_score(best.value)}")
    summary = markdown.escape(markdown.format_sentence("; ".join(facts)))
    settings = [
        [name if name.isidentifier() else markdown.escape(name), markdown.escape(markdown.format_setting(value, name))]
        for name, value in record.config.items()
    ]
    return (
        f"## How it was trained\n\n{markdown.code_block('sh', record.command)}\n\n{summary}\n\n"
        f"<details><summary>All settings</summary>\n\n{markdown.table(['setting', 'value'], settings)}\n\n</details>"
    )


def _write_data(run: Run) -> str:
    data = run.record.data
    names = data.class_names or []
    listed = ", ".join(f"{i} = {markdown.escape(name)}" for i, name in enumerate(names[:MAX_CLASSES]))
    listed += ", ..." if len(names) > MAX_CLASSES else ""
    classes = f"{len(names):,} classes: {listed}." if names else "No classes."
    if data.pose_names:
        classes += f" {len(data.pose_names):,} poses, numbered from 0: {', '.join(map(markdown.escape, data.pose_names))}."
    return (
        f"## Data\n\n{_describe_license(data.name, data.version)} {classes} "
        "The license of the data may also apply to outputs that resemble the data, regardless of the license of this code."
    )


def _describe_license(data: str, version: str) -> str:
    """The dataset, its version and its license, in sentences."""
    short_name, name = data.partition("/")[0], f"{markdown.escape(data)} ({markdown.escape(version)})"
    if data.startswith("folder:"):
        owner = "the person who trained the model"
        return f"The images in {name} are from {owner}; the rights belong to their authors and to the people depicted."
    if license := find_license(data):
        return f"The dataset {name} {markdown.escape(license.attribution)}."
    catalog = f" in the [TFDS catalog]({CATALOG}/{short_name})" if re.fullmatch(r"\w+", short_name) else ""
    return f"This card does not know the license of the dataset {name}: look it up{catalog} before you publish any outputs."


def _write_warnings(run: Run) -> str:
    """Each warning once, with its steps unless the text begins with a step."""
    steps_by_text: dict[str, list[int]] = {}
    for row in run.rows():
        for text in row.get("warnings") or ():
            steps_by_text.setdefault(str(text), []).append(row["step"])
    lines = []
    for text, steps in steps_by_text.items():
        prefix = "" if re.match(r"(step|round) \d", text) else f"at step {join_first(steps, MAX_STEPS)}: "
        lines.append(f"- {prefix}{markdown.escape(text)}")
    if len(lines) > MAX_WARNINGS:
        lines[MAX_WARNINGS:] = [f"- and {len(lines) - MAX_WARNINGS} more in metrics.jsonl"]
    return "## Warnings during training\n\n" + ("\n".join(lines) or "No warnings.")


def _write_limitations(run: Run, model: Game, scores: Scores) -> str:
    describe = _generator_limitations if model.generates_from_noise else _translator_limitations
    return f"## Limitations and misuse\n\n{' '.join(describe(run, model, scores))}\n\n{MISUSE}"


def _generator_limitations(run: Run, model: Game, scores: Scores) -> list[str]:
    text = [f"The model generates {model.modality.describe_shape(model.config)} only, with the gaps and biases of its training data."]
    if scores:
        text.append(
            "The scores compare samples with real images by the features of one network: they do not show that every sample is plausible, "
            "and they miss differences that the network ignores. The best checkpoint is selected with the same real images that its score "
            "is computed with, which makes the score slightly optimistic."
        )
    else:
        command = markdown.code_span(run.command("evaluate"))
        text.append(f"The model has not been evaluated; its quality can only be judged from the samples. To evaluate it: {command}.")
    memorization = [points["memorization"][-1] for points in scores.values() if "memorization" in points]
    if memorization:
        text.append(
            f"Memorization is {format_score(memorization[-1].value)}: the median distance from a sample to its nearest training image, "
            "divided by the same distance for unseen real images (about 1: no closer than those; 0: copies). A median does not rule out "
            "individual copies."
        )
    else:
        command = run.command("evaluate", "--metrics memorization")
        text.append(f"Memorization of training examples was not measured and is not ruled out: {markdown.code_span(command)}.")
    return text


def _translator_limitations(run: Run, model: Game, scores: Scores) -> list[str]:
    text = ["The model expects inputs like its training data, with the same gaps and biases; details that it adds are plausible, not true."]
    if scores:
        subjects = " and ".join(dict.fromkeys(protocol.subject for protocol in scores))
        return [*text, f"The scores are means over {subjects}."]
    if not model.own_metrics:
        return [*text, "The model has not been evaluated: it has no metrics."]
    return [*text, f"The model has not been evaluated. To evaluate it: {markdown.code_span(run.command('evaluate'))}."]


def _write_versions(run: Run) -> str:
    record = run.record
    versions = [f"{name} {version}" for name, version in record.versions.items()]
    if record.zoo_version:
        commit = f" (commit {record.git_commit})" if record.git_commit else ""
        versions.append(f"gan-zoo {record.zoo_version}{commit}")
    return f"## Versions\n\n{markdown.escape(', '.join(versions))}; XLA {'on' if record.xla else 'off'}."
