"""Runs signatures of a SavedModel by TensorFlow's C++ loader, the one of TF Serving, through its C API; no Python TensorFlow.

For Linux, where TensorFlow comes with `libtensorflow_cc.so.2`.

Reads requests from stdin, one JSON list per line: [EXPORT, SIGNATURES, IN.npz, OUT.npz], where SIGNATURES is
{signature: {"inputs": {key: tensor}, "outputs": {key: tensor}}} and arrays are named signature/key in both files.
Answers each with one line of JSON: null, or what is wrong.
"""

import contextlib
import ctypes
import importlib.util
import json
import os
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
CODES = {"float32": 1, "int32": 3, "int64": 9}  # TF_DataType
DTYPES = {code: np.dtype(name) for name, code in CODES.items()}


class Buffer(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("length", ctypes.c_size_t), ("release", ctypes.c_void_p)]


class Port(ctypes.Structure):
    _fields_ = [("operation", ctypes.c_void_p), ("index", ctypes.c_int)]


def load_library() -> Any:
    """TensorFlow's C API, with the types of the functions that are used here."""
    spec = importlib.util.find_spec("tensorflow")  # located, not imported
    assert spec and spec.origin
    folder = os.path.dirname(spec.origin)
    ctypes.CDLL(os.path.join(folder, "libtensorflow_framework.so.2"), mode=ctypes.RTLD_GLOBAL)
    tf = ctypes.CDLL(os.path.join(folder, "libtensorflow_cc.so.2"), mode=ctypes.RTLD_GLOBAL)
    p, i, s = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p
    functions: dict[str, tuple[Any, list[Any]]] = {
        "NewStatus": (p, []),
        "GetCode": (i, [p]),
        "Message": (s, [p]),
        "NewSessionOptions": (p, []),
        "NewGraph": (p, []),
        "LoadSessionFromSavedModel": (p, [p, p, s, ctypes.POINTER(s), i, p, ctypes.POINTER(Buffer), p]),
        "GraphOperationByName": (p, [p, s]),
        "AllocateTensor": (p, [i, ctypes.POINTER(ctypes.c_int64), i, ctypes.c_size_t]),
        "DeleteTensor": (None, [p]),
        "DeleteStatus": (None, [p]),
        "TensorData": (p, [p]),
        "TensorType": (i, [p]),
        "NumDims": (i, [p]),
        "Dim": (ctypes.c_int64, [p, i]),
        "SessionRun": (None, [p, p, ctypes.POINTER(Port), ctypes.POINTER(p), i, ctypes.POINTER(Port), ctypes.POINTER(p), i, p, i, p, p]),
    }
    for name, (result, arguments) in functions.items():
        function = getattr(tf, f"TF_{name}")
        function.restype, function.argtypes = result, arguments
    return tf


class Session:
    """A SavedModel in a session of the C API, whose `run` may be called by several threads at once."""

    def __init__(self, path: str) -> None:
        self.tf = load_library()
        self.graph = self.tf.TF_NewGraph()
        tags = (ctypes.c_char_p * 1)(b"serve")
        options = self.tf.TF_NewSessionOptions()
        with self._status("load") as status:
            self.session = self.tf.TF_LoadSessionFromSavedModel(options, None, path.encode(), tags, 1, self.graph, Buffer(), status)

    def run(self, inputs: dict[str, np.ndarray], outputs: list[str]) -> list[np.ndarray]:
        """The values of output tensors, by name, for the values of input tensors."""
        handles = (ctypes.c_void_p * len(inputs))(*map(self._to_tensor, inputs.values()))
        feeds = (Port * len(inputs))(*map(self._port, inputs))
        results = (ctypes.c_void_p * len(outputs))()
        fetches = (Port * len(outputs))(*map(self._port, outputs))
        count_in, count_out = len(inputs), len(outputs)
        try:
            with self._status("run") as status:
                self.tf.TF_SessionRun(self.session, None, feeds, handles, count_in, fetches, results, count_out, None, 0, None, status)
            return list(map(self._to_array, results))
        finally:
            for handle in filter(None, [*handles, *results]):
                self.tf.TF_DeleteTensor(handle)

    @contextlib.contextmanager
    def _status(self, action: str) -> Iterator[Any]:
        """A status for one call of the C API. Raises RuntimeError with its message if the call failed."""
        status = self.tf.TF_NewStatus()
        try:
            yield status
            if self.tf.TF_GetCode(status):
                raise RuntimeError(f"{action}: {self.tf.TF_Message(status).decode()}")
        finally:
            self.tf.TF_DeleteStatus(status)

    def _port(self, tensor: str) -> Port:
        name, index = tensor.rsplit(":", 1)
        return Port(self.tf.TF_GraphOperationByName(self.graph, name.encode()), int(index))

    def _to_tensor(self, array: np.ndarray) -> int:
        array = np.ascontiguousarray(array)
        shape = (ctypes.c_int64 * array.ndim)(*array.shape)
        handle = self.tf.TF_AllocateTensor(CODES[array.dtype.name], shape, array.ndim, array.nbytes)
        ctypes.memmove(self.tf.TF_TensorData(handle), array.ctypes.data, array.nbytes)
        return handle

    def _to_array(self, handle: int) -> np.ndarray:
        shape = [self.tf.TF_Dim(handle, i) for i in range(self.tf.TF_NumDims(handle))]
        dtype = DTYPES[self.tf.TF_TensorType(handle)]
        raw = ctypes.string_at(self.tf.TF_TensorData(handle), int(np.prod(shape)) * dtype.itemsize)
        return np.frombuffer(raw, dtype).reshape(shape)


def run(path: str, signatures: dict[str, Any], source: str, target: str) -> None:
    """Runs signatures on the arrays of one file and writes their outputs to another; see the top of the file."""
    session, arrays = Session(path), np.load(source)
    outputs: dict[str, Any] = {}
    for signature, tensors in signatures.items():
        inputs = {tensor: arrays[f"{signature}/{key}"] for key, tensor in tensors["inputs"].items()}
        values = session.run(inputs, list(tensors["outputs"].values()))
        outputs |= {f"{signature}/{key}": value for key, value in zip(tensors["outputs"], values, strict=True)}
    assert "tensorflow" not in sys.modules
    np.savez(target, **outputs)


def main() -> None:
    """Answers requests until stdin ends."""
    for line in sys.stdin:
        problem = None
        try:
            run(*json.loads(line))
        except RuntimeError as error:
            problem = str(error)
        print(json.dumps(problem), flush=True)


if __name__ == "__main__":
    main()
