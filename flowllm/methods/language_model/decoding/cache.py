"""A key-value cache whose memory is laid out once, so that a step writes only its own token."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers import DynamicCache, PretrainedConfig
from transformers.cache_utils import DynamicLayer


class RoomyLayer(DynamicLayer):
    """One layer's keys and values (B, heads, T, size), as views into buffers of the final length.

    transformers' own dynamic layer copies everything at each new token.

    Args:
        capacity: the most tokens of a text, prompt included.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__()
        self.capacity = capacity
        self._buffers: tuple[Tensor, Tensor] | None = None

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Write the new tokens behind the others and return all of them."""
        if self._buffers is None:
            self.lazy_initialization(key_states, value_states)
            self._lay_out(key_states, value_states)
        return self._write(key_states, value_states, self.get_seq_length())

    def _lay_out(self, keys: Tensor, values: Tensor) -> None:
        """Buffers for as many rows as these have."""
        self._buffers = self._room_like(keys), self._room_like(values)

    def _room_like(self, states: Tensor) -> Tensor:
        batch, heads, _, size = states.shape
        return states.new_empty(batch, heads, self.capacity, size)

    def _write(self, new_keys: Tensor, new_values: Tensor, start: int) -> tuple[Tensor, Tensor]:
        """Write tokens from a place on, and return all up to their end."""
        assert self._buffers is not None
        keys, values = self._buffers
        end = start + new_keys.shape[-2]
        keys[:, :, start:end] = new_keys
        values[:, :, start:end] = new_values
        self.keys, self.values = keys[:, :, :end], values[:, :, :end]
        return self.keys, self.values

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep some rows (at least one, in rising order) and move them to the buffers' front.

        More indices than rows, in any order, make copies: new buffers are laid out for them.
        """
        if self._buffers is None:
            return
        length, count = self.get_seq_length(), len(indices)
        if count > len(self._buffers[0]):
            copies = self.keys[indices], self.values[indices]
            self._lay_out(*copies)
            self._write(*copies, 0)
            return
        keys, values = (buffer[:count] for buffer in self._buffers)
        if indices[-1] != count - 1:  # else the rows are the first ones and stay where they are
            keys[:, :, :length] = self.keys[indices]
            values[:, :, :length] = self.values[indices]
        self._buffers = keys, values
        self.keys, self.values = keys[:, :, :length], values[:, :, :length]


def cache_for(config: PretrainedConfig, capacity: int) -> DynamicCache:
    """An empty cache for a model; layers with a sliding window and the like stay transformers' own.

    Args:
        config: the model's.
        capacity: the most tokens of a text, prompt included.
    """
    cache = DynamicCache(config=config)
    cache.layers = [
        RoomyLayer(capacity) if type(layer) is DynamicLayer else layer for layer in cache.layers
    ]
    return cache
