"""Sizes and numbers of channels of the feature maps, from the lowest resolution to that of the image."""

from __future__ import annotations

from collections.abc import Sequence

Size = tuple[int, ...]  # height, width

SMALLEST_SIDE = 4  # minimum side of the feature maps


def resolutions(image_shape: Sequence[int]) -> list[Size]:
    """Sizes (height, width) of the feature maps, from the smallest to the image's own.

    The image is halved, rounding up, until its shorter side is 4 to 6 pixels: 32x32 gives 4, 8, 16, 32 and 28x28 gives 4, 7, 14, 28.
    Starting from 7, which 28x28 halved twice would give, produces much worse digits.

    Args:
        image_shape: Height, width and possibly channels.
    """
    times = 0
    while min(halved_resolutions(image_shape, times)[0]) >= 2 * SMALLEST_SIDE - 1:
        times += 1
    return halved_resolutions(image_shape, times)


def halved_resolutions(image_shape: Sequence[int], times: int) -> list[Size]:
    """Sizes (height, width) from the smallest to the image's own, which is halved `times` times, rounding up.

    28x28 halved once gives [(14, 14), (28, 28)].
    """
    return [tuple(-(-side // 2**i) for side in image_shape[:2]) for i in reversed(range(times + 1))]


def channel_widths(width: int, count: int) -> list[int]:
    """Numbers of channels of `count` layers, from the smallest feature maps up.

    The last layer has `width` channels, each layer before it twice as many as the next, up to 8 times `width`.
    """
    return [width * min(2**i, 8) for i in reversed(range(count))]


def last_widths(widths: Sequence[int], count: int) -> list[int]:
    """The last `count` of `widths`; if there are fewer, the first one is repeated."""
    return [*[widths[0]] * (count - len(widths)), *widths[max(len(widths) - count, 0) :]]
