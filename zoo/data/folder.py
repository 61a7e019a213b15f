"""Folders of the user's own pictures, in the supported layouts.

- single images: flat, or one folder per class;
- two domains: `trainA trainB [testA testB]`;
- pairs: pictures with both halves side by side, flat, or in `train` and `test` (or `val`);
- identities and poses: `IDENTITY/POSE*.jpg`;
- pictures of any size: flat, or in `train` and `test`.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from zoo.data.image_files import (
    DECODE_ERRORS,
    LISTED,
    SUFFIXES,
    digest_files,
    is_grayscale,
    list_images,
    read_halves,
    read_headers,
    read_image,
    read_images,
)
from zoo.errors import UserError, printable

__all__ = [
    "DECODE_ERRORS",
    "SUFFIXES",
    "list_pictures",
    "read_classes",
    "read_domains",
    "read_image",
    "read_pairs",
    "read_poses",
]


class ClassFolder(NamedTuple):
    """Single images: uint8 [n, h, w, c], labels int64 [n] and class names (both None if the folder is flat), digest of the files."""

    images: np.ndarray
    labels: np.ndarray | None
    class_names: list[str] | None
    digest: str


class PoseFolder(NamedTuple):
    """Images of identities: uint8 [n, h, w, c], labels and poses int64 [n], their names, digest of the files."""

    images: np.ndarray
    labels: np.ndarray
    poses: np.ndarray
    identities: list[str]
    pose_names: list[str]
    digest: str


class PictureFolder(NamedTuple):
    """Files of pictures of any size: split -> files, whether all are grayscale, digest of the files."""

    files: dict[str, list[Path]]
    grayscale: bool
    digest: str


def read_classes(folder: str, image_shape: Sequence[int] | None = None) -> ClassFolder:
    """Reads a flat folder, or one with a folder per class.

    Args:
        folder: The folder.
        image_shape: Height, width and channels. By default, pictures of one size keep it; others are center-cropped to a square and resized
            to 64x64. Grayscale if all are.

    Raises:
        UserError: The folder has no pictures, or files are not valid images.
    """
    path = _check_folder(folder)
    classes = _subfolders(path)
    files = [(file, i) for i, name in enumerate(classes) for file in list_images(path / name)] or [(file, 0) for file in list_images(path)]
    if not files:
        raise UserError(f"no pictures in {path}; it may hold {' '.join(sorted(SUFFIXES))} files, or one folder of them per class")
    outside = len(list_images(path)) if classes else 0
    paths = [file for file, _ in files]
    images = read_images(path, paths, image_shape, {"next to the class folders, ignored": outside})
    labels = np.array([label for _, label in files], np.int64) if classes else None
    return ClassFolder(images, labels, classes or None, digest_files(path, paths))


def read_domains(folder: str, image_shape: Sequence[int] | None = None) -> tuple[dict[str, np.ndarray], str]:
    """Reads a folder of two domains: `trainA`, `trainB` and, if there are any, `testA` and `testB`.

    Returns:
        `trainA`, `trainB`, ... -> uint8 images; digest of the files.

    Raises:
        UserError: A domain has no pictures, only one of them is grayscale, or files are not valid images.
    """
    path = _check_folder(folder)
    has_test = (path / "testA").is_dir() or (path / "testB").is_dir()
    parts = ["trainA", "trainB", "testA", "testB"] if has_test else ["trainA", "trainB"]
    files = {part: list_images(path / part) if (path / part).is_dir() else [] for part in parts}
    if empty := [str(path / part) for part in parts if not files[part]]:
        raise UserError(f"no pictures in {' and '.join(empty)}; two domains are trainA trainB [testA testB]")
    if image_shape is None:
        grayscale = {domain: all(is_grayscale(file) for part in parts if part[-1] == domain for file in files[part]) for domain in "AB"}
        if grayscale["A"] != grayscale["B"]:
            raise UserError(
                f"the pictures of domain {'A' if grayscale['A'] else 'B'} in {path} are grayscale and the others are not; "
                "--image-shape HEIGHT WIDTH 3 (or 1) converts them"
            )
    paths = [file for part in parts for file in files[part]]
    images = read_images(path, paths, image_shape)
    ends = np.cumsum([len(files[part]) for part in parts])[:-1]
    return dict(zip(parts, np.split(images, ends), strict=True)), digest_files(path, paths)


def read_pairs(folder: str, image_shape: Sequence[int] | None = None) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], str]:
    """Reads pictures whose left half is x and whose right half is y.

    They lie in `train` and, if there are any, `test` (or `val`); a flat folder is a train split.

    Returns:
        Split -> (x, y), uint8 images; digest of the files.

    Raises:
        UserError: A split has no pictures, or files are not valid images or have an odd width.
    """
    path = _check_folder(folder)
    test = next((path / name for name in ("test", "val") if (path / name).is_dir()), path / "test")
    files = {split: list_images(part) for split, part in (("train", path / "train"), ("test", test)) if part.is_dir()}
    if "train" not in files:
        files = {"train": list_images(path)}
    if empty := [split for split in files if not files[split]]:
        raise UserError(
            f"no pictures in the {empty[0]} split of {path}; pairs are pictures with both halves side by side, in train/ and test/, or flat"
        )
    paths = [file for part in files.values() for file in part]
    ends = np.cumsum([len(part) for part in files.values()])[:-1]
    x, y = (np.split(half, ends) for half in read_halves(path, paths, image_shape))
    return dict(zip(files, zip(x, y, strict=True), strict=True)), digest_files(path, paths)


def read_poses(folder: str, image_shape: Sequence[int] | None = None) -> PoseFolder:
    """Reads pictures of identities: `IDENTITY/POSE*.jpg`.

    The pose is the beginning of the file name, up to the first `_`, `-`, `.` or space.

    Raises:
        UserError: There are fewer than two folders of identities, one is empty or has a single pose, the name of a file does not begin with
            a pose, or files are not valid images.
    """
    path = _check_folder(folder)
    identities = _identities(path)
    files = [(file, i) for i, identity in enumerate(identities) for file in list_images(path / identity)]
    paths = [file for file, _ in files]
    pose_of_file = [re.split(r"[_\-.\s]", file.stem)[0] for file in paths]
    if unnamed := [file for file, pose in zip(paths, pose_of_file, strict=True) if not pose]:
        raise UserError(f"the name of {unnamed[0]} does not begin with a pose; use IDENTITY/POSE*.jpg, for example anna/left_1.jpg")
    pose_names = sorted(set(pose_of_file), key=_natural_order)
    labels = np.array([i for _, i in files], np.int64)
    poses = np.array([pose_names.index(pose) for pose in pose_of_file], np.int64)
    _check_poses(path, labels, poses, identities, pose_names)
    return PoseFolder(read_images(path, paths, image_shape), labels, poses, identities, pose_names, digest_files(path, paths))


def list_pictures(folder: str) -> PictureFolder:
    """Lists pictures of any size, flat or in `train` and, if there are any, `test`.

    Raises:
        UserError: The folder has no pictures, or files are not valid images.
    """
    path = _check_folder(folder)
    files = {split: list_images(path / split) for split in ("train", "test") if (path / split).is_dir()}
    if not files.get("train"):
        files = {"train": list_images(path)}
    if not files["train"]:
        raise UserError(f"no pictures in {path}; it may hold {' '.join(sorted(SUFFIXES))} files")
    paths = [file for part in files.values() for file in part]
    _, grayscale = read_headers(paths)
    return PictureFolder({split: part for split, part in files.items() if part}, grayscale, digest_files(path, paths))


def _check_folder(folder: str) -> Path:
    path = Path(folder).expanduser()
    if not os.path.isdir(path):
        problem = "is a file, not a folder" if path.exists() else "does not exist"
        raise UserError(f"the folder {path} {problem}; give a folder of pictures: --data folder:PATH")
    return path


def _subfolders(path: Path) -> list[str]:
    """Sorted names of the folders that hold pictures."""
    return sorted(p.name for p in path.iterdir() if p.is_dir() and not p.name.startswith(".") and list_images(p))


def _identities(path: Path) -> list[str]:
    """Sorted names of the folders of identities: at least two, none empty."""
    identities = _subfolders(path)
    empty = sorted(p for p in path.iterdir() if p.is_dir() and p.name not in identities and not p.name.startswith("."))
    if identities and empty:
        raise UserError(f"no pictures in {empty[0]}; each identity has a folder of its own, IDENTITY/POSE*.jpg; remove it, or fill it")
    if len(identities) < 2:
        raise UserError(f"no folders of identities in {path}; it must hold at least two, of pictures named by pose: IDENTITY/POSE*.jpg")
    return identities


def _natural_order(name: str) -> list[int | str]:
    """Sort key that compares numbers by value: pose2 before pose10."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]


def _check_poses(path: Path, labels: np.ndarray, poses: np.ndarray, identities: list[str], pose_names: list[str]) -> None:
    """Raises UserError for identities with a single pose; warns if most poses belong to a single identity."""
    if single := [identity for i, identity in enumerate(identities) if len(set(poses[labels == i])) < 2]:
        more = f", and so have {len(single) - 1} more" if len(single) > 1 else ""
        available = f"{', '.join(pose_names[:LISTED])}{', ...' if len(pose_names) > LISTED else ''}"
        raise UserError(
            f"{path / single[0]} has pictures of one pose only{more}; the pose is the beginning of the file name; "
            f"poses in this folder: {available}"
        )
    unshared = [pose for i, pose in enumerate(pose_names) if len(set(labels[poses == i])) < 2]
    if 2 * len(unshared) > len(pose_names):
        print(
            f"warning: {len(unshared)} of {len(pose_names)} poses in {printable(path)} belong to a single identity "
            f"({printable(', '.join(unshared[:LISTED]))}); the pose is the start of the file name, "
            "up to the first _ - . or space, and is shared by all identities: IDENTITY/left_1.jpg",
            file=sys.stderr,
        )
