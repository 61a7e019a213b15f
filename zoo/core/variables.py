"""Names of a network's weights, and its layers that have some."""

from __future__ import annotations

import re

import keras

from zoo.errors import UserError

NUMBERED = re.compile(
    r"(.+?)(?:_\d+)?"
)  # the name that Keras gives to a layer: of its class, and how many there were before in this process


def variable_names(network: keras.Model) -> list[str]:
    """A name for each of a network's weights, in their order: the same in every process, and in networks that differ in sizes only.

    Keras numbers layers over all networks of a process. Here they are numbered within the network: `conv2d_1/kernel`.
    """
    layers: dict[str, str] = {}
    counts: dict[str, int] = {}
    names = []
    for weight in network.weights:
        path, _, name = weight.path.rpartition("/")
        if path not in layers:
            kind = "/".join(NUMBERED.fullmatch(part)[1] for part in path.split("/"))  # type: ignore[index]
            counts[kind] = counts.get(kind, -1) + 1
            layers[path] = f"{kind}_{counts[kind]}" if counts[kind] else kind
        names.append(f"{layers[path]}/{name}")
    return names


def freeze_first_layers(discriminator: keras.Model | None, count: int) -> None:
    """Freezes the first layers of a discriminator, with the normalization that follows each of them.

    A pretrained discriminator whose first layers are not trained overfits less to a small dataset (FreezeD, Mo et al. 2020).

    Args:
        discriminator: The discriminator; None if `count` is 0. The layers of two that are one network (CycleGAN) alternate.
        count: Number of layers that have a kernel.

    Raises:
        UserError: The network has no more layers than that.
    """
    if discriminator is None or not count:
        return
    layers = [layer for layer in discriminator.layers if layer.weights]
    total = sum(map(_has_kernel, layers))
    if count >= total:
        raise UserError(
            f"--freeze-discriminator {count}: the discriminator has {total} layers with a kernel; at most {total - 1} can be frozen"
        )
    passed = 0
    for layer in layers:
        passed += _has_kernel(layer)
        layer.trainable = passed > count


def _has_kernel(layer: keras.layers.Layer) -> bool:
    return any(len(weight.shape) > 1 for weight in layer.weights)
