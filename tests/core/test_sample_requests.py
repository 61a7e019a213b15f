"""What a user asks of `Game.sample` in Python is checked."""

import pytest
from conftest import tiny_model

from zoo.errors import UserError


def test_labels_are_one_per_seed():
    acgan = tiny_model("acgan")
    with pytest.raises(UserError, match="label is missing"):
        acgan.sample([1])
    with pytest.raises(UserError, match=r"1 seeds and label of shape \[2\]"):
        acgan.sample([1], label=[0, 1])
    with pytest.raises(UserError, match="label: not an input of this model"):
        tiny_model("dcgan").sample([1], label=[3])


@pytest.mark.parametrize("limit", [0, -1.0, [0.5, float("nan")]])
def test_truncation_is_above_0(limit):
    with pytest.raises(UserError, match="truncation must be more than 0"):
        tiny_model("biggan").sample([1, 2], label=[0, 1], truncation=limit)
