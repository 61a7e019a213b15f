"""Named sources of images: built in, from TFDS, or a folder of the user's own."""

from zoo.data.damage import check_files, explain_read_errors
from zoo.data.domains import Domains
from zoo.data.opening import clear_cache, default_source_name, open_source
from zoo.data.pictures import Pictures
from zoo.data.reading import Reading
from zoo.data.source import Source
from zoo.data.transforms import center_crop_and_resize

__all__ = [
    "Domains",
    "Pictures",
    "Reading",
    "Source",
    "center_crop_and_resize",
    "check_files",
    "clear_cache",
    "default_source_name",
    "explain_read_errors",
    "open_source",
]
