"""The section of a model card about using the model."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from zoo.reports import markdown
from zoo.runs.folder import Run
from zoo.runs.scores import export_versions

if TYPE_CHECKING:
    from zoo.core.signatures import Signature

DIMENSIONS = {4: ("height", "width", "channels"), 5: ("k", "height", "width", "channels")}  # rank -> names of the axes after the first
REQUEST = {"seed": 7, "label": 0, "truncation": 2.0}  # inputs of an example request to a server
VALUE_NOTES = {  # inputs and outputs that need an explanation
    "image": "`image` is in [0, 1]",
    "image_bytes": "`image_bytes` are PNG files",
    "seed": "the same `seed` gives the same sample",
}
SIGNATURE_NOTES = {"to_y": "x is the domain of trainA, y that of trainB"}


def tool_command(signatures: Mapping[str, Signature]) -> str:
    """The command for an image-to-image model with these signatures: `upscale` or `translate`."""
    return "upscale" if "upscale" in signatures else "translate"


def input_names(signatures: Mapping[str, Signature], name: str) -> list[str]:
    """Names of the inputs of a signature; empty if the model does not have it."""
    return [spec.name for spec in signatures[name].inputs] if name in signatures else []


def write_usage(run: Run, model: Any, signatures: Mapping[str, Signature]) -> str:
    """The section: commands, Python code, and the table of signatures."""
    shell = [*_sampling_commands(run, model, signatures), *_serving_commands(run, model, signatures)]
    steps = max(run.record.config.get("steps", 0), run.completed_steps())
    if steps < model.config.learning_stops_at:
        shell.append(f"{run.resume_command()} --steps {2 * steps}  # continues training")
    code = _python_code(run, model, signatures)
    return (
        f"## Usage\n\n{markdown.code_block('sh', chr(10).join(shell))}\n\n{markdown.code_block('python', code)}\n\n"
        f"{_describe_signatures(signatures)}"
    )


def _sampling_commands(run: Run, model: Any, signatures: Mapping[str, Signature]) -> list[str]:
    checkpoint = " --checkpoint best" if run.best() else ""
    if not model.generates_from_noise:
        return [run.command(tool_command(signatures), f"input.png output.png{checkpoint}")]
    command = run.command("generate", f"--count 64 --out samples.png{checkpoint}")
    by_class = "label" in input_names(signatures, "sample")
    return [f"{command}  # a grid{'; --label 0: one class only' if by_class else ''}"]


def _serving_commands(run: Run, model: Any, signatures: Mapping[str, Signature]) -> list[str]:
    versions = export_versions(run.export_folder)
    if not versions:
        return [f"{run.command('export')}  # a SavedModel for TensorFlow Serving"]
    name, path = run.record.model, run.format_path(run.export_folder)
    folder = shlex.quote(str(path))
    mount = f"{folder}:/models/{name}" if path.is_absolute() else f'"$PWD"/{folder}:/models/{name}'
    commands = [f"docker run -p 8501:8501 -v {mount} -e MODEL_NAME={name} tensorflow/serving  # serves version {versions[-1]}"]
    if model.generates_from_noise:
        inputs = {key: value for key, value in REQUEST.items() if key in input_names(signatures, "sample")}
        request = json.dumps({"signature_name": "sample", "instances": [inputs]})
        commands.append(f"curl -d '{request}' http://localhost:8501/v1/models/{name}:predict")
    return commands


def _python_code(run: Run, model: Any, signatures: Mapping[str, Signature]) -> str:
    checkpoint = ', checkpoint="best"' if run.best() else ""
    lines = ["import zoo", "", f"model = zoo.load({json.dumps(str(run.display_path))}{checkpoint})"]
    if run.model_spec:
        lines[:2] = ["import zoo.registry", "", f"zoo.registry.resolve({json.dumps(run.model_spec)})  # executes the model's file"]
    if model.generates_from_noise:
        by_class = "label" in input_names(signatures, "sample")
        labels = f", label={[i % model.config.num_classes for i in range(3)]}" if by_class else ""
        shape = ", ".join(map(str, (3, *model.modality.sample_shape(model.config))))
        lines.append(f"samples = model.sample(seed=[7, 8, 9]{labels})  # float32 [{shape}]")
    else:
        # The first signature with a variant for PNG files is the main one.
        name = next((name for name in signatures if f"{name}_png" in signatures), next(iter(signatures)))
        inputs = ", ".join(f"{input_name}=..." for input_name in input_names(signatures, name))
        output = signatures[name].outputs[0]
        lines.append(f'{output} = model.serve("{name}", {inputs})["{output}"]')
    return "\n".join(lines)


def _describe_signatures(signatures: Mapping[str, Signature]) -> str:
    """A table of the signatures, with notes on their inputs and outputs."""
    rows, values = [], set()
    for name, signature in signatures.items():
        inputs = ", ".join(f"`{spec.name} {spec.dtype.name} {_format_shape(spec)}`" for spec in signature.inputs)
        rows.append([f"`{name}`", inputs, ", ".join(f"`{output}`" for output in signature.outputs)])
        values |= {*input_names(signatures, name), *signature.outputs}
    notes = [note for name, note in VALUE_NOTES.items() if name in values]
    notes += [note for name, note in SIGNATURE_NOTES.items() if name in signatures]
    text = "Signatures of `model.serve(NAME, ...)` and of the SavedModel"
    return f"{text}{': ' if notes else ''}{'; '.join(notes)}.\n\n{markdown.table(['signature', 'inputs', 'outputs'], rows)}"


def _format_shape(spec: Any) -> str:
    """A shape as `[n, height, width, 3]`, in which sizes that are None have names."""
    names = ("n", *DIMENSIONS.get(spec.shape.rank, (f"d{i}" for i in range(1, spec.shape.rank))))
    return f"[{', '.join(str(size or name) for size, name in zip(spec.shape, names, strict=True))}]"
