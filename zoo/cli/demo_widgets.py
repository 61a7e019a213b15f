"""What the tabs of the page of `zoo demo` share."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any, TypeVar, cast

import gradio as gr
import numpy as np

from zoo.cli.demo_noise import enlargement
from zoo.errors import UserError

Function = TypeVar("Function", bound=Callable[..., Any])


def build_upload(**options: Any) -> gr.Image:
    """An upload whose callbacks get the path of the file as it is, to read it as the commands do; None if there is none.

    Gradio would convert the file before, and show its temporary path if it is no image. A subclass would write a file next to its module.
    """
    image = gr.Image(type="filepath", sources=["upload", "clipboard"], buttons=["fullscreen"], **options)
    image.preprocess = lambda payload: payload.path if payload else None  # type: ignore[method-assign]
    return image


def build_result(label: str, height: int, element: str) -> gr.Image:
    """An image that callbacks write: as PNG, in the channels that it has."""
    return gr.Image(label=label, format="png", image_mode=None, interactive=False, buttons=["fullscreen"], height=height, elem_id=element)


def explain_errors(function: Function) -> Function:
    """A callback whose UserError is shown as a message on the page, and not as a traceback."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except UserError as error:
            raise gr.Error(str(error), print_exception=False) from None

    return cast(Function, call)


def as_shown(picture: np.ndarray) -> np.ndarray:
    """A picture [h, w, channels] as an image component shows it: enlarged by a whole factor, grayscale without its channel."""
    from zoo.latent import enlarge

    enlarged = enlarge(picture, enlargement(picture))
    return enlarged.squeeze(-1) if enlarged.shape[-1] == 1 else enlarged


def as_integer(name: str, value: Any) -> int:
    """The integer of a number field; raises UserError for an empty field and for fractions."""
    if value is None or value != int(value):
        raise UserError(f"{name}: give an integer")
    return int(value)


def element_id(*parts: str) -> str:
    """An identifier of an element of the page, for style sheets and tests."""
    return "-".join(re.sub(r"[\W_]+", "-", part).strip("-").lower() for part in parts)
