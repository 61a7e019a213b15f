"""Runs signatures of a SavedModel by TensorFlow's C++ loader, the one of TF Serving, through its C API; no Python TensorFlow.

python cpp_loader.py EXPORT '{signature: {"inputs": {key: tensor}, "outputs": {key: tensor}}}' IN.npz OUT.npz

Arrays are named signature/key in both files.
"""

import ctypes
import importlib.util
import json
import os
import sys

import numpy as np

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
CODES = {"float32": 1, "int32": 3, "int64": 9}  # TF_DataType
KINDS = {code: np.dtype(name) for name, code in CODES.items()}


class Buffer(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("length", ctypes.c_size_t), ("release", ctypes.c_void_p)]


class Port(ctypes.Structure):
    _fields_ = [("operation", ctypes.c_void_p), ("index", ctypes.c_int)]


def library():
    folder = os.path.dirname(importlib.util.find_spec("tensorflow").origin)  # found, not imported
    ctypes.CDLL(os.path.join(folder, "libtensorflow_framework.so.2"), mode=ctypes.RTLD_GLOBAL)
    tf = ctypes.CDLL(os.path.join(folder, "libtensorflow_cc.so.2"), mode=ctypes.RTLD_GLOBAL)
    p, i, s = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p
    functions = {
        "NewStatus": (p, []),
        "GetCode": (i, [p]),
        "Message": (s, [p]),
        "NewSessionOptions": (p, []),
        "NewGraph": (p, []),
        "LoadSessionFromSavedModel": (p, [p, p, s, ctypes.POINTER(s), i, p, ctypes.POINTER(Buffer), p]),
        "GraphOperationByName": (p, [p, s]),
        "AllocateTensor": (p, [i, ctypes.POINTER(ctypes.c_int64), i, ctypes.c_size_t]),
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


def main(path, signatures, source, target):
    tf, signatures = library(), json.loads(signatures)
    status, graph = tf.TF_NewStatus(), tf.TF_NewGraph()

    def check(what):
        if tf.TF_GetCode(status):
            sys.exit(f"{what}: {tf.TF_Message(status).decode()}")

    tags = (ctypes.c_char_p * 1)(b"serve")
    session = tf.TF_LoadSessionFromSavedModel(tf.TF_NewSessionOptions(), None, path.encode(), tags, 1, graph, Buffer(), status)
    check("load")

    def port(tensor):
        name, index = tensor.rsplit(":", 1)
        return Port(tf.TF_GraphOperationByName(graph, name.encode()), int(index))

    def tensor(array):
        shape = (ctypes.c_int64 * array.ndim)(*array.shape)
        made = tf.TF_AllocateTensor(CODES[array.dtype.name], shape, array.ndim, array.nbytes)
        ctypes.memmove(tf.TF_TensorData(made), array.ctypes.data, array.nbytes)
        return made

    def array(made):
        shape = [tf.TF_Dim(made, i) for i in range(tf.TF_NumDims(made))]
        kind = KINDS[tf.TF_TensorType(made)]
        raw = ctypes.string_at(tf.TF_TensorData(made), int(np.prod(shape)) * kind.itemsize)
        return np.frombuffer(raw, kind).reshape(shape)

    given, found = np.load(source), {}
    for signature, tensors in signatures.items():
        values = [tensor(np.ascontiguousarray(given[f"{signature}/{key}"])) for key in tensors["inputs"]]
        feeds = (Port * len(values))(*map(port, tensors["inputs"].values()))
        wanted = tensors["outputs"]
        results = (ctypes.c_void_p * len(wanted))()
        fetches = (Port * len(wanted))(*map(port, wanted.values()))
        handles = (ctypes.c_void_p * len(values))(*values)
        tf.TF_SessionRun(session, None, feeds, handles, len(values), fetches, results, len(wanted), None, 0, None, status)
        check("run")
        found |= {f"{signature}/{key}": array(made) for key, made in zip(wanted, results)}
    assert "tensorflow" not in sys.modules
    np.savez(target, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
