"""SavedModels: the signatures with their declared shapes, in versions that appear complete."""

import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from conftest import tiny_model

from zoo.serving.saved_model import export_model


@pytest.fixture(scope="module")
def model():
    return tiny_model("gan")


def test_versions_are_numbered_and_nothing_else_is_left(model, tmp_path):
    assert export_model(model, tmp_path / "gan") == tmp_path / "gan" / "1"
    (tmp_path / "gan" / "7").mkdir()
    assert export_model(model, str(tmp_path / "gan")) == tmp_path / "gan" / "8"
    assert sorted(path.name for path in (tmp_path / "gan").iterdir()) == ["1", "7", "8"]


def test_a_version_that_appears_meanwhile_is_not_overwritten(model, tmp_path, monkeypatch):
    for name in ("1", "2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("of another export")
    monkeypatch.setattr("zoo.serving.saved_model.export_versions", lambda folder: [])
    assert export_model(model, tmp_path).name == "3"
    assert (tmp_path / "1" / "file").read_text() == "of another export"


def test_a_failed_export_leaves_nothing(model, tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError("No space left on device")

    monkeypatch.setattr(tf.saved_model, "save", fail)
    with pytest.raises(OSError, match="No space left"):
        export_model(model, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_signatures_compute_what_the_model_serves_and_check_shapes(model, tmp_path):
    served = tf.saved_model.load(str(export_model(model, tmp_path))).signatures
    assert set(served) == set(model.signatures())
    seed = tf.constant([3, 4], tf.int64)
    np.testing.assert_allclose(served["sample"](seed=seed)["image"], model.serve("sample", seed=seed)["image"], atol=1e-6)
    with pytest.raises(tf.errors.InvalidArgumentError):
        served["serving_default"](latent=tf.zeros([1, model.config.latent_dim + 1]))


EXPORT = """
import sys, keras, zoo
from zoo.serving.saved_model import export_model
keras.utils.set_random_seed(0)
widths = dict(generator_widths=(8, 4), discriminator_widths=(4, 8))
export_model(zoo.create("acgan", image_shape=(16, 16, 1), num_classes=3, latent_dim=4, **widths), sys.argv[1])
"""


@pytest.mark.slow
def test_exports_of_the_same_weights_by_two_processes_are_equal(tmp_path):
    contents = []
    for seed in "12":  # of the hashes of strings, which differ between processes
        folder = tmp_path / seed / "acgan"
        subprocess.run([sys.executable, "-c", EXPORT, folder], env={**os.environ, "PYTHONHASHSEED": seed}, check=True, capture_output=True)
        contents.append({path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()})
    first, second = contents
    assert first.keys() == second.keys()
    assert [path.name for path in first if first[path] != second[path]] == ["fingerprint.pb"]  # which is random


@pytest.mark.parametrize("name", ["acgan", "cyclegan"])
def test_networks_compiled_by_xla_compute_the_same_and_still_check_requests(name, trained, tmp_path):
    model = trained(name).model
    served = tf.saved_model.load(str(export_model(model, tmp_path, xla=True))).signatures
    assert b"_XlaMustCompile" in (tmp_path / "1" / "saved_model.pb").read_bytes()
    assert "call" not in vars(model.layers[0])  # the model itself is as it was
    draw = np.random.RandomState(0)
    for signature_name, signature in model.signatures().items():
        example = signature.example(2).items()  # noise in place of black images, whose variance of zero instance norm divides by
        inputs = {key: tf.constant(draw.rand(*value.shape).astype("f") if key == "image" else value) for key, value in example}
        expected = model.serve(signature_name, **inputs)
        for key, value in served[signature_name](**inputs).items():
            if value.dtype != tf.string:
                np.testing.assert_allclose(value, expected[key], atol=1e-4)
    image = tf.fill([1, *model.modality.sample_shape(model.config)], 255.0)
    with pytest.raises(tf.errors.InvalidArgumentError, match="values must be in"):
        served["discriminate" if name == "acgan" else "to_y"](image=image)
