"""Published models: those of this package, of files, and of the web; reading and writing them."""

from zoo.pretrained.loading import load_model, open_model
from zoo.pretrained.manifest import Manifest
from zoo.pretrained.published import PublishedModel, list_pretrained, open_pretrained

__all__ = ["Manifest", "PublishedModel", "list_pretrained", "load_model", "open_model", "open_pretrained"]
