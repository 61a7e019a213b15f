"""`folder:PATH` as a source, in the layout that provides the requested keys; PATH is a folder or a zip archive."""

from __future__ import annotations

import ast
import collections
import dataclasses
import functools
import gc
import hashlib
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from zoo.data import image_files, label_files, layouts
from zoo.data.decoding import Decoder
from zoo.data.domain_layouts import domains, pairs
from zoo.data.domains import Domains
from zoo.data.files import FileTree
from zoo.data.identities import identities
from zoo.data.image_files import DEFAULT_SIDE
from zoo.data.index import Index, read_index
from zoo.data.layouts import Layout
from zoo.data.paths import default_data_dir, find_cache_dir
from zoo.data.pictures import Pictures, pack_shapes
from zoo.data.reading import DEFAULT_READING, Reading
from zoo.data.source import FOLDER_PREFIX as PREFIX
from zoo.data.source import Source
from zoo.data.stored import Examples
from zoo.errors import UserError, printable

LISTED_KINDS = 6  # sizes or modes in one line
Result = TypeVar("Result")


def without_garbage_collection(function: Callable[..., Result]) -> Callable[..., Result]:
    """Pauses the collection: a table of many files is never garbage, and is searched for some each time that it has grown."""

    @functools.wraps(function)
    def wrapper(*args: Any, **options: Any) -> Result:
        enabled = gc.isenabled()
        gc.disable()
        try:
            return function(*args, **options)
        finally:
            if enabled:
                gc.enable()

    return wrapper


@without_garbage_collection
def open_folder(
    name: str,
    image_shape: Sequence[int] | None,
    keys: Sequence[str],
    class_names: Sequence[str] | None = None,
    reading: Reading = DEFAULT_READING,
) -> Source | Domains:
    """Opens `folder:PATH`; the keys determine the layout.

    Args:
        name: `folder:PATH`.
        image_shape: See `open_source`.
        keys: See `open_source`.
        reading: See `open_source`.
        class_names: The order in which a run has numbered the classes; None: natural order.

    Raises:
        UserError: The folder does not have that layout, or files are not valid images; see `zoo.data.layouts`.
    """
    if name == PREFIX:
        raise UserError("--data folder: has no path; give a folder of pictures, or a zip archive of one: --data folder:PATH")
    path = os.path.abspath(os.path.expanduser(name.removeprefix(PREFIX)))
    if not os.path.exists(path):
        path = _unescape(path)  # the name of a source, as records and messages have it
    _check_reading(name, reading, keys)
    cache_dir = find_cache_dir(default_data_dir())
    tree = FileTree.open(Path(path))
    index = read_index(tree, cache_dir)
    image_files.refuse_invalid(
        [f"{tree.path / file} ({reason})" for file, reason in index.damaged.items()], len(index.damaged) + len(index.headers)
    )
    if reading.frames:
        index = index.with_frames(tree)
    opener = _Opener(tree, index, image_shape, cache_dir, reading)
    if "picture" in keys:
        return opener.open_pictures()
    if "pair" in keys:
        return opener.open_pairs()
    if "x" in keys:
        return opener.open_domains()
    if "pose" in keys:
        return opener.open_single(identities(tree, index).in_order(class_names), ("image", "label", "pose"))
    if reading.label_file:
        layout: Layout | None = label_files.labeled_images(tree, index, Path(reading.label_file).expanduser())
    else:
        layout = label_files.images_of_dataset_json(tree, index)
    layout = (layout or layouts.single_images(tree, index, "label" in keys)).in_order(class_names)
    return opener.open_single(layout, ("image", "label") if layout.class_names else ("image",))


def _check_reading(name: str, reading: Reading, keys: Sequence[str]) -> None:
    """Raises UserError for choices that a folder, or the layout that provides these keys, does not have."""
    if reading.label_key:
        raise UserError(f"--label-key is for datasets of TFDS; {printable(name)} has the labels of its folders, or of --label-file FILE")
    if reading.label_file and {"x", "pose", "picture"} & set(keys):
        raise UserError("--label-file is for models of single images in classes; omit it")
    if reading.crop != "center" and "picture" in keys:
        raise UserError("--crop is for images that are resized; this model is trained on crops of pictures of any size; omit it")


def _unescape(path: str) -> str:
    """The inverse of `printable`."""
    return re.sub(r"\\(x[0-9a-f]{2}|u[0-9a-f]{4}|[nrt])", lambda match: ast.literal_eval(f"'{match[0]}'"), path)


def _list_counts(counts: collections.Counter[str]) -> str:
    """The most frequent of some kinds, each with how often it occurs."""
    listed = [f"{kind}: {count:,}" for kind, count in counts.most_common(LISTED_KINDS)]
    return ", ".join(listed + ([f"and {len(counts) - LISTED_KINDS:,} others"] if len(counts) > LISTED_KINDS else []))


@dataclasses.dataclass(frozen=True)
class _Opener:
    """Makes sources of the pictures of a folder."""

    tree: FileTree
    index: Index
    image_shape: Sequence[int] | None
    cache_dir: str
    reading: Reading

    @property
    def decoder(self) -> Decoder:
        return Decoder(self.tree, self.index, self.cache_dir, self.reading.crop)

    @property
    def name(self) -> str:
        return printable(f"{PREFIX}{self.tree.path}")

    def version(self, layout: Layout, unit: str = "pictures") -> str:
        """Of the data: changes with the content, names and labels of the files, and how they are cropped, wherever the folder is."""
        crop = "" if self.reading.crop == "center" else f", {self.reading.crop}"
        has_file = self.reading.label_file or label_files.LABELS_FILE in self.tree.stamps
        digest = self.index.digest(layout.names, label_files.describe_labels(layout) if has_file else "")
        return f"{sum(map(len, layout.files.values()))} {unit}, {digest}{crop}"

    def older_versions(self, layout: Layout, unit: str = "pictures") -> tuple[str, ...]:
        """The versions that 0.1 recorded, of names and sizes; it skipped what it could not read, so that numbers of files may differ."""
        names = [name for part in layout.files.values() for name in sorted(part, key=lambda name: name.split("/"))]
        text = b"".join(b"%s %d\n" % (os.fsencode(name), self.tree.stamps[self.index.locate(name)[0]].size) for name in names)
        return (f"{len(names)} {unit}, {hashlib.sha256(text).hexdigest()[:8]}",)

    def open_single(self, layout: Layout, keys: tuple[str, ...]) -> Source:
        """Single images, with their labels and poses."""
        shape, highest = self.resolve_shape(layout, self.image_shape)
        numbers = {"label": layout.labels, "pose": layout.poses}

        def load_numbers(split: str) -> dict[str, np.ndarray]:
            return {key: numbers[key][split] for key in keys if key in numbers}

        return Source(
            name=self.name,
            version=self.version(layout),
            image_shape=shape,
            sizes={split: len(names) for split, names in layout.files.items()},
            class_names=layout.class_names and tuple(map(printable, layout.class_names)),
            load=self.decoder.loader(layout, ("image",), shape, highest, load_numbers),
            keys=keys,
            pose_names=layout.pose_names and tuple(map(printable, layout.pose_names)),
            cache_dir=self.cache_dir,
            older_versions=functools.partial(self.older_versions, layout),
            facts=functools.partial(self.facts, layout, shape),
            find_damage=functools.partial(self.decoder.find_damaged, layout.names),
        )

    def open_pairs(self) -> Source:
        """Images side by side in one file, x on the left and y on the right; or in two files of the same name."""
        layout = pairs(self.tree, self.index)
        parts = 1 if layout.partners else 2
        if parts == 2:
            self._check_halves(layout)
        shape, highest = self.resolve_shape(layout, self.image_shape, parts)
        return Source(
            name=self.name,
            version=self.version(layout, "pairs"),
            image_shape=shape,
            sizes={split: len(names) for split, names in layout.files.items()},
            class_names=None,
            load=self.decoder.loader(layout, ("x", "y"), shape, highest, lambda split: {"pair": np.arange(len(layout.files[split]))}),
            keys=("x", "y", "pair"),
            cache_dir=self.cache_dir,
            older_versions=functools.partial(self.older_versions, layout, "pairs"),
            facts=functools.partial(self.facts, layout, shape, parts),
            find_damage=functools.partial(self.decoder.find_damaged, layout.names),
        )

    def _check_halves(self, layout: Layout) -> None:
        """Refuses pairs in one file whose halves have different sizes, and counts those that may be no pairs."""
        headers = self.decoder.headers(layout.names)
        odd = [
            f"{self.tree.path / name} ({header.width}x{header.height}: halves of different sizes)"
            for name, header in zip(layout.names, headers, strict=True)
            if header.width % 2
        ]
        image_files.refuse_invalid(odd, len(headers))
        upright = [(name, header) for name, header in zip(layout.names, headers, strict=True) if header.width <= header.height]
        if upright:
            name, header = upright[0]
            size = f"{Path(name).name}: {header.width // 2}x{header.height}"
            text = f"not wider than high, split anyway ({size}); pairs are expected side by side"
            layout.left_out[text] = len(upright)

    def open_domains(self) -> Domains:
        """Two domains, each of which has a train split and maybe a test split."""
        layout = domains(self.tree, self.index)
        if self.image_shape is None:
            self._check_colors(layout)
        shape, highest = self.resolve_shape(layout, self.image_shape)
        version = self.version(layout)
        load = self.decoder.loader(layout, ("image",), shape, highest, lambda split: {})

        def domain(name: str) -> Source:
            return Source(
                name=self.name,
                version=version,
                image_shape=shape,
                sizes={part[:-1]: len(names) for part, names in layout.files.items() if part[-1] == name},
                class_names=None,
                load=lambda split: load(split + name),
                cache_dir=self.cache_dir,
                older_versions=functools.partial(self.older_versions, layout),
                facts=functools.partial(self.facts, layout, shape),
                find_damage=functools.partial(self.decoder.find_damaged, layout.names),
            )

        return Domains(self.name, version, domain("A"), domain("B"))

    def _check_colors(self, layout: Layout) -> None:
        grayscale = {"A": True, "B": True}
        for part, names in layout.files.items():
            grayscale[part[-1]] &= all(header.is_grayscale for header in self.decoder.kinds(names))
        if grayscale["A"] != grayscale["B"]:
            raise UserError(
                f"the pictures of domain {'A' if grayscale['A'] else 'B'} in {self.tree.path} are grayscale and the others are not; "
                "--image-shape HEIGHT WIDTH 3 (or 1) converts them"
            )

    def open_pictures(self) -> Pictures:
        """Pictures of any size."""
        layout = layouts.pictures(self.tree, self.index)
        names = layout.names
        kinds = self.decoder.kinds(names)
        channels = 1 if all(header.is_grayscale for header in kinds) else 3
        self.warn(layout, image_files.count_conversions(kinds, channels))
        highest = image_files.highest_value(kinds)

        def load(split: str) -> dict[str, np.ndarray]:
            files = layout.files[split]
            shapes = np.array([(header.height, header.width, channels) for header in self.decoder.headers(files)], np.int64)

            def decode(name: str) -> dict[str, np.ndarray]:
                return {"pixels": self.decoder.decode(name, channels, highest).ravel()}

            examples = Examples(
                key=f"{self.index.digest(files, digits=24)}-{split}-any-{channels}-{highest or 255:g}",
                shapes={"pixels": ((int(shapes.prod(1).sum()),), np.uint8)},
                rows=len(files),
                chunks=lambda: self.decoder.in_parallel(files, decode, np.concatenate),
                description=f"decoding {len(files):,} pictures in {self.tree.path}",
            )
            return {**examples.load(self.cache_dir), **pack_shapes(shapes)}

        return Pictures(
            name=self.name,
            version=self.version(layout),
            image_shape=(None, None, channels),
            sizes={split: len(files) for split, files in layout.files.items()},
            class_names=None,
            load=load,
            cache_dir=self.cache_dir,
            older_versions=functools.partial(self.older_versions, layout),
            facts=functools.partial(self.facts, layout, None),
            find_damage=functools.partial(self.decoder.find_damaged, names),
        )

    # -- decoding ------------------------------------------------------------------------------------------------------

    def resolve_shape(self, layout: Layout, image_shape: Sequence[int] | None, parts: int = 1) -> tuple[tuple[int, int, int], float | None]:
        """Height, width and channels of the images, and the value that becomes 255 in deep ones; prints the warning about the folder."""
        kinds = self.decoder.kinds(layout.names)
        sizes = {(header.width // parts, header.height) for header in kinds}
        channels = 1 if all(header.is_grayscale for header in kinds) else 3
        resized: dict[str, int] = {}
        if image_shape is not None:
            height, width, channels = image_shape
        elif len(sizes) == 1:
            width, height = sizes.pop()
        else:
            height = width = DEFAULT_SIDE
            how = {"center": "center-cropped to", "pad": "padded to", "none": "distorted into"}[self.reading.crop]
            text = f"of {len(sizes)} different sizes, {how} a square and resized to {DEFAULT_SIDE}x{DEFAULT_SIDE}"
            resized[f"{text} (--image-shape chooses another size)"] = kinds.total()
        self.warn(layout, image_files.count_conversions(kinds, channels) + collections.Counter(resized))
        return (height, width, channels), image_files.highest_value(kinds)

    def warn(self, layout: Layout, counts: collections.Counter[str]) -> None:
        """Prints one line that counts what is left out or converted, if anything is."""
        others = image_files.count_others(self.index.others)
        others.subtract(image_files.describe_other(Path(name).suffix.lower()) for name in self._label_files())
        others.update(self.tree.skipped)
        image_files.warn(self.tree.path, +(layout.left_out + others + counts))

    def _label_files(self) -> list[str]:
        """Files of the folder that hold labels."""
        used = [label_files.LABELS_FILE] if label_files.LABELS_FILE in self.tree.stamps else []
        if self.reading.label_file:
            file = Path(os.path.abspath(os.path.expanduser(self.reading.label_file)))
            used += [name for name in self.tree.stamps if self.tree.path / name == file and name not in used]
        return used

    def facts(self, layout: Layout, shape: tuple[int, int, int] | None, parts: int = 1) -> dict[str, str]:
        """Sizes and modes of the files, and how they become images of one shape, for `zoo data`."""
        sizes, modes = collections.Counter[tuple[int, int]](), collections.Counter[str]()
        for header, count in self.decoder.kinds(layout.names).items():
            sizes[header.width, header.height] += count
            modes[header.mode] += count
        listed = collections.Counter({f"{width}x{height}": count for (width, height), count in sizes.items()})
        facts = {"sizes": f"{_list_counts(listed)} (width x height)", "modes": _list_counts(modes)}
        if parts > 1:
            facts["pairs"] = "side by side in one file, x on the left"
        if shape:
            height, width, _ = shape
            changed = sum(count for size, count in sizes.items() if size != (width * parts, height))
            facts["resizing"] = f"{changed:,} {self.reading.describe_resizing(width, height)}" if changed else "none"
        return facts
