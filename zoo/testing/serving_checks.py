"""Checks of a model's SavedModel: run by TensorFlow's C++ loader, the one of TF Serving, it computes what the model does.

The C++ library that `cpp_loader` needs comes with TensorFlow for Linux only; elsewhere TensorFlow's own loader runs the signatures.
"""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from zoo.core import Game
from zoo.errors import UserError
from zoo.testing.checks import _raises
from zoo.testing.tiny import TrainedModel

FORBIDDEN = {"PyFunc", "EagerPyFunc", "PyFuncStateless", "RandomStandardNormal", "RandomUniform", "RngReadAndSkip", "PrintV2"}
FORBIDDEN |= {"AssignAddVariableOp", "AssignSubVariableOp"}
Arrays = dict[str, np.ndarray]


def check_the_export_equals_the_model(trained: TrainedModel) -> None:
    """All signatures, run by the C++ loader in a process without Python TensorFlow.

    Signatures of strings, and all of them where TensorFlow has no C++ library, are run by TensorFlow's own loader.
    """
    model = trained.model
    signatures, inputs = model.signatures(), _example_inputs(model)
    expected = {name: signature.function(*map(tf.constant, inputs[name].values())) for name, signature in signatures.items()}
    for name, signature in signatures.items():
        assert set(expected[name]) == set(signature.outputs), f"{name} declares the outputs {signature.outputs}"
    if model.generates_from_noise and "latent" in inputs["serving_default"]:
        _check_sampling_signatures(model, inputs, expected)
    numeric = {
        name for name in signatures if not any(np.asarray(v).dtype.kind in "SO" for v in [*inputs[name].values(), *expected[name].values()])
    }
    assert "serving_default" in numeric
    by_cpp_loader = numeric if has_cpp_library() else set[str]()  # strings cannot be passed through the C API by hand
    outputs: dict[str, Arrays] = {}
    if by_cpp_loader:
        outputs = run_cpp_loader(trained.version, {name: inputs[name] for name in by_cpp_loader}, Path(trained.folder.name))
    for name in set(signatures) - by_cpp_loader:
        tensors = {key: tf.constant(value) for key, value in inputs[name].items()}
        outputs[name] = {key: value.numpy() for key, value in trained.served[name](**tensors).items()}
    for name, values in expected.items():
        assert set(outputs[name]) == set(values)
        for key, value in values.items():
            _check_output(outputs[name][key], value)


def _example_inputs(model: Game) -> dict[str, Arrays]:
    """Three rows for each signature of a model."""
    draw = np.random.RandomState(0)
    given: Arrays = {
        "seed": np.array([3, 2**40, -1], np.int64),
        "label": np.array([2, 0, 1], np.int64),
        "pose": np.array([0, 1, 2], np.int64),
        "truncation": np.array([0.5, 1.0, 4.0], np.float32),
    }
    if model.generates_from_noise:
        given["latent"] = model.latents([5, 6, 7]).numpy()

    def example(spec: tf.TensorSpec) -> np.ndarray:
        if spec.name in given:
            return given[spec.name]
        if spec.dtype == tf.string:
            channels = model.modality.sample_shape(model.config)[-1]  # files are those of images
            return np.array([tf.io.encode_png(np.full((16, 16, channels), 90 * i, np.uint8)).numpy() for i in range(3)])
        return draw.rand(3, *(side or 16 for side in spec.shape[1:])).astype(np.float32)

    return {name: {spec.name: example(spec) for spec in signature.inputs} for name, signature in model.signatures().items()}


def _check_sampling_signatures(model: Game, inputs: dict[str, Arrays], expected: dict[str, dict[str, tf.Tensor]]) -> None:
    """`serving_default` and `sample` are `generate_from` and `sample` of the model; `png` is the same as a file."""
    default, sample, key = inputs["serving_default"], inputs["sample"], model.modality.key
    conditions = {name: tf.constant(default[name]) for name in model.conditions}
    direct = model.modality.to_external(model.generate_from(model.ema_generator, tf.constant(default["latent"]), **conditions))
    np.testing.assert_allclose(expected["serving_default"][key], direct, atol=1e-6)
    np.testing.assert_allclose(expected["sample"][key], model.sample(**dict[str, Any](sample)), atol=1e-6)
    if "png" in expected:
        image = tf.io.decode_png(expected["png"]["image_bytes"][1]).numpy() / 255
        np.testing.assert_allclose(image, expected["sample"][key][1], atol=1 / 255)


def _check_output(output: np.ndarray, expected: tf.Tensor) -> None:
    if expected.dtype == tf.string:
        pictures = [np.stack([tf.io.decode_png(file) for file in files]) / 255 for files in (output, expected.numpy())]
        np.testing.assert_allclose(pictures[0], pictures[1], atol=1.1 / 255)
    else:
        assert output.dtype in (np.float32, np.int64)
        np.testing.assert_allclose(output, expected, atol=1e-5, rtol=1e-5)


def check_zero_rows_give_zero_rows(trained: TrainedModel) -> None:
    """A request without rows gets a response without rows, as a server's batching may need it."""
    for name, inputs in _example_inputs(trained.model).items():
        specs = {spec.name: spec for spec in trained.model.signatures()[name].inputs}
        empty = {key: tf.zeros([0, *value.shape[1:]], specs[key].dtype) for key, value in inputs.items()}
        for key, value in trained.served[name](**empty).items():
            assert value.shape[0] == 0, f"{name} returns {value.shape[0]} rows of {key} for none"


def check_images_of_another_range_are_refused(trained: TrainedModel) -> None:
    """[0, 1] is accepted with its ends; anything else is refused, by the model and by its export. So are latent vectors with NaN."""
    model = trained.model
    if model.modality.external_range == (0, 1):
        _check_ranges_of_images(trained)
    if "latent" in {spec.name for spec in model.signatures()["serving_default"].inputs}:
        inputs = {"latent": tf.fill([1, model.config.latent_dim], np.nan)}
        inputs |= {name: tf.zeros([1], tf.int64) for name in model.conditions}
        _refused_everywhere(trained, "serving_default", inputs, "latent: values must be finite")


def _check_ranges_of_images(trained: TrainedModel) -> None:
    model = trained.model
    bounds = np.random.RandomState(0).randint(0, 2, 10**6).astype(np.float32)  # 0 and 1 themselves
    for name, signature in model.signatures().items():
        rest = {spec.name: tf.zeros([1], spec.dtype) for spec in signature.inputs if spec.shape.rank == 1}
        for image in (spec for spec in signature.inputs if spec.shape.rank > 3):
            shape = [side or 16 for side in (1, *image.shape[1:])]
            assert model.serve(name, **rest, **{image.name: bounds[: np.prod(shape)].reshape(shape)})
            for value in (-0.02, 1.02, 255.0):
                inputs = {**rest, image.name: tf.fill(shape, value)}
                _refused_everywhere(trained, name, inputs, f"{image.name}: values must be in [0, 1]")
    if "discriminate" in model.signatures():
        labels = {tensor.name: tf.zeros([1], tf.int64) for tensor in model.discriminator.inputs if tensor.dtype == "int64"}
        image = np.full([1, *model.modality.sample_shape(model.config)], 255, np.uint8)
        _raises(UserError, "image: values must be in [0, 1]", lambda: model.discriminate(image, **labels))


def _refused_everywhere(trained: TrainedModel, name: str, inputs: dict[str, Any], text: str) -> None:
    _raises(UserError, text, lambda: trained.model.serve(name, **inputs))
    _raises(tf.errors.InvalidArgumentError, text, lambda: trained.served[name](**inputs))


def check_the_export_is_stateless(trained: TrainedModel) -> None:
    """The export holds no operation of Python, of random state, of files or of another library."""
    graph = _meta_graph(trained.version).graph_def
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    operations = {node.op for node in nodes}
    assert not operations & FORBIDDEN, operations & FORBIDDEN
    assert not [operation for operation in operations if "Summary" in operation or ">" in operation]


def has_cpp_library() -> bool:
    """Whether TensorFlow has the C++ library that `run_cpp_loader` needs."""
    return Path(tf.__file__).with_name("libtensorflow_cc.so.2").exists()


@functools.cache
def _start_cpp_loader() -> subprocess.Popen[str]:
    """The process of the loader, which loads TensorFlow's library once; it ends with this process, whose end of the pipe closes then."""
    script = Path(__file__).with_name("cpp_loader.py")
    return subprocess.Popen(
        [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


def run_cpp_loader(version: Path, inputs: dict[str, Arrays], folder: Path) -> dict[str, Arrays]:
    """Outputs of signatures, run by TensorFlow's C++ loader in a process that has no Python TensorFlow.

    Args:
        version: Path of a SavedModel.
        inputs: Signature -> input -> array.
        folder: For the files that the processes exchange.

    Raises:
        RuntimeError: What the loader printed, if it failed.
    """
    described = _meta_graph(version).signature_def
    tensors = {
        name: {
            "inputs": {key: info.name for key, info in described[name].inputs.items()},
            "outputs": {key: info.name for key, info in described[name].outputs.items()},
        }
        for name in inputs
    }
    assert all(set(tensors[name]["inputs"]) == set(values) for name, values in inputs.items())
    source, target = folder / "inputs.npz", folder / "outputs.npz"
    arrays: dict[str, Any] = {f"{name}/{key}": value for name, values in inputs.items() for key, value in values.items()}
    np.savez(source, **arrays)
    process = _start_cpp_loader()
    assert process.stdin and process.stdout
    process.stdin.write(json.dumps([str(version), tensors, str(source), str(target)]) + "\n")
    process.stdin.flush()
    answer = process.stdout.readline()
    if not answer:
        _start_cpp_loader.cache_clear()
        raise RuntimeError("the loader crashed")
    if problem := json.loads(answer):
        raise RuntimeError(problem)
    outputs = np.load(target)
    return {name: {key: outputs[f"{name}/{key}"] for key in tensors[name]["outputs"]} for name in inputs}


def _meta_graph(version: Path) -> Any:
    from tensorflow.python.tools import saved_model_utils

    return saved_model_utils.get_meta_graph_def(str(version), "serve")


SERVING_CHECKS = (
    check_the_export_equals_the_model,
    check_zero_rows_give_zero_rows,
    check_images_of_another_range_are_refused,
    check_the_export_is_stateless,
)
