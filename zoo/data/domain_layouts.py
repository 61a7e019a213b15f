"""Folders of two domains, and of pairs: `trainA trainB`, `A/train B/train`, `train/A train/B` or `A B`."""

from __future__ import annotations

import os
import re

from zoo.data.files import FileTree, natural_order
from zoo.data.index import Index
from zoo.data.layouts import TEST, TRAIN, VALIDATION, Layout, and_more, by_folder, pictures, split_of
from zoo.errors import UserError, join_first

Place = tuple[str, str]  # split and domain
EXPECTED = "trainA trainB [testA testB]; A/train B/train; or A B"


def domains(tree: FileTree, index: Index) -> Layout:
    """Images of two domains, as the splits `trainA`, `trainB` and, if there are any, `testA` and `testB` or those of the validation split.

    Raises:
        UserError: A domain has no images.
    """
    parts, others = _by_place(index)
    if not parts:
        folders = join_first(by_folder(index.names)[0]) or "no folders"
        raise UserError(f"no pictures in {tree.path / 'trainA'}; two domains are {EXPECTED}; {tree.path} holds {folders}")
    layout = Layout({})
    for split, stored in _stored_splits(parts).items():
        for domain in "AB":
            if (stored, domain) not in parts:
                raise UserError(f"no pictures of domain {domain} in the {stored} split of {tree.path}; two domains are {EXPECTED}")
            layout.files[split + domain] = list(parts.pop((stored, domain)).values())
    _count_others(layout, parts, others)
    return layout


def pairs(tree: FileTree, index: Index) -> Layout:
    """Pairs: files of equal names in two domains; or both images in one file, flat or in splits.

    Raises:
        UserError: There are no images, or images of only one domain.
    """
    parts, others = _by_place(index)
    if not parts:
        layout, folders = pictures(tree, index), by_folder(index.names)[0]
        if not any(map(split_of, folders)) and any(
            "/" in name and index.headers[name].width <= index.headers[name].height for name in layout.names
        ):
            raise UserError(f"{tree.path} holds {join_first(folders)}; pairs are side by side in one file, or of equal names in {EXPECTED}")
        return layout
    layout = Layout({})
    for split, stored in _stored_splits(parts).items():
        x, y = parts.pop((stored, "A"), {}), parts.pop((stored, "B"), {})
        if single := sorted({*x, *y} - ({*x} & {*y}), key=natural_order):
            file = tree.path / (x.get(single[0]) or y[single[0]])
            raise UserError(f"{file} has no partner of the same name in the other domain{and_more(len(single))}; pairs are {EXPECTED}")
        layout.files[split], layout.partners[split] = list(x.values()), [y[stem] for stem in x]
    _count_others(layout, parts, others)
    return layout


def _by_place(index: Index) -> tuple[dict[Place, dict[str, str]], list[str]]:
    """The images of each split and domain by their names without folders and suffixes, and the images of none."""
    parts: dict[Place, dict[str, str]] = {}
    others = []
    for name in index.names:
        file, frame = index.locate(name)
        if place := _place(file.split("/")):
            split, domain, rest = place
            stem = os.path.splitext("/".join(rest))[0] + (f" {frame}" if frame else "")
            parts.setdefault((split, domain), {})[stem] = name
        else:
            others.append(name)
    return parts, others


def _place(parts: list[str]) -> tuple[str, str, list[str]] | None:
    """Split, domain and the rest of a name; None if its folders are not named after a domain."""
    first, *rest = parts
    if len(rest) > 1 and first.upper() in ("A", "B") and (split := split_of(rest[0])):
        return split, first.upper(), rest[1:]
    if len(rest) > 1 and rest[0].upper() in ("A", "B") and (split := split_of(first)):
        return split, rest[0].upper(), rest[1:]
    match = re.fullmatch(r"(.+?)[_-]?([ABab])", first)
    if rest and match and (split := split_of(match[1])):
        return split, match[2].upper(), rest
    return (TRAIN, first.upper(), rest) if rest and first.upper() in ("A", "B") else None


def _stored_splits(parts: dict[Place, dict[str, str]]) -> dict[str, str]:
    """The train and the test split, and where their images are; the validation split is the test split where there is no other."""
    stored = {split for split, _ in parts}
    held_out = next((split for split in (TEST, VALIDATION) if split in stored), None)
    return {TRAIN: TRAIN, **({TEST: held_out} if held_out else {})}


def _count_others(layout: Layout, parts: dict[Place, dict[str, str]], others: list[str]) -> None:
    for (split, _), by_stem in parts.items():
        layout.left_out[f"in the {split} split, which is not used beside the test split"] += len(by_stem)
    folders, loose = by_folder(others)
    layout.left_out["next to the folders of the domains"] += len(loose)
    for name, names in folders.items():
        layout.left_out[f"in the folder {name}, which is not used"] += len(names)
