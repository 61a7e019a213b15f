"""Warm-up records: requests that TensorFlow Serving replays before a version becomes available, so that the first client does not wait.

A server refuses to load a version with a record that fails, so records are replayed before they are published.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from tensorflow.core.framework import resource_handle_pb2, tensor_pb2, tensor_shape_pb2, types_pb2

from zoo.core import Signature

FILE = Path("assets.extra", "tf_serving_warmup_requests")  # below the folder of a version
MAX_RECORDS = 1000  # that a server accepts
# The parts of TensorFlow Serving's messages that a request needs, as a description of their file.
MESSAGES = """
name: "zoo/prediction_log.proto" package: "tensorflow.serving" syntax: "proto3" dependency: "tensorflow/core/framework/tensor.proto"
message_type { name: "ModelSpec"
  field { name: "name" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
  field { name: "signature_name" number: 3 type: TYPE_STRING label: LABEL_OPTIONAL } }
message_type { name: "PredictRequest"
  nested_type { name: "InputsEntry" options { map_entry: true }
    field { name: "key" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
    field { name: "value" number: 2 type: TYPE_MESSAGE type_name: ".tensorflow.TensorProto" label: LABEL_OPTIONAL } }
  field { name: "model_spec" number: 1 type: TYPE_MESSAGE type_name: ".tensorflow.serving.ModelSpec" label: LABEL_OPTIONAL }
  field { name: "inputs" number: 2 type: TYPE_MESSAGE type_name: ".tensorflow.serving.PredictRequest.InputsEntry" label: LABEL_REPEATED } }
message_type { name: "PredictLog"
  field { name: "request" number: 1 type: TYPE_MESSAGE type_name: ".tensorflow.serving.PredictRequest" label: LABEL_OPTIONAL } }
message_type { name: "PredictionLog"
  field { name: "predict_log" number: 6 type: TYPE_MESSAGE type_name: ".tensorflow.serving.PredictLog" label: LABEL_OPTIONAL } }
"""


def write_warmup(version: Path, signatures: Mapping[str, Signature], name: str, batch_sizes: Sequence[int]) -> None:
    """Writes a record for each signature and batch size into a SavedModel, and replays them all.

    Args:
        version: Folder of the SavedModel.
        signatures: Those that it has.
        name: Of the model; a server does not compare it.
        batch_sizes: Numbers of rows of the requests.

    Raises:
        tf.errors.OpError: If a record fails, with which a server would not load the version.
    """
    path = version / FILE
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for rows in batch_sizes:
            for signature_name, signature in signatures.items():
                writer.write(_record(name, signature_name, signature.example(rows)).SerializeToString(deterministic=True))
    replay_warmup(version)


def _record(name: str, signature_name: str, inputs: Mapping[str, Any]) -> Any:
    record = _prediction_log()()
    request = record.predict_log.request
    request.model_spec.name, request.model_spec.signature_name = name, signature_name
    for key, value in inputs.items():
        request.inputs[key].MergeFromString(tf.make_tensor_proto(value).SerializeToString())
    return record


def read_warmup(version: Path) -> list[tuple[str, dict[str, tf.Tensor]]]:
    """The name of the signature and the inputs of each record of a SavedModel."""
    requests = []
    for data in tf.data.TFRecordDataset(str(version / FILE)):
        request = _prediction_log().FromString(data.numpy()).predict_log.request
        protos = {key: tensor_pb2.TensorProto.FromString(value.SerializeToString()) for key, value in request.inputs.items()}
        requests.append((request.model_spec.signature_name, {key: tf.constant(tf.make_ndarray(proto)) for key, proto in protos.items()}))
    return requests


def replay_warmup(version: Path) -> None:
    """Runs the records of a SavedModel by what was written, one after another, as a server does.

    Raises:
        tf.errors.OpError: If a record fails.
    """
    served = tf.saved_model.load(str(version)).signatures
    for signature_name, inputs in read_warmup(version):
        served[signature_name](**inputs)


@functools.cache
def _prediction_log() -> Any:
    """The class of `tensorflow.serving.PredictionLog`, in a pool of its own: `tensorflow-serving-api` may be installed as well."""
    pool = descriptor_pool.DescriptorPool()
    for module in (types_pb2, tensor_shape_pb2, resource_handle_pb2, tensor_pb2):
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
    pool.Add(text_format.Parse(MESSAGES, descriptor_pb2.FileDescriptorProto()))
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tensorflow.serving.PredictionLog"))
