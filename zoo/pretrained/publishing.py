"""Publishing of a run's model: its weights in safe and small files, with a manifest."""

from __future__ import annotations

import dataclasses
import math
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from zoo.core.step import sampling_network
from zoo.core.variables import variable_names
from zoo.data.licenses import find_license
from zoo.data.source import FOLDER_PREFIX
from zoo.errors import UserError, shorten
from zoo.files import write_text
from zoo.pretrained.manifest import FILE, NAME, Manifest, PublishedScores, WeightsFile
from zoo.pretrained.published import PublishedModel, hash_file, open_folder
from zoo.pretrained.weights import SUFFIX, assign_weights, write_weights
from zoo.runs import Run, load_model, score_points
from zoo.runs.record import RunRecord

if TYPE_CHECKING:
    from zoo.core import Game

# Options that describe the data or the evaluation. The others may hold paths of the machine.
PUBLISHED_OPTIONS = ("precision", "eval_samples", "feature_extractor", "crop", "frames", "label_key", "mirror", "balance")
PATH = re.compile(r"(?P<prefix>(?:--[\w-]+=)?(?:folder:|file:)?)(?:~|\.\.|[A-Za-z]:)?[/\\](?P<path>.*)", re.DOTALL)  # not below this folder
LOCAL_OPTIONS = ("--data-dir", "--run-dir")
LICENSE = re.compile(r"[a-z0-9][a-z0-9.+-]*")
TOLERANCE = 1 / 255  # largest difference of an output, relative to its range, for which a network is stored in float16
PROBES, PROBE_SIDE = 32, 64  # inputs for which outputs are compared, and the sides of images of any size


def publish(
    run: Run,
    folder: Path,
    checkpoint: str | int = "last",
    name: str | None = None,
    summary: str | None = None,
    license: str | None = None,
    attribution: str | None = None,
    limits: tuple[str, ...] = (),
) -> PublishedModel:
    """Writes the weights of a run's model and their manifest to a folder. The run is not changed.

    Weights are stored in float16 where samples stay equal to 1/255, otherwise in float32.

    Args:
        run: The run.
        folder: The folder, which is created.
        checkpoint: `last`, `best`, or a step.
        name: Name of the published model; default: that of the folder.
        summary: What it makes, in one line; default: that of the model, and the data.
        license: SPDX identifier of the license of the weights; default: that of the data.
        attribution: Who made the data, in one sentence; default: the known attribution of the dataset.
        limits: Known limitations, one sentence each.

    Raises:
        UserError: The license of the data is not known or does not allow it, and `license` is not given; the model is the user's own code.
    """
    name = folder.name.lower() if name is None else name
    if not NAME.fullmatch(name):
        raise UserError(f"--name {name}: expected lower-case letters, digits, dots, dashes and underscores, as acgan-mnist")
    license, attribution = _find_license(run, license, attribution)
    if run.model_spec:
        raise UserError(
            f"{run.display_path}: {run.record.model} is defined in {run.model_spec}, which whoever loads the weights does not have"
        )
    model: Any = load_model(run, checkpoint)
    folder.mkdir(parents=True, exist_ok=True)
    manifest = Manifest(
        name=name,
        summary=summary or f"{model.modality.describe_shape(model.config)} of {hide_folders(run.record.data.name)} by {run.record.model}",
        license=license,
        attribution=attribution,
        step=model.completed_steps,
        record=_publishable_record(run.record),
        weights=write_networks(model, folder),
        scores=find_scores(run, model.completed_steps),
        limits=list(limits),
    )
    write_text(folder / FILE, manifest.to_json())
    return open_folder(folder, str(folder))


def write_networks(model: Game, folder: Path) -> dict[str, WeightsFile]:
    """Writes the EMA generator, and the discriminator if the model has both, to files; returns their descriptions."""
    networks = {"generator": model.ema_generator}
    if model.discriminator is not None and sampling_network(model) is not model.discriminator:
        networks["discriminator"] = model.discriminator
    files = {}
    for player, network in networks.items():
        path = folder / f"{player}{SUFFIX}"
        write_weights(path, network, _smallest_dtype(model, network))
        files[player] = WeightsFile(path.name, hash_file(path), path.stat().st_size)
    return files


def find_scores(run: Run, step: int) -> list[PublishedScores]:
    """The scores of a run at a step, one entry for each protocol, those with the most samples first."""
    scores = []
    for protocol, by_name in sorted(score_points(run).items(), key=lambda item: -item[0].num_images):
        points = {name: point for name, curve in by_name.items() for point in curve if point.step == step and math.isfinite(point.value)}
        if points:
            values = {name: float(point.value) for name, point in points.items()}
            errors = {name: float(point.error) for name, point in points.items() if point.error is not None and math.isfinite(point.error)}
            scores.append(PublishedScores(protocol.to_dict(), values, errors))
    return scores


def _find_license(run: Run, license: str | None, attribution: str | None) -> tuple[str, str]:
    """The license and the attribution of a run's data, as far as they are not given."""
    if license is not None and not LICENSE.fullmatch(license):
        raise UserError(f"--license {shorten(license)}: expected an SPDX identifier in lower case, such as cc-by-4.0, mit or apache-2.0")
    name = run.record.data.name
    stated = find_license(name)
    identifier = license or (stated.identifier if stated else None)
    if identifier is None:
        reason = f"{name} {stated.attribution}" if stated else f"the license of {name} is not known"
        raise UserError(f"{reason}; if you may publish models of these data, say under which license: --license cc-by-4.0")
    if attribution is None:
        what = "images of the person who trained the model" if name.startswith(FOLDER_PREFIX) else name
        attribution = f"The dataset {name} {stated.attribution}." if stated else f"The data are {what}."
    return identifier, attribution


def _publishable_record(record: RunRecord) -> RunRecord:
    """The record without the machine's paths: folders of images keep their name, and options that hold paths are left out."""
    return dataclasses.replace(
        record,
        options={
            name: value for name, value in record.options.items() if name in PUBLISHED_OPTIONS and hide_folders(str(value)) == str(value)
        },
        data=dataclasses.replace(record.data, name=hide_folders(record.data.name)),
        command=_publishable_commands(record.command),
    )


def hide_folders(word: str) -> str:
    """A word of a command, or the name of a dataset; of a path that is not below the current folder, only the last part is left."""
    parts = PATH.fullmatch(word)
    return parts["prefix"] + re.split(r"[/\\]", parts["path"].rstrip("/\\"))[-1] if parts else word


def _publishable_commands(commands: str) -> str:
    """Commands, one on each line, without the options that name folders of the machine, and with the last part of other paths."""
    try:
        return "\n".join(map(_publishable_command, commands.splitlines()))
    except ValueError:  # no command: a record that was changed
        return ""


def _publishable_command(line: str) -> str:
    words = shlex.split(line)
    left_out = {i + j for i, word in enumerate(words) if word in LOCAL_OPTIONS for j in (0, 1)}  # the option and its value
    return shlex.join(hide_folders(word) for i, word in enumerate(words) if i not in left_out)


def _smallest_dtype(model: Game, network: keras.Model) -> str:
    """`float16` if the network's outputs stay the same with rounded weights, up to `TOLERANCE`; otherwise `float32`."""
    inputs, names = _probe_inputs(model, network), variable_names(network)
    weights = network.get_weights()
    outputs = _outputs(network, inputs)
    with np.errstate(over="ignore"):  # a weight beyond the range becomes infinite, which the outputs show
        rounded = [weight.astype(np.float16).astype(np.float32) for weight in weights]
    try:
        assign_weights(network, dict(zip(names, rounded, strict=True)))
        is_equal = all(
            np.max(np.abs(after - before), initial=0) <= TOLERANCE * np.ptp(before)  # False for infinite weights, which give NaN
            for before, after in zip(outputs, _outputs(network, inputs), strict=True)
        )
    finally:
        network.set_weights(weights)
    return "float16" if is_equal else "float32"


def _outputs(network: keras.Model, inputs: dict[str, tf.Tensor]) -> list[np.ndarray]:
    return [keras.ops.convert_to_numpy(output) for output in keras.tree.flatten(network(inputs, training=False))]


def _probe_inputs(model: Game, network: keras.Model) -> dict[str, tf.Tensor]:
    """Inputs of a network, each a function of its name: latent vectors, smooth images, and the first two numbers of conditions."""
    inputs = {}
    for tensor in network.inputs:
        shape = [PROBES, *(side or PROBE_SIDE for side in tensor.shape[1:])]
        if tensor.dtype == "int64":
            inputs[tensor.name] = tf.broadcast_to(tf.range(PROBES, dtype=tf.int64)[(..., *[None] * (len(shape) - 1))] % 2, shape)
        elif len(shape) == 4:
            noise = tf.random.stateless_uniform([PROBES, 4, 4, shape[-1]], [0, 0], -1, 1)
            inputs[tensor.name] = tf.image.resize(noise, shape[1:3])
        else:
            inputs[tensor.name] = model.latents(tf.range(PROBES)) if tensor.name == "latent" else tf.random.stateless_normal(shape, [0, 1])
    return inputs
