"""ONNX and LiteRT files: in their own runtimes they compute what the model does; what a format cannot hold is refused by its operation."""

import json
import types

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from conftest import NAMES, tiny_model

from zoo.core import Signature
from zoo.errors import UserError
from zoo.runs.scores import export_versions
from zoo.serving import portable
from zoo.serving.comparison import MAX_DIFFERENCE, check_size, measure_difference
from zoo.serving.file_format import trace_signature
from zoo.serving.portable import FORMATS, convert_signatures, distinct_signatures, export_files, read_metadata
from zoo.testing.serving_checks import _example_inputs

QUANTIZED_DIFFERENCE = 0.1  # of the tiny models here
RANDOM, FILES = "StatelessRandom", "codePng"
LACKING = {  # class, signature, format -> an operation that the format lacks, beside those of signatures with seeds and files
    ("EBM", "serving_default", "onnx"): RANDOM,  # Langevin dynamics draws noise
    ("EBM", "serving_default", "litert"): RANDOM,
    ("DRGAN", "fuse", "litert"): "StridedSlice",  # of sets of images of any number
}
FIXED_BATCH = {("R3GAN", "litert"): "Conv2D"}  # class, format -> the operation that needs a fixed number of rows


def expected_omissions(model, file_format):
    """Signature -> a part of the name of an operation that the format lacks."""
    omissions = {}
    for name, signature in model.signatures().items():
        if any(spec.dtype == tf.string for spec in signature.inputs) or "image_bytes" in signature.outputs:
            omissions[name] = FILES
        elif "seed" in [spec.name for spec in signature.inputs]:
            omissions[name] = RANDOM
        elif operation := LACKING.get((type(model).__name__, name, file_format)):
            omissions[name] = operation
    return omissions


def run_file(path, inputs):
    """The outputs of a file, by its own runtime."""
    if path.suffix == ".onnx":
        session = onnxruntime.InferenceSession(path)
        return dict(zip([output.name for output in session.get_outputs()], session.run(None, inputs), strict=True))
    return Interpreter(str(path)).get_signature_runner()(**inputs)


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("name", NAMES)
def test_files_compute_what_the_model_does(trained, name, file_format, tmp_path):
    model, batch = trained(name).model, None
    omissions = {key: value for key, value in expected_omissions(model, file_format).items() if key in distinct_signatures(model)}
    if set(omissions) == set(distinct_signatures(model)):
        with pytest.raises(UserError, match=f"lacks operations of this model .*: .*{next(iter(omissions.values()))}"):
            export_files(model, tmp_path / "x", file_format, name)
        assert not list(tmp_path.iterdir())
        return
    if operation := FIXED_BATCH.get((type(model).__name__, file_format)):
        with pytest.raises(UserError, match=f"{operation} only for requests of a fixed number of rows; give it, such as --batch 1"):
            export_files(model, tmp_path / "x", file_format, name)
        batch = 3
    for quantize, limit in ((None, MAX_DIFFERENCE), ("dynamic", QUANTIZED_DIFFERENCE)):
        exported = export_files(model, tmp_path / str(quantize), file_format, name, batch=batch, quantize=quantize)
        assert set(exported.omitted) == set(omissions)
        assert all(any(omissions[key] in operation for operation in lacking) for key, lacking in exported.omitted.items())
        assert {path.stem for path in exported.files} == set(distinct_signatures(model)) - set(omissions)
        for path in exported.files:
            compare_with_the_model(model, path, limit)


def compare_with_the_model(model, path, limit):
    inputs = _example_inputs(model)[path.stem]
    outputs, expected = run_file(path, inputs), model.serve(path.stem, **inputs)
    renamed = {f"output_{key}" if path.suffix == ".onnx" and key in inputs else key: value.numpy() for key, value in expected.items()}
    assert outputs.keys() == renamed.keys()
    for key, value in renamed.items():
        if value.dtype.kind == "f":
            assert np.abs(outputs[key] - value).max() <= limit * max(1, np.abs(value).max()), (path.stem, key)
        elif limit == MAX_DIFFERENCE:
            np.testing.assert_array_equal(outputs[key], value)


# -- one model ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model():
    return tiny_model("acgan")


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_file_says_what_it_is_and_what_it_does_not_validate(model, tmp_path, monkeypatch, file_format):
    monkeypatch.setattr(model, "class_names", ("cat", "dög", "owl"))
    exported = export_files(model, tmp_path, file_format, "acgan", "serving_default")
    (path,) = exported.files
    metadata = read_metadata(path)
    assert [metadata[key] for key in ("model", "signature", "batch", "weights")] == ["acgan", "serving_default", "any", "float32"]
    assert json.loads(metadata["class_names"]) == ["cat", "dög", "owl"]
    inputs, outputs = json.loads(metadata["inputs"]), json.loads(metadata["outputs"])
    assert inputs["label"] == {"dtype": "int64", "shape": [None], "range": [0, 2]}
    assert abs(inputs["latent"]["distribution"]["standard_deviation"] - model.latents(range(256)).numpy().std()) < 0.01
    assert outputs == {"image": {"dtype": "float32", "shape": [None, 16, 16, 1], "range": [0.0, 1.0]}}
    assert "validates nothing and clips no input" in metadata["not_validated"] and float(metadata["max_difference"]) <= MAX_DIFFERENCE
    image = run_file(path, {"latent": np.zeros((1, 8), np.float32), "label": np.array([12])})["image"]
    assert image.shape == (1, 16, 16, 1)  # as the metadata says, such a label is not refused


def test_an_onnx_file_is_valid_and_its_tensors_have_the_names_of_the_signature(model, tmp_path):
    (path,) = export_files(model, tmp_path, "onnx", "acgan", "discriminate", batch=2).files
    onnx.checker.check_model(str(path), full_check=True)
    session = onnxruntime.InferenceSession(path)
    assert [(one.name, one.shape) for one in session.get_inputs()] == [("image", [2, 16, 16, 1])]
    assert {one.name: one.shape for one in session.get_outputs()} == {"realness": [2], "class_probabilities": [2, 3]}
    assert read_metadata(path)["batch"] == "2"


def test_versions_are_beside_those_of_the_saved_model(model, tmp_path):
    (tmp_path / "acgan" / "1").mkdir(parents=True)
    for number in ("1", "2"):
        exported = export_files(model, tmp_path / "acgan-onnx", "onnx", "acgan", "discriminate")
        assert exported.version == tmp_path / "acgan-onnx" / number and export_versions(tmp_path / "acgan") == [1]
        assert list(exported.files) == [exported.version / "discriminate.onnx"]
    assert sorted(path.name for path in (tmp_path / "acgan-onnx").iterdir()) == ["1", "2"]


# -- refusals -------------------------------------------------------------------------------------------------------------


def test_a_file_that_computes_something_else_is_not_written(model, tmp_path, monkeypatch):
    run = FORMATS["onnx"].run
    monkeypatch.setattr(type(FORMATS["onnx"]), "run", lambda self, *args: {key: value + 0.01 for key, value in run(*args).items()})
    with pytest.raises(UserError, match=r"discriminate.onnx differs from the model by 0.01, more than 0.0001; nothing has been written"):
        export_files(model, tmp_path / "x", "onnx", "acgan", "discriminate")
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_nothing(model, tmp_path, monkeypatch):
    def fail(*args):
        raise OSError("No space left on device")

    monkeypatch.setattr(portable, "_move_to_next_version", fail)
    with pytest.raises(OSError, match="No space left"):
        export_files(model, tmp_path / "x", "onnx", "acgan", "discriminate")
    assert not list((tmp_path / "x").iterdir())


def test_a_file_without_the_weights_is_refused(model):
    traced = trace_signature("discriminate", model.signatures()["discriminate"], None)
    kernels = sum(weight.numpy().size for weight in traced.variables if len(weight.shape) > 1)
    assert 0.9 * model.discriminator.count_params() < kernels <= model.discriminator.count_params()
    check_size("d.onnx", 4 * kernels, traced, is_quantized=False)
    check_size("d.onnx", kernels, traced, is_quantized=True)
    with pytest.raises(UserError, match=r"d.onnx has [\d,]+ bytes, fewer than the [\d,]+ of its weights"):
        check_size("d.onnx", 4 * kernels - 1, traced, is_quantized=False)
    tables = types.SimpleNamespace(variables=[tf.Variable(tf.zeros([3, 4])), tf.Variable(tf.zeros([3, 4])), tf.Variable(tf.ones([3, 4]))])
    check_size("tables.onnx", 4 * 24, tables, is_quantized=False)  # a converter writes equal tables once
    with pytest.raises(UserError, match="fewer than the 96 of its weights"):
        check_size("tables.onnx", 4 * 24 - 1, tables, is_quantized=False)


def test_differences_are_relative_to_large_values_and_infinite_for_other_shapes():
    ones = np.ones(2, np.float32)
    assert measure_difference({"a": ones * 0.5}, {"a": ones}) == 0.5
    assert measure_difference({"a": ones * 90}, {"a": ones * 100}) == pytest.approx(0.1)
    assert measure_difference({"a": np.array([1, 2])}, {"a": np.array([1, 3])}) == 0.5
    for wrong in ({"b": ones}, {"a": ones[:1]}, {"a": ones * np.nan}):
        assert measure_difference(wrong, {"a": ones}) == np.inf


@pytest.mark.parametrize("file_format", FORMATS)
def test_an_operation_that_only_the_converter_knows_to_be_missing_is_named(file_format, model, monkeypatch):
    latent = tf.TensorSpec([None, 8], tf.float32, "latent")
    bessel = Signature(lambda x: {"image": tf.math.bessel_i0e(x)}, [latent], ("image",))
    monkeypatch.setattr(model, "signatures", lambda: {"bessel": bessel})
    with pytest.raises(UserError, match=r"lacks operations of this model \(bessel: BesselI0e\); export a SavedModel: omit --format"):
        convert_signatures(model, file_format, "x")


def test_a_model_in_half_precision_is_refused():
    keras.config.set_dtype_policy("mixed_bfloat16")
    with pytest.raises(UserError, match="serving_default computes in half precision; files are exported from float32"):
        convert_signatures(tiny_model("gan"), "onnx", "gan")


@pytest.mark.parametrize(
    "options, message",
    [
        ({"signature": "decode"}, "unknown signature 'decode'. Available: serving_default, sample, png, discriminate"),
        ({"signature": "png"}, r"ONNX lacks operations of this model \(png: EncodePng, StatelessRandomNormalV2\)"),
        ({"batch": 0}, "batch 0: expected the number of rows of a request, from 1 to 65536; omit it for any number"),
        ({"quantize": "static"}, "unknown quantization 'static'. Available: dynamic"),
        ({"file_format": "coreml"}, "unknown format 'coreml'. Available: onnx, litert"),
    ],
)
def test_what_is_unknown_or_impossible_is_refused(model, tmp_path, options, message):
    with pytest.raises(UserError, match=message):
        export_files(**{"model": model, "folder": tmp_path / "x", "file_format": "onnx", "model_name": "acgan", **options})
    assert not list(tmp_path.iterdir())


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda module: None)
    for file_format, package in (("onnx", "tf2onnx"), ("litert", "ai_edge_litert")):
        with pytest.raises(UserError, match=rf"need the package {package}: pip install 'gan-zoo\[{file_format}\]'"):
            portable.require_format(file_format)


def test_metadata_of_another_file_are_refused(tmp_path):
    with pytest.raises(UserError, match="x.pb: expected a file that ends in .onnx or .tflite"):
        read_metadata(tmp_path / "x.pb")
