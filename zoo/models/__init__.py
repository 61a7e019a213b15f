"""One paper, one file. Every file here is imported, so that registering is all a new one has to do."""

import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
