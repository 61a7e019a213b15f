"""What every model is made of: configuration, the game and its step, losses, layers, serving signatures."""

from zoo.core import augment, images, layers, losses, optimizers, replicas, signatures
from zoo.core.config import Config
from zoo.core.game import Game, select_inputs
from zoo.core.images import ImageConfig
from zoo.core.modality import Modality
from zoo.core.seeds import flatten_layers
from zoo.core.signatures import Signature
from zoo.core.step import add_counter
from zoo.types import Omittable

__all__ = [
    "Config",
    "Game",
    "ImageConfig",
    "Modality",
    "Omittable",
    "Signature",
    "add_counter",
    "augment",
    "flatten_layers",
    "images",
    "layers",
    "losses",
    "optimizers",
    "replicas",
    "select_inputs",
    "signatures",
]
