"""Folders of identities in poses."""

from __future__ import annotations

import collections
import re

import numpy as np

from zoo.data.files import FileTree, natural_order
from zoo.data.index import Index
from zoo.data.layouts import TRAIN, Layout, by_folder, split_of, top_folders
from zoo.errors import UserError, join_first

POSE_END = re.compile(r"[_\-.\s]")


def identities(tree: FileTree, index: Index) -> Layout:
    """Images of identities in poses: `IDENTITY/POSE*`; the pose ends at the first `_`, `-`, `.` or space."""
    folders, loose = by_folder(index.names)
    empty = [name for name in top_folders(tree) if name not in folders]
    if folders and empty:
        raise UserError(
            f"no pictures in {tree.path / empty[0]}; each identity has a folder of its own, IDENTITY/POSE*; remove it, or fill it"
        )
    if len(folders) < 2:
        raise UserError(f"no folders of identities in {tree.path}; it must hold at least two, of pictures named by pose: IDENTITY/POSE*")
    if all(map(split_of, folders)):
        raise UserError(
            f"{tree.path} holds {join_first(folders)}, which are named like splits; identities are held out by --held-out-identities: "
            "join the folders of all identities in one folder"
        )
    names = [name for part in folders.values() for name in part]
    poses = [POSE_END.split(name.rsplit("/", 1)[1])[0] for name in names]
    if unnamed := [name for name, pose in zip(names, poses, strict=True) if not pose]:
        raise UserError(f"the name of {tree.path / unnamed[0]} does not begin with a pose; use IDENTITY/POSE*, for example anna/left_1.jpg")
    pose_names = sorted(set(poses), key=natural_order)
    layout = Layout(
        {TRAIN: names},
        {TRAIN: np.repeat(np.arange(len(folders)), [len(part) for part in folders.values()])},
        tuple(folders),
        {TRAIN: np.array([pose_names.index(pose) for pose in poses], np.int64)},
        tuple(pose_names),
        left_out=collections.Counter(
            {
                "next to the folders of identities": len(loose),
                "in folders within those of identities, read as well": sum(name.count("/") > 1 for name in names),
            }
        ),
    )
    _check_poses(tree, layout)
    return layout


def _check_poses(tree: FileTree, layout: Layout) -> None:
    """Raises UserError for identities with a single pose; counts poses that most identities lack."""
    labels, poses, names = layout.labels[TRAIN], layout.poses[TRAIN], layout.pose_names or ()
    for i, identity in enumerate(layout.class_names or ()):
        if len(set(poses[labels == i])) < 2:
            raise UserError(
                f"{tree.path / identity} has pictures of one pose only; the pose is the beginning of the file name; "
                f"poses in this folder: {join_first(names)}"
            )
    unshared = [pose for i, pose in enumerate(names) if len(set(labels[poses == i])) < 2]
    if 2 * len(unshared) > len(names):
        layout.left_out[
            f"of {len(names)} poses belong to a single identity ({join_first(unshared)}); the pose is the start of the "
            "file name, up to the first _ - . or space, and is shared by all identities: IDENTITY/left_1.jpg"
        ] += len(unshared)
