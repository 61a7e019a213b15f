"""Named sources of images: built in, from TFDS, or a folder of the user's own."""

from zoo.data import folder
from zoo.data.domains import Domains
from zoo.data.opening import default_source_name, open_source
from zoo.data.pictures import Pictures
from zoo.data.source import Source
from zoo.data.transforms import center_crop_and_resize

__all__ = ["Domains", "Pictures", "Source", "center_crop_and_resize", "default_source_name", "folder", "open_source"]
