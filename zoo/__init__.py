"""The GAN zoo: reference implementations of generative adversarial networks for TensorFlow and Keras 3.

Importing the package has no side effects and imports neither TensorFlow nor Keras; each name below is loaded when it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"
__all__ = ["Run", "UserError", "create", "latent", "list_models", "load", "register", "registry", "testing", "train"]

if TYPE_CHECKING:
    from zoo import latent, registry, testing
    from zoo.cli.train import train
    from zoo.errors import UserError
    from zoo.pretrained.loading import create, list_models
    from zoo.pretrained.loading import load_model as load
    from zoo.registry import register
    from zoo.runs.folder import Run

_LOCATIONS = {  # public name -> (module, attribute; None: the module itself)
    "Run": ("zoo.runs.folder", "Run"),
    "UserError": ("zoo.errors", "UserError"),
    "create": ("zoo.pretrained.loading", "create"),
    "latent": ("zoo.latent", None),
    "list_models": ("zoo.pretrained.loading", "list_models"),
    "load": ("zoo.pretrained.loading", "load_model"),
    "register": ("zoo.registry", "register"),
    "registry": ("zoo.registry", None),
    "testing": ("zoo.testing", None),
    "train": ("zoo.cli.train", "train"),
}


def __getattr__(name: str) -> Any:
    if name not in _LOCATIONS:
        raise AttributeError(f"module 'zoo' has no attribute '{name}'")
    module, attribute = _LOCATIONS[name]
    loaded = importlib.import_module(module)
    value = getattr(loaded, attribute) if attribute else loaded
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LOCATIONS})
