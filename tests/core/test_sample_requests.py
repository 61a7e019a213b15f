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
