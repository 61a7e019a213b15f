"""One paper, one file. Every file of this package is imported, so a new model only has to register itself."""

import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
