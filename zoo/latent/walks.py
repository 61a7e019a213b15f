"""Walks through the latent space: spherical interpolation, class morphs, truncation sweeps and moves along directions."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from zoo.core import Game
from zoo.core.signatures import as_integers, as_seeds, require_in_range, validate_truncation
from zoo.errors import UserError
from zoo.latent.distribution import LatentDistribution
from zoo.latent.films import MAX_FRAMES
from zoo.latent.networks import Sampler, require_images

PARALLEL = 1e-6  # sine of the angle below which two vectors are interpolated linearly


def slerp(start: np.ndarray, end: np.ndarray, progress: np.ndarray) -> np.ndarray:
    """Spherical linear interpolation (White 2016, arXiv:1609.04468): the direction turns at a constant rate, the norm changes linearly.

    Args:
        start: Vectors [n, d].
        end: Vectors [n, d].
        progress: From 0, which gives exactly `start`, to 1, which gives exactly `end`; [n].

    Returns:
        Vectors [n, d]. Parallel, opposite and zero vectors, which have no unique arc, are interpolated linearly.
    """
    progress = progress[:, None]
    norms = [np.linalg.norm(vectors, axis=1, keepdims=True) for vectors in (start, end)]
    first, last = (vectors / np.maximum(norm, 1e-12) for vectors, norm in zip((start, end), norms, strict=True))
    angle = np.arccos(np.clip(np.sum(first * last, axis=1, keepdims=True), -1, 1))
    sine = np.maximum(np.sin(angle), PARALLEL)
    turned = (np.sin((1 - progress) * angle) * first + np.sin(progress * angle) * last) / sine
    spherical = turned * ((1 - progress) * norms[0] + progress * norms[1])
    linear = (1 - progress) * start + progress * end
    has_arc = (np.sin(angle) > PARALLEL) & (np.minimum(*norms) > 0)
    between = np.where(has_arc, spherical, linear)
    return np.where(progress <= 0, start, np.where(progress >= 1, end, between)).astype(np.float32)


def interpolate(distribution: LatentDistribution, start: np.ndarray, end: np.ndarray, progress: np.ndarray) -> np.ndarray:
    """Latent vectors between two others that stay typical of their distribution.

    Coordinates are interpolated on a sphere around the mean, since a straight line would pass through vectors of too small a norm; those of
    categories linearly, as mixtures of both. What leaves the range of a bounded distribution is clipped to it.

    Args:
        distribution: That of the latent vectors.
        start: float32 [n, latent_dim].
        end: float32 [n, latent_dim].
        progress: From 0 to 1, [n].

    Returns:
        float32 [n, latent_dim]; exactly `start` for 0 and `end` for 1.
    """
    is_continuous, mean = ~distribution.is_discrete, distribution.mean
    moved = (1 - progress[:, None]) * start + progress[:, None] * end
    first, last = ((latent - mean)[:, is_continuous] for latent in (start, end))
    moved[:, is_continuous] = slerp(first, last, progress) + mean[is_continuous]
    moved = np.where(progress[:, None] <= 0, start, np.where(progress[:, None] >= 1, end, moved))
    return distribution.clip(moved, start, end).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Walk:
    """A walk through keyframes, each of which has the next seed, class, truncation and offset; the shorter lists repeat.

    Attributes:
        seeds: Seeds of the latent vectors.
        labels: Classes; None for models that are not class-conditional.
        truncations: Truncation thresholds in standard deviations; None: not truncated.
        offsets: Vectors that are added to the latent vectors, float32 [k, latent_dim], such as those of `Directions.offsets`; None: none.
        frames: Number of frames from one keyframe to the next.
        loop: Whether the walk returns to the first keyframe.
    """

    seeds: Sequence[int]
    labels: Sequence[int] | None = None
    truncations: Sequence[float] | None = None
    offsets: np.ndarray | None = None
    frames: int = 30
    loop: bool = False

    @property
    def num_keyframes(self) -> int:
        """Number of keyframes: the length of the longest list."""
        return max(len(values) for values in (self.seeds, self.labels, self.truncations, self.offsets) if values is not None)

    @property
    def num_frames(self) -> int:
        """Number of frames of the whole walk; one that loops does not repeat the first keyframe at its end."""
        return self.num_keyframes * self.frames if self.loop else (self.num_keyframes - 1) * self.frames + 1

    @property
    def mixes_labels(self) -> bool:
        """Whether the class changes between keyframes."""
        return self.labels is not None and len({int(label) for label in self._cycle(self.labels)}) > 1

    def _cycle(self, values: Any) -> np.ndarray:
        """One value for each keyframe."""
        values = np.asarray(values)
        return values[np.arange(self.num_keyframes) % len(values)]

    def validate(self, model: Game) -> None:
        """Checks the walk against a model.

        Raises:
            UserError: For values of the wrong type or out of range, labels and truncations that the model does not support or that are
                missing, fewer than two keyframes, and too many frames.
        """
        require_images(model)
        as_seeds(self.seeds)
        if any(values is not None and not len(values) for values in (self.seeds, self.labels, self.truncations, self.offsets)):
            raise UserError("a walk needs at least one value of whatever is given")
        if (self.labels is not None) != ("label" in model.conditions):
            state = "is not class-conditional; omit labels" if self.labels is not None else "is class-conditional; give labels"
            raise UserError(f"this model {state}")
        if self.labels is not None:
            require_in_range(as_integers("label", self.labels), model.config.num_classes, "label", "classes")
        if self.truncations is not None:
            if not model.supports_truncation:
                raise UserError("truncation: this model does not support it; leave it out")
            validate_truncation(as_seeds([0] * len(self.truncations)), list(self.truncations))
        if self.offsets is not None and np.shape(self.offsets)[1:] != (model.config.latent_dim,):
            raise UserError(f"offsets have shape {list(np.shape(self.offsets))}; this model takes [n, {model.config.latent_dim}]")
        if self.num_keyframes < 2:
            raise UserError("a walk needs at least two keyframes; give several seeds, classes, truncations or offsets")
        if not 1 <= self.frames <= MAX_FRAMES or self.num_frames > MAX_FRAMES:
            raise UserError(f"a film of {self.num_frames:,} frames; it must have 1 to {MAX_FRAMES:,}, and at least 1 for each keyframe")

    def images(self, model: Game) -> Iterator[np.ndarray]:
        """Yields the frames one by one, float32 [h, w, c] in [0, 1].

        The first and the last frame are the samples of their keyframes, as `Game.sample` gives them.

        Raises:
            UserError: See `validate`; also if the generator cannot interpolate between classes.
        """
        self.validate(model)
        sampler, distribution = Sampler(model, self.mixes_labels), LatentDistribution.measure(model)
        for first in range(0, self.num_frames, sampler.batch_size):
            numbers = np.arange(first, min(first + sampler.batch_size, self.num_frames))
            latent, conditions = self._place(model, distribution, numbers)
            for batch in sampler(latent, **conditions):
                yield from batch

    def _place(self, model: Game, distribution: LatentDistribution, numbers: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Latent vectors and labels (or their mixtures) of frames.

        Args:
            model: The model.
            distribution: Of its latent vectors.
            numbers: Numbers of the frames.
        """
        start, progress = numbers // self.frames, (numbers % self.frames / self.frames).astype(np.float32)
        end = (start + 1) % self.num_keyframes
        seeds = self._cycle(np.asarray(self.seeds, np.int64))
        truncation = None
        if self.truncations is not None:
            levels = self._cycle(np.asarray(self.truncations, np.float32))
            truncation = (1 - progress) * levels[start] + progress * levels[end]
        first, last = (model.latents(seeds[rows], truncation).numpy() for rows in (start, end))
        latent = interpolate(distribution, first, last, progress)
        if self.offsets is not None:
            offsets = self._cycle(np.asarray(self.offsets, np.float32))
            moved = latent + (1 - progress[:, None]) * offsets[start] + progress[:, None] * offsets[end]
            latent = distribution.clip(moved, latent).astype(np.float32)
        if self.labels is None:
            return latent, {}
        labels = self._cycle(np.asarray(self.labels, np.int64))
        if not self.mixes_labels:
            return latent, {"label": labels[start]}
        one_hot = np.eye(model.config.num_classes, dtype=np.float32)
        weights = (1 - progress[:, None]) * one_hot[labels[start]] + progress[:, None] * one_hot[labels[end]]
        return latent, {"label": weights}
