"""Latent space: walks and films, directions, and projection of images. A model is passed as a value, and nothing is trained."""

from zoo.latent.directions import METHODS, Directions, find_directions, move
from zoo.latent.distribution import LatentDistribution
from zoo.latent.films import check_film, enlarge, read_grids, training_grids, write_film
from zoo.latent.networks import Sampler, require_generator, require_images
from zoo.latent.projection import Projection, ProjectionSettings, project
from zoo.latent.sheets import draw_directions
from zoo.latent.walks import Walk, interpolate, slerp

__all__ = [
    "METHODS",
    "Directions",
    "LatentDistribution",
    "Projection",
    "ProjectionSettings",
    "Sampler",
    "Walk",
    "check_film",
    "draw_directions",
    "enlarge",
    "find_directions",
    "interpolate",
    "move",
    "project",
    "read_grids",
    "require_generator",
    "require_images",
    "slerp",
    "training_grids",
    "write_film",
]
