"""What the image files of a folder are: splits, classes, domains, pairs or poses, decided by their names alone.

Each layout is read as its owner means it, or refused with what is there. Files that are not used are counted for one warning line.
"""

from __future__ import annotations

import collections
import dataclasses
import re
from collections.abc import Iterable, Sequence

import numpy as np

from zoo.data.files import FileTree
from zoo.data.index import Index
from zoo.errors import UserError, join_first, printable

TRAIN, TEST, VALIDATION = "train", "test", "validation"
SPLITS = {"train": TRAIN, "training": TRAIN, "test": TEST, "testing": TEST}
SPLITS |= dict.fromkeys(("val", "valid", "validation", "dev", "eval"), VALIDATION)


@dataclasses.dataclass
class Layout:
    """The files of each split, and what they belong to.

    Attributes:
        files: Split (or `trainA`, `trainB`, ...) -> names of files.
        labels: Split -> class or identity of each file; empty: no labels.
        class_names: Names of the classes or identities; None: no labels.
        poses: Split -> pose of each file; empty: no poses.
        pose_names: Names of the poses; None: no poses.
        partners: Split -> the file that each file is a pair with; empty: no pairs, or each file holds one.
        left_out: What is not used, or read in spite of its place, with numbers of files, for the warning.
    """

    files: dict[str, list[str]]
    labels: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    class_names: tuple[str, ...] | None = None
    poses: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    pose_names: tuple[str, ...] | None = None
    partners: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    left_out: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)

    def in_order(self, class_names: Sequence[str] | None) -> Layout:
        """The layout with the classes numbered in another order, if it has the same ones."""
        if not class_names or not self.class_names or sorted(class_names) != sorted(map(printable, self.class_names)):
            return self
        numbers = np.array([list(class_names).index(printable(name)) for name in self.class_names], np.int64)
        ordered = tuple(sorted(self.class_names, key=lambda name: list(class_names).index(printable(name))))
        return dataclasses.replace(self, labels={split: numbers[labels] for split, labels in self.labels.items()}, class_names=ordered)

    @property
    def names(self) -> list[str]:
        """Of all files, split by split."""
        return [name for part in (*self.files.values(), *self.partners.values()) for name in part]


def single_images(tree: FileTree, index: Index, needs_labels: bool) -> Layout:
    """Images in a flat folder, in one folder per class, or in splits of either kind.

    Args:
        tree: The files.
        index: The images among them.
        needs_labels: Whether the model needs classes.

    Raises:
        UserError: The folder has no images, an empty class, or folders that are splits and others.
    """
    require_images(tree, index.names)
    folders, loose = by_folder(index.names)
    named = [name for name in folders if split_of(name)]
    refuse_similar_to_splits(tree, [name for name in folders if not named])
    if not named:
        layout = _class_folders(tree, {TRAIN: index.names}, needs_labels)
    elif len(named) == len(folders):
        layout = Layout({})
        parts = train_and_test(tree, {name: folders[name] for name in named}, layout.left_out)
        inner = {split: _strip(names, prefix) for split, (prefix, names) in parts.items()}
        layout = _class_folders(tree, inner, needs_labels, layout.left_out, {split: prefix for split, (prefix, _) in parts.items()})
        layout.left_out["next to the splits"] += len(loose)
    else:
        others = [name for name in folders if name not in named]
        raise UserError(
            f"{tree.path} holds {join_first(named)}, with the name of a split, and {join_first(others)}; "
            f"to read one of them give its own folder: --data folder:{tree.path}/{named[0]}; if all are classes, rename {join_first(named)}"
        )
    if needs_labels and layout.class_names is None:
        where = f"{tree.path} holds {_describe_splits(layout)}, without folders of classes" if named else f"{tree.path} is a flat folder"
        raise UserError(
            f"{where}; the model needs class labels: one folder per class, cat/1.png dog/1.png, in each split if there are splits"
        )
    return layout


def pictures(tree: FileTree, index: Index) -> Layout:
    """Images of any size or pairs in one file, flat or in splits."""
    require_images(tree, index.names)
    folders, loose = by_folder(index.names)
    named = {name: names for name, names in folders.items() if split_of(name)}
    refuse_similar_to_splits(tree, [name for name in folders if not named])
    layout = Layout({TRAIN: loose or index.names})
    if named:
        parts = train_and_test(tree, named, layout.left_out)
        layout.files = {split: names for split, (_, names) in parts.items()}
        layout.left_out["next to the splits"] += len(loose)
    if named or loose:
        for name, names in folders.items():
            if name not in named:
                layout.left_out[f"in the folder {name}, which is not a split"] += len(names)
    return layout


def split_of(name: str) -> str | None:
    """The split that a folder of this name holds; None: it is not the name of a split."""
    return SPLITS.get(name.lower())


def similar_split(name: str) -> str | None:
    """The split that the name of a folder reminds of, such as `trainA`, `training_set` or `val2017`; None: of none."""
    words = re.findall("[a-z]+", name.lower())
    return next((split for word in words if (split := SPLITS.get(word) or SPLITS.get(word[:-1] if word[-1] in "ab" else ""))), None)


def refuse_similar_to_splits(tree: FileTree, folders: Sequence[str], prefix: str = "") -> None:
    """Raises UserError if folders have names like those of a train split and of another one, which are not classes."""
    similar = {name: split for name in folders if (split := similar_split(name))}
    train = [name for name, split in similar.items() if split == TRAIN]
    if train and len(train) < len(similar):
        raise UserError(
            f"{tree.path / prefix} holds {join_first(similar)}, which are named like splits; name them train and test, "
            f"or give the folder of one: --data folder:{tree.path / prefix / train[0]}"
        )


# -- parts of the layouts -----------------------------------------------------------------------------------------------


def require_images(tree: FileTree, names: Sequence[str]) -> None:
    if not names:
        raise UserError(f"no pictures in {tree.path}; it may hold image files, or one folder of them per class")


def by_folder(names: Iterable[str]) -> tuple[dict[str, list[str]], list[str]]:
    """Files by their first folder, and those that are in none."""
    folders: dict[str, list[str]] = {}
    loose = []
    for name in names:
        first, slash, _ = name.partition("/")
        if slash:
            folders.setdefault(first, []).append(name)
        else:
            loose.append(name)
    return folders, loose


def top_folders(tree: FileTree, prefix: str = "") -> list[str]:
    """Names of the folders directly below a folder, also of empty ones."""
    below = [name.removeprefix(prefix) for name in tree.folders if name.startswith(prefix)]
    return [name for name in below if name and "/" not in name]


def train_and_test(tree: FileTree, folders: dict[str, list[str]], left_out: collections.Counter[str]) -> dict[str, tuple[str, list[str]]]:
    """The train and the test split: name -> folder and its files. A validation split is the test split where there is no other."""
    parts: dict[str, tuple[str, list[str]]] = {}
    if empty := [name for name in top_folders(tree) if split_of(name) and name not in folders]:
        raise UserError(f"no pictures in {tree.path / empty[0]}, next to {join_first(folders)}; remove it, or fill it")
    for name, names in folders.items():
        split = split_of(name) or ""
        if split in parts:
            raise UserError(f"{tree.path} holds {parts[split][0]} and {name}, both of the {split} split; remove or join one")
        parts[split] = name, names
    if TRAIN not in parts:
        raise UserError(f"{tree.path} holds {join_first(folders)} and no train split; name the folder of the training images train")
    if VALIDATION in parts:
        name, names = parts.pop(VALIDATION)
        if TEST in parts:
            left_out[f"in {name}, as test images are those of {parts[TEST][0]}"] += len(names)
        else:
            parts[TEST] = name, names
    return {split: parts[split] for split in (TRAIN, TEST) if split in parts}


def _strip(names: Iterable[str], prefix: str) -> list[str]:
    return [name.removeprefix(f"{prefix}/") for name in names]


def _class_folders(
    tree: FileTree,
    parts: dict[str, list[str]],
    needs_labels: bool,
    left_out: collections.Counter[str] | None = None,
    prefixes: dict[str, str] | None = None,
) -> Layout:
    """Splits that are flat, or have a folder per class; files are named relative to their split."""
    left_out, prefixes = left_out if left_out is not None else collections.Counter(), prefixes or {}
    by_split = {split: by_folder(names) for split, names in parts.items()}
    classes, loose = by_split[TRAIN]
    if not needs_labels and 2 * len(loose) > len(parts[TRAIN]):  # a flat folder with folders in it
        left_out["in folders within it, read as well"] += sum(len(names) - len(by_folder(names)[1]) for names in parts.values())
        classes = {}
    full = {split: f"{prefixes[split]}/" if split in prefixes else "" for split in parts}
    if not classes:
        return Layout({split: [full[split] + name for name in names] for split, names in parts.items()}, left_out=left_out)
    files, labels, numbers = {}, {}, {name: i for i, name in enumerate(classes)}
    for split, (folders, loose) in by_split.items():
        if not folders:
            left_out[f"in {prefixes[split]}, which has no folders of classes"] += len(loose)
            continue
        for folder, names in folders.items():
            start = len(folder) + 1
            inner = list(by_folder(name[start:] for name in names if "/" in name[start:])[0])
            refuse_similar_to_splits(tree, inner, full[split] + folder)
            if needs_labels and len(classes) == 1 < len(inner) and all("/" in name[start:] for name in names):
                path = tree.path / (full[split] + folder)
                raise UserError(
                    f"{path} is the only class, and holds the folders {join_first(inner)}; if these are the classes, "
                    f"give --data folder:{path}"
                )
        if empty := [name for name in top_folders(tree, full[split]) if name not in folders]:
            raise UserError(
                f"no pictures in {tree.path / (full[split] + empty[0])}; each class has a folder of its own; remove it, or fill it"
            )
        if unknown := [name for name in folders if name not in numbers]:
            raise UserError(
                f"{tree.path / (full[split] + unknown[0])} is a class that {tree.path / full[TRAIN]} does not have; "
                f"its classes: {join_first(numbers)}"
            )
        left_out["next to the class folders, ignored"] += len(loose)
        chosen = [(full[split] + name, numbers[folder]) for folder, names in folders.items() for name in names]
        left_out["in folders within class folders, read as well"] += sum(name.count("/") > 1 + full[split].count("/") for name, _ in chosen)
        files[split], labels[split] = [name for name, _ in chosen], np.array([label for _, label in chosen], np.int64)
    return Layout(files, labels, tuple(classes), left_out=left_out)


def _describe_splits(layout: Layout) -> str:
    return "the splits " + " and ".join(layout.files)


def and_more(count: int) -> str:
    return f" (and {count - 1} more)" if count > 1 else ""
