"""Runtime configuration, which does not affect what a model computes: TensorFlow options, logging, precision, XLA, replicas.

Importing this module has no side effects: the command line and `zoo.train` call `configure` once per process.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from zoo.errors import UserError
from zoo.precision import dtype_policy as dtype_policy  # for the callers of `select_precision`, which sets it

if TYPE_CHECKING:
    import tensorflow as tf

POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}  # --precision -> Keras' name
ENVIRONMENT = {  # read when TensorFlow is imported; variables that the user has set are not changed
    "TF_CPP_MIN_LOG_LEVEL": "2",
    # TensorFlow enables oneDNN's kernels by itself only on CPUs with AVX512; with AVX2 they halve the time of a step as well.
    "TF_ENABLE_ONEDNN_OPTS": "1",
}

_lock = threading.Lock()
_configured = False


def configure() -> None:
    """Imports TensorFlow without its startup messages and sets the options that training relies on.

    Safe to call more than once and from any thread. If TensorFlow was imported before, its environment variables no longer have an
    effect and are left alone; the other options are still set.
    """
    global _configured
    with _lock:
        if _configured:
            return
        if "tensorflow" in sys.modules:
            _set_options()
        else:
            for name, value in ENVIRONMENT.items():
                os.environ.setdefault(name, value)
            with silenced_stderr():
                _set_options()
        _configured = True


def _set_options() -> None:
    import absl.logging
    import tensorflow as tf

    absl.logging.set_verbosity(absl.logging.ERROR)  # TFDS logs its own file management
    tf.get_logger().setLevel("ERROR")  # such as warnings about variables missing in a checkpoint
    # Rewriting control edges changes the order of summation between processes: a resumed run would differ in the last bits.
    tf.config.optimizer.set_experimental_options({"dependency_optimization": False})
    if not tf.config.list_physical_devices("GPU"):  # the query itself logs that there is none
        # With oneDNN, Grappler's remapper fails on the gradient of convolution, bias and leaky ReLU; for other layers it gains nothing.
        tf.config.optimizer.set_experimental_options({"remapping": False})


@contextlib.contextmanager
def silenced_stderr() -> Iterator[None]:
    """Discards what native code writes to file descriptor 2."""
    if sys.stderr is not None:
        sys.stderr.flush()
    try:
        saved = os.dup(2)
    except OSError:  # no stderr at all
        yield
        return
    try:
        with open(os.devnull, "w") as null:
            os.dup2(null.fileno(), 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


def select_precision(choice: str = "auto") -> str:
    """Sets Keras' dtype policy for new layers, and returns its name.

    Args:
        choice: `float32`, `bfloat16`, `float16`, or `auto`: bfloat16 on GPUs of compute capability 8 or higher and on CPUs with bfloat16
            units (AMX, AVX512), float16 on older GPUs, otherwise float32.
    """
    import keras
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if choice == "auto":
        choice = _best_precision(gpus)
    elif choice == "float16" and not gpus:
        print("warning: --precision float16 on a CPU is emulated and slower than float32; use --precision auto", file=sys.stderr)
    keras.config.set_dtype_policy(POLICIES[choice])
    return POLICIES[choice]


def _best_precision(gpus: list[tf.config.PhysicalDevice]) -> str:
    if not gpus:
        return "bfloat16" if _cpu_flags() & {"amx_bf16", "avx512_bf16"} else "float32"
    import tensorflow as tf

    capability = tf.config.experimental.get_device_details(gpus[0]).get("compute_capability", (0, 0))
    return "bfloat16" if capability >= (8, 0) else "float16"


def precision_choice(policy: str) -> str:
    """The value of `--precision` that a policy's name stands for: `mixed_bfloat16` -> `bfloat16`."""
    return next(choice for choice, name in POLICIES.items() if name == policy)


def _cpu_flags() -> set[str]:
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as info:
        return set(next((line for line in info if line.startswith("flags")), "").split())
    return set()


def limit_gpu_memory() -> None:
    """Lets TensorFlow allocate the memory of GPUs as it is needed."""
    import tensorflow as tf

    for gpu in tf.config.list_physical_devices("GPU"):
        with contextlib.suppress(RuntimeError):  # devices are in use already: too late to change
            tf.config.experimental.set_memory_growth(gpu, True)


def select_strategy(choice: str = "auto") -> tf.distribute.Strategy:
    """A `tf.distribute` strategy for one machine.

    Args:
        choice: `mirrored` (over all GPUs, or all logical CPUs), `none`, or `auto`: mirrored if there are several GPUs.
    """
    import tensorflow as tf

    gpus = tf.config.list_logical_devices("GPU")
    if choice == "auto":
        choice = "mirrored" if len(gpus) > 1 else "none"
    if choice == "none":
        return tf.distribute.get_strategy()
    return _mirrored_strategy(tuple(device.name for device in gpus or tf.config.list_logical_devices("CPU")))


@functools.cache  # a second strategy over the same devices would reuse the first one's keys for its collective operations
def _mirrored_strategy(devices: tuple[str, ...]) -> tf.distribute.Strategy:
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(list(devices))


def check_replicas(replicas: int, policy: str, jit_compile: bool, batch_size: int, accumulation: int = 1) -> None:
    """Checks that training is supported on several replicas.

    Args:
        replicas: Number of replicas.
        policy: Name of Keras' dtype policy.
        jit_compile: Whether the step is compiled with XLA.
        batch_size: Images per batch, over all replicas.
        accumulation: Gradient accumulation steps.

    Raises:
        UserError: For a combination that several replicas do not support.
    """
    if replicas > 1 and jit_compile:
        raise UserError("--xla on: TensorFlow cannot compile the step for several replicas; omit it, or use --strategy none")
    if replicas > 1 and policy == "mixed_float16":
        raise UserError("float16 on several replicas loses updates (Keras tests only the first one's); use --precision bfloat16 or float32")
    if batch_size % (replicas * accumulation):
        parts = f" in {accumulation} gradient accumulation steps" if accumulation > 1 else ""
        raise UserError(
            f"--batch-size {batch_size} cannot be divided over {replicas} replicas{parts}; use a multiple of {replicas * accumulation}"
        )


def use_xla(choice: str = "auto", replicas: int = 1) -> bool:
    """Whether to compile the step with XLA: `on`, `off`, or `auto`: on a single GPU only (on a CPU it doubles the time of a step)."""
    import tensorflow as tf

    if choice == "auto":
        return bool(tf.config.list_physical_devices("GPU")) and replicas == 1
    return choice == "on"


def describe(policy: str, jit_compile: bool, replicas: int, workers: int = 1) -> str:
    """One line for the console: `float32 on 2 CPU threads, 2 workers`."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    plural = "s" if len(gpus) > 1 else ""
    threads = int(os.environ.get("TF_NUM_INTRAOP_THREADS") or os.cpu_count() or 1)
    parts = [f"{policy} on {len(gpus)} GPU{plural}" if gpus else f"{policy} on {threads} CPU thread{'s' if threads > 1 else ''}"]
    if jit_compile:
        parts.append("compiled with XLA")
    if workers > 1:
        parts.append(f"{workers} workers")
    if replicas > workers:
        parts.append(f"{replicas} replicas")
    return ", ".join(parts)
