"""Warm-up requests: TensorFlow Serving's own messages can read them, and a version with one that fails never appears."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from conftest import tiny_model
from tensorflow_serving.apis import prediction_log_pb2

from zoo import registry
from zoo.serving.saved_model import export_model
from zoo.serving.warmup import FILE, read_warmup


@pytest.fixture(scope="module")
def acgan():
    return tiny_model("acgan")


def read_logs(version):
    """The records, by TensorFlow Serving's classes."""
    return [prediction_log_pb2.PredictionLog.FromString(data.numpy()) for data in tf.data.TFRecordDataset(str(version / FILE))]


def test_every_signature_has_a_request_of_each_batch_size(acgan, tmp_path):
    logs = read_logs(export_model(acgan, tmp_path / "acgan", warmup_batch_sizes=(1, 3)))
    requests = [log.predict_log.request for log in logs]
    assert {request.model_spec.name for request in requests} == {"acgan"}
    rows = {(r.model_spec.signature_name, tensor.tensor_shape.dim[0].size) for r in requests for tensor in r.inputs.values()}
    assert rows == {(name, count) for name in acgan.signatures() for count in (1, 3)}
    assert len(requests) == 2 * len(acgan.signatures())
    sample = next(request for request in requests if request.model_spec.signature_name == "sample")
    assert set(sample.inputs) == {"seed", "label"}
    np.testing.assert_array_equal(tf.make_ndarray(sample.inputs["label"]), [0])


def test_requests_are_read_as_they_were_written(acgan, tmp_path):
    requests = dict(read_warmup(export_model(acgan, tmp_path)))
    assert set(requests) == set(acgan.signatures())
    for name, inputs in requests.items():
        for spec in acgan.signatures()[name].inputs:
            assert inputs[spec.name].dtype == spec.dtype
            assert spec.shape.is_compatible_with(inputs[spec.name].shape)


def test_none_are_written_on_request(acgan, tmp_path):
    assert not (export_model(acgan, tmp_path, warmup_batch_sizes=()) / FILE).exists()


def test_a_request_that_fails_keeps_the_version_from_appearing(acgan, tmp_path, monkeypatch):
    signatures = acgan.signatures()
    refused = dataclasses.replace(signatures["sample"], padding={"label": 99})
    monkeypatch.setattr(acgan, "signatures", lambda: {**signatures, "sample": refused})
    with pytest.raises(tf.errors.InvalidArgumentError, match="label is out of range"):
        export_model(acgan, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [name for name in registry.list_models() if "_" not in name or name in ("wgan_gp", "sngan_projection")])
def test_the_model_accepts_the_example_of_every_signature(name, trained):
    model = trained(name).model
    for signature_name, signature in model.signatures().items():
        outputs = signature(*map(tf.constant, signature.example(2).values()))
        assert {value.shape[0] for value in outputs.values()} == {2}, signature_name
    assert {signature for signature, _ in read_warmup(trained(name).version)} == set(model.signatures())
