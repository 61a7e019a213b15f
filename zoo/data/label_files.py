"""Labels of images in a file: CSV, or the `dataset.json` of StyleGAN's tools."""

from __future__ import annotations

import csv
import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zoo.data.files import FileTree, natural_order
from zoo.data.index import Index
from zoo.data.layouts import TRAIN, Layout, and_more, by_folder, require_images, split_of, train_and_test
from zoo.errors import UserError, join_first
from zoo.records import parse_object

LABELS_FILE = "dataset.json"
MAX_BYTES = 2**28
MAX_LABEL = 2**31 - 1
DELIMITERS = ",;\t"
NAME_COLUMNS = ("name", "file", "filename", "file_name", "image", "image_name", "img", "path", "id")
LABEL_COLUMNS = ("label", "class", "class_name", "category", "target")


def images_of_dataset_json(tree: FileTree, index: Index) -> Layout | None:
    """Images with the labels of a `dataset.json` in the folder: `{"labels": [["00000/img1.png", 6], ...]}`; None if it has none.

    Raises:
        UserError: It cannot be read, or names images that are not there.
    """
    if LABELS_FILE not in tree.stamps:
        return None
    path = tree.path / LABELS_FILE
    try:
        with tree.open_file(LABELS_FILE) as file:
            content = file.read(MAX_BYTES)
    except OSError as error:
        raise UserError(f"{path} cannot be read as labels: {error}") from None
    labels = _parse_json(path, content)
    if labels:
        return _label_images(tree, index, path, labels)
    folders, loose = by_folder(index.names)
    is_numbered = not loose and all(name.isdecimal() for name in folders)  # as StyleGAN's tools write images without labels
    return Layout({TRAIN: index.names}) if is_numbered else None


def labeled_images(tree: FileTree, index: Index, file: Path) -> Layout:
    """Images with the labels of a file: CSV of names and classes, or JSON as `dataset.json`.

    Args:
        tree: The files.
        index: The images among them.
        file: The file. The names in it are relative to the folder of the images. A CSV may have a header; of more than two columns, one is
            called `label` or `class`.

    Raises:
        UserError: The file cannot be read, or names images that are not there.
    """
    require_images(tree, index.names)
    try:
        content = file.read_bytes()[:MAX_BYTES]
    except OSError as error:
        raise UserError(f"--label-file {file}: {error.strerror}") from None
    if file.suffix.lower() == ".json":
        labels = _parse_json(file, content)
        if not labels:
            raise UserError(f"--label-file {file} has no labels")
        return _label_images(tree, index, file, labels)
    names = _read_csv(file, content)
    classes = {name: number for number, name in enumerate(sorted(set(names.values()), key=natural_order))}
    layout = _label_images(tree, index, file, {name: classes[label] for name, label in names.items()})
    return dataclasses.replace(layout, class_names=tuple(classes))


def describe_labels(layout: Layout) -> str:
    """The labels of all images, as text that changes with them."""
    names = layout.class_names or ()
    return "\n".join(names[label] for labels in layout.labels.values() for label in labels)


def _read_csv(file: Path, content: bytes) -> dict[str, str]:
    """Name -> class."""
    try:
        text = content.decode("utf-8-sig")
        delimiter = max(DELIMITERS, key=text.partition("\n")[0].count)
        rows = [[cell.strip() for cell in row] for row in csv.reader(text.splitlines(), delimiter=delimiter) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"--label-file {file} cannot be read as CSV: {error}") from None
    name_column, label_column = 0, 1
    header = [cell.lower() for cell in rows[0]] if rows else []
    has_names = bool(set(header) & set(NAME_COLUMNS))
    if has_names or (set(header) & set(LABEL_COLUMNS) and not any(os.path.splitext(cell)[1] for cell in header)):  # not `a.png,class`
        if not has_names:
            names = " or ".join(NAME_COLUMNS)
            raise UserError(f"--label-file {file} has the columns {join_first(header)}; rename that of the file names to {names}")
        rows, name_column = rows[1:], next(i for i, cell in enumerate(header) if cell in NAME_COLUMNS)
        columns = [i for i, cell in enumerate(header) if cell in LABEL_COLUMNS] or [1 - name_column] * (len(header) == 2)
        if not columns:
            raise UserError(
                f"--label-file {file} has the columns {join_first(header)}; rename the column that holds the classes to 'label'"
            )
        if len(columns) > 1:
            both = join_first(header[i] for i in columns)
            raise UserError(f"--label-file {file} has several columns of classes, {both}; leave one of them out, or rename the others")
        label_column = columns[0]
    elif any(len(row) > 2 for row in rows):
        row = next(row for row in rows if len(row) > 2)
        raise UserError(f"--label-file {file}: '{','.join(row)[:40]}' is not a file name and a class, separated by a comma")
    labels: dict[str, str] = {}
    for row in rows:
        name, label = (row[i] if i < len(row) else "" for i in (name_column, label_column))
        name = _normalize(name)
        if not label:
            raise UserError(f"--label-file {file}: '{name[:40]}' has no label; each line is a file name and a class, separated by a comma")
        if labels.setdefault(name, label) != label:
            raise UserError(f"--label-file {file}: {name} has two labels, {labels[name]} and {label}")
    if not labels:
        raise UserError(f"--label-file {file} has no labels")
    return labels


def _parse_json(path: Path, content: bytes) -> dict[str, Any]:
    """Name -> label; empty if the file has no labels."""
    try:
        labels = parse_object(content).get("labels")
        return {_normalize(name): label for name, label in labels or ()}
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{path} cannot be read as labels: {error}") from None


def _normalize(name: str) -> str:
    return name.replace("\\", "/").removeprefix("./")


def _label_images(tree: FileTree, index: Index, path: Path, labels: dict[str, Any]) -> Layout:
    """The images that a file names, with their labels; in the splits that their folders are named after, if all are."""
    for name, label in labels.items():
        if isinstance(label, bool) or not isinstance(label, int) or not 0 <= label <= MAX_LABEL:
            raise UserError(f"{path}: the label of {name} is {label!r:.40}; labels are integers of at least 0")
    available = {index.locate(name)[0] for name in index.names}
    if missing := [name for name in labels if name not in available]:
        stems = {os.path.splitext(name)[0] for name in available}
        hint = "; include the file extension, such as .png" if missing[0] in stems else ""
        raise UserError(f"{path} names {missing[0]}, which does not exist{and_more(len(missing))}{hint}")
    used = np.unique(list(labels.values()))
    if gaps := np.flatnonzero(used != np.arange(len(used))).tolist():
        raise UserError(f"{path}: no image has the label {gaps[0]}; labels must be consecutive integers starting at 0")
    chosen = [name for name in index.names if index.locate(name)[0] in labels]
    layout = Layout({TRAIN: chosen}, class_names=tuple(str(number) for number in range(len(used))))
    layout.left_out[f"without a label in {path.name}"] = len(index.names) - len(chosen)
    folders, loose = by_folder(chosen)
    if folders and not loose and all(split_of(name) for name in folders):
        layout.files = {split: names for split, (_, names) in train_and_test(tree, folders, layout.left_out).items()}
    layout.labels = {split: _numbers(index, names, labels) for split, names in layout.files.items()}
    return layout


def _numbers(index: Index, names: Sequence[str], labels: dict[str, int]) -> np.ndarray:
    return np.array([labels[index.locate(name)[0]] for name in names], np.int64)
