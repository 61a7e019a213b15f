"""SavedModels: the signatures with their declared shapes, in versions that appear complete."""

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
