"""Devices by name, and threads for a while."""

import pytest
import torch

from flowllm.errors import InputError
from flowllm.training.device import resolve_device, used_threads


def test_a_missing_device_is_refused():
    with pytest.raises(InputError, match="auto, cpu"):
        resolve_device("quantum")
    assert resolve_device("auto").type in ("cpu", "cuda", "mps")


def test_threads_are_as_before_afterwards():
    before = torch.get_num_threads()
    with pytest.raises(KeyError), used_threads(before + 1):
        assert torch.get_num_threads() == before + 1
        raise KeyError
    assert torch.get_num_threads() == before
    with used_threads(0):
        assert torch.get_num_threads() == before
