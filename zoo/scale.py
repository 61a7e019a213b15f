"""How a model runs, never what it computes: precision, XLA, replicas, threads, and TensorFlow's start-up noise."""

import contextlib
import functools
import os
import sys

from zoo.errors import UserError

PRECISIONS = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}


@contextlib.contextmanager
def quiet():
    """Keeps what native code writes to stderr from the console; used around the import of TensorFlow."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # TensorFlow turns oneDNN's kernels on by itself only where AVX512 is; with AVX2 they take half the time as well.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # no stderr at all
        yield
        return
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


with quiet():
    import absl.logging
    import keras
    import tensorflow as tf

    absl.logging.set_verbosity(absl.logging.ERROR)  # TFDS notes on its own housekeeping
    tf.get_logger().setLevel("ERROR")  # as of each variable of a checkpoint that is of another model
    # Rewriting control edges makes sums come in another order in another process: a resumed run would differ in the last bit.
    tf.config.optimizer.set_experimental_options({"dependency_optimization": False})
    if not tf.config.list_physical_devices("GPU"):  # looking says that there is none
        # With oneDNN its remapper fails on the gradient of convolution, bias, leaky ReLU, complains, and gains nothing where it works.
        tf.config.optimizer.set_experimental_options({"remapping": False})


def precision(choice="auto"):
    """Keras' policy name for `auto`, `float32`, `bfloat16` or `float16`; sets it for the layers built from now on.

    auto: bfloat16 on GPUs of compute capability 8 and on CPUs with bfloat16 units (AMX, AVX512), float16 on older GPUs,
    else float32.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if choice == "auto":
        if gpus:
            capability = tf.config.experimental.get_device_details(gpus[0]).get("compute_capability", (0, 0))
            choice = "bfloat16" if capability >= (8, 0) else "float16"
        else:
            choice = "bfloat16" if _cpu_flags() & {"amx_bf16", "avx512_bf16"} else "float32"
    elif choice == "float16" and not gpus:
        print("warning: --precision float16 on a CPU is slower than float32, which computes it there; 'auto' chooses well", file=sys.stderr)
    keras.config.set_dtype_policy(PRECISIONS[choice])
    return PRECISIONS[choice]


def spoken(policy):
    """The choice of `precision` that a policy's name stands for."""
    return next(choice for choice, name in PRECISIONS.items() if name == policy)


@contextlib.contextmanager
def policy(name):
    """Layers that are built inside compute in `name`, Keras' policy before it whatever it was."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _cpu_flags():
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as info:
        return set(next((line for line in info if line.startswith("flags")), "").split())
    return set()


def strategy(choice="auto"):
    """A `tf.distribute` strategy: `mirrored` over all GPUs (or logical CPUs), `none`; auto: mirrored where there are several GPUs."""
    for gpu in tf.config.list_physical_devices("GPU"):
        with contextlib.suppress(RuntimeError):  # devices are already in use: too late to change
            tf.config.experimental.set_memory_growth(gpu, True)
    gpus = tf.config.list_logical_devices("GPU")
    if choice == "auto":
        choice = "mirrored" if len(gpus) > 1 else "none"
    if choice == "none":
        return tf.distribute.get_strategy()
    return _mirrored(tuple(device.name for device in gpus or tf.config.list_logical_devices("CPU")))


@functools.cache  # a second strategy over the same devices would take the first one's keys for its collective operations
def _mirrored(devices):
    return tf.distribute.MirroredStrategy(list(devices))


def check_replicas(replicas, policy, compiled, batch_size, accumulation=1):
    """Raises UserError for what several replicas cannot do."""
    if replicas > 1 and compiled:
        raise UserError("--xla on: TensorFlow cannot compile a round for several replicas; leave it out, or use --strategy none")
    if replicas > 1 and policy == "mixed_float16":
        raise UserError("float16 on several replicas loses updates (Keras tests only the first one's); use --precision bfloat16 or float32")
    if batch_size % (replicas * accumulation):
        parts = f" in {accumulation} parts" if accumulation > 1 else ""
        raise UserError(
            f"--batch-size {batch_size} cannot be shared by {replicas} replicas{parts}; use a multiple of {replicas * accumulation}"
        )


def xla(choice="auto", replicas=1):
    """Whether to compile by XLA: `on`, `off`; auto: on one GPU only (on a CPU it takes twice as long)."""
    if choice == "auto":
        return bool(tf.config.list_physical_devices("GPU")) and replicas == 1
    return choice == "on"


def describe(policy, compiled, replicas):
    """One line for the console: `float32 on 2 CPU threads`."""
    gpus = tf.config.list_physical_devices("GPU")
    place = f"{len(gpus)} GPU{'s' * (len(gpus) > 1)}" if gpus else f"{os.cpu_count()} CPU threads"
    return f"{policy} on {place}{', compiled by XLA' * compiled}{f', {replicas} replicas' * (replicas > 1)}"
