"""A client of TensorFlow Serving, by REST or gRPC.

    client = Client("http://localhost:8501", "acgan")
    images = client.predict("sample", seed=[7, 8], label=[3, 3])["image"]

REST needs no TensorFlow, gRPC the package `tensorflow-serving-api` (the extra `serving`).
"""

from __future__ import annotations

import base64
import dataclasses
import json
import re
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from zoo.errors import UserError, printable, shorten, suggest_or_list

TIMEOUT, RETRIES = 30.0, 3  # seconds of a request; further attempts
MAX_RETRIES = 4  # that gRPC makes
FIRST_DELAY, LAST_DELAY = 0.5, 8.0  # seconds before the first further attempt, which double, and their upper bound
BUSY = (429, 502, 503, 504)  # status codes of HTTP after which a request is tried again
NOT_FOUND = 404
DTYPES: dict[str, Any] = {"DT_FLOAT": np.float32, "DT_INT64": np.int64, "DT_INT32": np.int32, "DT_STRING": object}
INTERNAL = "__saved_model"  # how the names of TensorFlow's own signatures start
MAX_MESSAGE = 300  # characters of a server's message that are shown


@dataclasses.dataclass(frozen=True)
class TensorInfo:
    """What a server says about an input or output: its type and its shape, in which None is any length; None: of any shape."""

    dtype: Any
    shape: tuple[int | None, ...] | None


@dataclasses.dataclass(frozen=True)
class SignatureInfo:
    """What a server says about a signature."""

    inputs: Mapping[str, TensorInfo]
    outputs: Mapping[str, TensorInfo]


class Transport(Protocol):
    """How requests reach a server."""

    def read_signatures(self) -> dict[str, SignatureInfo]: ...

    def predict(self, name: str, signature: SignatureInfo, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]: ...


class Client:
    """A client of a model on a server.

    Args:
        url: Of the server: `http://HOST:8501` or `https://HOST` for REST, `grpc://HOST:8500` or `grpcs://HOST:8500` for gRPC.
        model: Name of the model on the server.
        version: Of the model; None: the newest.
        timeout: Seconds after which a request fails.
        retries: How often a request is repeated if the server cannot be reached or is busy, at most 4; the time between the attempts
            doubles.

    Raises:
        UserError: For another kind of address, or if a package is missing.
    """

    def __init__(self, url: str, model: str, version: int | None = None, timeout: float = TIMEOUT, retries: int = RETRIES) -> None:
        if not isinstance(model, str) or not model:
            raise UserError(f"model={shorten(model)}: give the name of the model on the server")
        if not timeout > 0:
            raise UserError(f"timeout={shorten(timeout)}: must be more than 0 seconds")
        if not 0 <= retries <= MAX_RETRIES:
            raise UserError(f"retries={shorten(retries)}: must be from 0 to {MAX_RETRIES}")
        self.model = model
        self._transport: Transport = _open(url, model, version, timeout, retries)
        self._signatures: dict[str, SignatureInfo] | None = None

    def signatures(self) -> dict[str, SignatureInfo]:
        """The signatures of the model, as the server describes them; requested once.

        Raises:
            UserError: The server cannot be reached, or has no such model.
        """
        if self._signatures is None:
            self._signatures = self._transport.read_signatures()
        return self._signatures

    def predict(self, signature: str, **inputs: Any) -> dict[str, np.ndarray]:
        """Calls a signature.

        Args:
            signature: Its name, such as `sample`.
            **inputs: An array, or nested lists, for each input; files as bytes.

        Returns:
            The array of each output; files as an array of bytes.

        Raises:
            UserError: For an unknown signature or input, values of another type, and what the server refuses.
        """
        if signature not in self.signatures():
            raise UserError(f"{self.model} has no signature {shorten(signature)}{suggest_or_list(str(signature), self.signatures())}")
        described = self.signatures()[signature]
        if inputs.keys() != described.inputs.keys():
            given = ", ".join(inputs) or "none"
            raise UserError(f"{signature} takes the inputs {', '.join(described.inputs)}; given: {given}")
        arrays = {name: _as_array(name, value, described.inputs[name]) for name, value in inputs.items()}
        return self._transport.predict(signature, described, arrays)


def _open(url: str, model: str, version: int | None, timeout: float, retries: int) -> Transport:
    expected = "give http://HOST:8501, https://HOST, grpc://HOST:8500 or grpcs://HOST:8500"
    try:
        parts = urllib.parse.urlsplit(url)
        host = parts.hostname and (parts.port or parts.hostname)
    except (ValueError, AttributeError, TypeError):
        raise UserError(f"{shorten(url)} is not the address of a server; {expected}") from None
    if not host or parts.scheme not in ("http", "https", "grpc", "grpcs"):
        raise UserError(f"{shorten(url)} is not the address of a server; {expected}")
    if parts.scheme in ("http", "https"):
        return RestTransport(url.rstrip("/"), model, version, timeout, retries)
    return GrpcTransport(parts.netloc, model, version, timeout, retries, secure=parts.scheme == "grpcs")


def _as_array(name: str, value: Any, info: TensorInfo) -> np.ndarray:
    """A value of an input as an array of the server's type; raises UserError if it cannot be one."""
    if info.dtype is object:
        files = [value] if isinstance(value, bytes) else list(value)
        if not all(isinstance(file, bytes) for file in files):
            raise UserError(f"{name}: expected the bytes of files")
        array = np.empty(len(files), object)
        array[:] = files
        return array
    try:
        array = np.asarray(value)
        converted = array.astype(info.dtype)
    except (ValueError, TypeError, OverflowError):
        raise UserError(f"{name}: expected {np.dtype(info.dtype).name}, not {shorten(value)}") from None
    if array.dtype.kind not in "iuf" or (converted.dtype.kind == "i" and not np.array_equal(array, converted)):
        raise UserError(f"{name}: expected {np.dtype(info.dtype).name}, not {shorten(value)}")
    if info.shape is not None and not _fits(converted.shape, info.shape):
        raise UserError(f"{name} has shape {list(converted.shape)}; the server takes {list(info.shape)}")
    return converted


def _fits(shape: tuple[int, ...], expected: tuple[int | None, ...]) -> bool:
    return len(shape) == len(expected) and all(side in (None, given) for given, side in zip(shape, expected, strict=True))


def _refusal(model: str, message: str) -> UserError:
    """The error for what a server refuses: its message without the names of operations."""
    text = " ".join(re.sub(r"\{\{.*?\}\}|\[\[.*", "", message, flags=re.DOTALL).split())
    if assertion := re.search(r"assertion failed: \[(.*)\]", text):
        text = assertion[1]
    return UserError(f"{model}: the server refuses the request: {printable(text)[:MAX_MESSAGE]}")


class RestTransport:
    """TensorFlow Serving's REST interface."""

    def __init__(self, url: str, model: str, version: int | None, timeout: float, retries: int) -> None:
        import requests
        from urllib3.util import Retry

        self.model, self.timeout = model, timeout
        version_path = f"/versions/{version}" if version is not None else ""
        self.url, self.address = f"{url}/v1/models/{urllib.parse.quote(model)}{version_path}", url
        self.session = requests.Session()
        retry = Retry(retries, status_forcelist=BUSY, allowed_methods=None, backoff_factor=FIRST_DELAY, backoff_max=LAST_DELAY)
        self.session.mount(url, requests.adapters.HTTPAdapter(max_retries=retry))

    def read_signatures(self) -> dict[str, SignatureInfo]:
        """See `Client.signatures`."""
        answer = self._request("GET", "/metadata")
        try:
            signatures = answer["metadata"]["signature_def"]["signature_def"]
            return {
                name: SignatureInfo(*({key: _parse_info(info) for key, info in one[side].items()} for side in ("inputs", "outputs")))
                for name, one in signatures.items()
                if not name.startswith(INTERNAL)
            }
        except (KeyError, TypeError, AttributeError, ValueError):
            raise UserError(f"{self.address} does not describe a model as TensorFlow Serving does") from None

    def predict(self, name: str, signature: SignatureInfo, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """See `Client.predict`."""
        values = {key: [_encode(file) for file in array] if array.dtype == object else array.tolist() for key, array in inputs.items()}
        answer = self._request("POST", ":predict", {"signature_name": name, "inputs": values})
        try:
            outputs = answer["outputs"]
            if len(signature.outputs) == 1:  # then a server sends its values and not its name
                outputs = {next(iter(signature.outputs)): outputs}
            return {key: _decode(outputs[key], info) for key, info in signature.outputs.items()}
        except (KeyError, TypeError, ValueError):
            raise UserError(f"{self.address} does not answer as TensorFlow Serving does") from None

    def _request(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON of an answer; raises UserError if there is none, or if the server refuses the request."""
        import requests

        try:
            response = self.session.request(method, f"{self.url}{path}", json=body, timeout=self.timeout)
            answer = response.json()
        except requests.Timeout:
            raise UserError(f"{self.address} does not answer within {self.timeout:g} seconds") from None
        except requests.exceptions.JSONDecodeError:
            raise UserError(f"{self.address} is not a server of models: it answers with status {response.status_code}") from None
        except (requests.RequestException, ValueError) as error:
            raise UserError(f"{self.address} cannot be reached: {_reason(error)}; is the server running?") from None
        if response.ok:
            return answer
        message = str(answer.get("error", answer)) if isinstance(answer, dict) else str(answer)
        if response.status_code == NOT_FOUND:
            raise UserError(f"{self.address} has no such model: {printable(message)[:MAX_MESSAGE]}")
        raise _refusal(self.model, message)


def _reason(error: Exception) -> str:
    """The innermost reason of a failed connection, in one line."""
    text = " ".join(str(getattr(error.args[0], "reason", error) if error.args else error).split())
    return printable(text.rpartition(": ")[2] or type(error).__name__)[:MAX_MESSAGE]


def _parse_info(info: Mapping[str, Any]) -> TensorInfo:
    shape = info["tensor_shape"]
    sides = [int(side["size"]) for side in shape.get("dim", [])]
    return TensorInfo(DTYPES[info["dtype"]], None if shape.get("unknown_rank") else tuple(None if side < 0 else side for side in sides))


def _encode(file: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(file).decode("ascii")}


def _decode(values: Sequence[Any], info: TensorInfo) -> np.ndarray:
    if info.dtype is not object:
        return np.asarray(values, info.dtype)
    array = np.empty(len(values), object)
    array[:] = [base64.b64decode(value["b64"]) for value in values]
    return array


class GrpcTransport:
    """TensorFlow Serving's gRPC interface."""

    def __init__(self, target: str, model: str, version: int | None, timeout: float, retries: int, secure: bool) -> None:
        try:
            import grpc
            from tensorflow_serving.apis import prediction_service_pb2_grpc
        except ImportError:
            raise UserError("grpc:// needs the package tensorflow-serving-api: pip install 'gan-zoo[serving]', or use http://") from None

        self.model, self.version, self.timeout, self.address = model, version, timeout, f"grpc://{target}"
        policy = {
            "maxAttempts": retries + 1,
            "initialBackoff": f"{FIRST_DELAY}s",
            "maxBackoff": f"{LAST_DELAY}s",
            "backoffMultiplier": 2,
            "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED"],
        }
        options: list[tuple[str, Any]] = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]  # 4 MB otherwise
        if retries:
            options.append(("grpc.service_config", json.dumps({"methodConfig": [{"name": [{}], "retryPolicy": policy}]})))
        credentials = grpc.ssl_channel_credentials()
        channel = grpc.secure_channel(target, credentials, options) if secure else grpc.insecure_channel(target, options)
        self.stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)

    def read_signatures(self) -> dict[str, SignatureInfo]:
        """See `Client.signatures`."""
        from tensorflow_serving.apis import get_model_metadata_pb2

        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        self._name(request.model_spec)
        answer = self._call(self.stub.GetModelMetadata, request)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        if not answer.metadata["signature_def"].Unpack(signatures):
            raise UserError(f"{self.address} does not describe a model as TensorFlow Serving does")
        return {
            name: SignatureInfo(*({key: _describe(info) for key, info in side.items()} for side in (one.inputs, one.outputs)))
            for name, one in signatures.signature_def.items()
            if not name.startswith(INTERNAL)
        }

    def predict(self, name: str, signature: SignatureInfo, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """See `Client.predict`."""
        import tensorflow as tf
        from tensorflow_serving.apis import predict_pb2

        request = predict_pb2.PredictRequest()
        self._name(request.model_spec)
        request.model_spec.signature_name = name
        for key, array in inputs.items():
            request.inputs[key].CopyFrom(tf.make_tensor_proto(array))
        answer = self._call(self.stub.Predict, request)
        return {key: tf.make_ndarray(tensor) for key, tensor in answer.outputs.items()}

    def _name(self, spec: Any) -> None:
        spec.name = self.model
        if self.version is not None:
            spec.version.value = self.version

    def _call(self, method: Any, request: Any) -> Any:
        import grpc

        try:
            return method(request, timeout=self.timeout)
        except grpc.RpcError as error:
            code, message = error.code(), printable(" ".join((error.details() or "").split()))
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            raise UserError(f"{self.address} does not answer within {self.timeout:g} seconds")
        if code is grpc.StatusCode.UNAVAILABLE:
            raise UserError(f"{self.address} cannot be reached: {message[:MAX_MESSAGE]}; is the server running?")
        if code is grpc.StatusCode.NOT_FOUND:
            raise UserError(f"{self.address} has no such model: {message[:MAX_MESSAGE]}")
        raise _refusal(self.model, message)


def _describe(info: Any) -> TensorInfo:
    """What a message of TensorFlow says about a tensor."""
    import tensorflow as tf

    dtype = tf.dtypes.as_dtype(info.dtype)
    shape = tf.TensorShape(info.tensor_shape)
    return TensorInfo(object if dtype == tf.string else dtype.as_numpy_dtype, None if shape.rank is None else tuple(shape.as_list()))
