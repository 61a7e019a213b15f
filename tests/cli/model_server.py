"""A stand-in for TensorFlow Serving on loopback: its gRPC and REST interfaces, its C++ loader, and TensorFlow's request batching."""

import contextlib
import json
import threading
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tensorflow.python.tools import saved_model_utils
from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2, prediction_service_pb2_grpc

from zoo.testing.cpp_loader import Session

THREADS = 64


def batch_requests(version, folder, batch_sizes):
    """A SavedModel whose numeric signatures are those of another, run by TensorFlow's request batching.

    Args:
        version: Folder of the SavedModel.
        folder: Where to write the other.
        batch_sizes: Numbers of rows that batches have.
    """
    loaded = tf.saved_model.load(str(version))
    module = tf.Module()
    module.loaded, functions = loaded, {}
    for name, signature in loaded.signatures.items():
        specs = signature.structured_input_signature[1]
        if tf.string not in {spec.dtype for spec in [*specs.values(), *signature.structured_outputs.values()]}:
            functions[name] = _batch(signature, specs, batch_sizes)
    tf.saved_model.save(module, str(folder), signatures=functions)


def _batch(signature, specs, batch_sizes):
    keys, outputs = sorted(specs), sorted(signature.structured_outputs)

    @tf.nondifferentiable_batch_function(2, batch_sizes[-1], 5000, batch_sizes, max_enqueued_batches=1000, autograph=False)
    def run(*values):
        results = signature(**dict(zip(keys, values, strict=True)))
        return [results[key] for key in outputs]

    def serve(**inputs):
        return dict(zip(outputs, run(*(inputs[key] for key in keys)), strict=True))

    return tf.function(serve, autograph=False).get_concrete_function(**{key: specs[key] for key in keys})


class ModelServer:
    """One model, in version 1."""

    def __init__(self, name, folder):
        self.name, self.session = name, Session(str(folder))
        self.signatures = saved_model_utils.get_meta_graph_def(str(folder), "serve").signature_def
        self.failures = 0  # of the next requests, which are refused as if the server were busy
        self.rows, self.lock = [], threading.Lock()

    def is_busy(self):
        """Whether the next request is to be refused."""
        with self.lock:
            self.failures -= 1
            return self.failures >= 0

    def predict(self, signature, inputs):
        """Outputs by name. Raises RuntimeError with the server's message."""
        info = self.signatures[signature]
        self.rows.append(len(next(iter(inputs.values()))))
        feeds = {info.inputs[key].name: value for key, value in inputs.items()}
        outputs = self.session.run(feeds, [info.outputs[key].name for key in info.outputs])
        return dict(zip(info.outputs, outputs, strict=True))


class Grpc(prediction_service_pb2_grpc.PredictionServiceServicer):
    """The gRPC interface."""

    def __init__(self, server):
        self.server = server

    def _check(self, context, spec):
        if self.server.is_busy():
            context.abort(grpc.StatusCode.UNAVAILABLE, "busy")
        if spec.name != self.server.name or spec.version.value not in (0, 1):
            context.abort(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: Latest({spec.name})")

    def GetModelMetadata(self, request, context):
        self._check(context, request.model_spec)
        answer = get_model_metadata_pb2.GetModelMetadataResponse()
        answer.metadata["signature_def"].Pack(get_model_metadata_pb2.SignatureDefMap(signature_def=self.server.signatures))
        return answer

    def Predict(self, request, context):
        self._check(context, request.model_spec)
        inputs = {key: tf.make_ndarray(tensor) for key, tensor in request.inputs.items()}
        try:
            outputs = self.server.predict(request.model_spec.signature_name, inputs)
        except RuntimeError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error).removeprefix("run: "))
        return predict_pb2.PredictResponse(outputs={key: tf.make_tensor_proto(value) for key, value in outputs.items()})


class Rest(BaseHTTPRequestHandler):
    """The REST interface."""

    def do_GET(self):
        described = self.server.model.signatures.items()
        signatures = {name: json_format.MessageToDict(one, preserving_proto_field_name=True) for name, one in described}
        self._answer("/metadata", lambda: {"metadata": {"signature_def": {"signature_def": signatures}}})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._answer(":predict", lambda: self._predict(body))

    def _predict(self, body):
        described = self.server.model.signatures[body["signature_name"]].inputs
        inputs = {key: np.array(value, tf.dtypes.as_dtype(described[key].dtype).as_numpy_dtype) for key, value in body["inputs"].items()}
        outputs = {key: value.tolist() for key, value in self.server.model.predict(body["signature_name"], inputs).items()}
        return {"outputs": next(iter(outputs.values())) if len(outputs) == 1 else outputs}

    def _answer(self, path, compute):
        model = self.server.model
        if model.is_busy():
            return self._send(503, {"error": "busy"})
        if self.path not in (f"/v1/models/{model.name}{path}", f"/v1/models/{model.name}/versions/1{path}"):
            return self._send(404, {"error": "Could not find any versions of model"})
        try:
            return self._send(200, compute())
        except RuntimeError as error:
            return self._send(400, {"error": str(error).removeprefix("run: ")})

    def _send(self, status, answer):
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments):
        pass


@contextlib.contextmanager
def run_servers(model):
    """The addresses of both interfaces of a `ModelServer`, while the block runs."""
    options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
    server = grpc.server(futures.ThreadPoolExecutor(THREADS), options=options)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Grpc(model), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    rest = ThreadingHTTPServer(("127.0.0.1", 0), Rest)
    rest.model = model
    thread = threading.Thread(target=rest.serve_forever)
    thread.start()
    try:
        yield f"grpc://127.0.0.1:{port}", f"http://127.0.0.1:{rest.server_port}"
    finally:
        server.stop(None)
        rest.shutdown()
        rest.server_close()
        thread.join()
