"""A compact language model that stays on disk until a text is needed.

Reading it takes seconds, nearly all of them for the import of transformers. Whatever else is asked
of the prior, its digest included, takes the files alone; they are looked at when it is loaded.
"""

from __future__ import annotations

from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from flowllm.errors import InputError
from flowllm.methods.language_model.compact import load_compact
from flowllm.methods.language_model.decoding.encoding import is_large
from flowllm.methods.language_model.format_file import load_format
from flowllm.methods.language_model.prior import LanguageModelPrior
from flowllm.methods.language_model.sizes import check_config
from flowllm.runs.files import WEIGHTS, load_weights, read_record
from flowllm.runs.identity import digest, tensors_digest
from flowllm.text.formats.base import TextFormat
from flowllm.text.tokenizer import END, PAD
from flowllm.training.device import resolve_device

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

PLAIN: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_act": "silu",
    "attention_bias": False,
    "mlp_bias": False,
    "tie_word_embeddings": True,
}
"""What `config.json` says of every compact model."""
GENERATION = "generation_config.json"
EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"
LARGEST = 1e4
"""Of a weight; with larger ones the probabilities may not be finite, which a text would show."""


class StoredPrior(LanguageModelPrior):
    """A constrained prior whose model and tokenizer are loaded on first use.

    Args:
        model: where they are.
        text_format: the format in which it writes.
    """

    def __init__(self, model: StoredModel, text_format: TextFormat) -> None:
        self.stored, self.format, self.constrained = model, text_format, True

    def __getattr__(self, name: str) -> Any:
        """`model` and `tokenizer`, which are not attributes before their first use."""
        if name not in ("model", "tokenizer"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        self.model, self.tokenizer = self.stored.loaded
        return getattr(self, name)

    @property
    def in_memory(self) -> bool:
        """Whether the model has been loaded."""
        return "model" in vars(self)

    def digest(self) -> str:
        """As of the prior in memory, by its files."""
        stored = self.stored
        return digest(stored.weights_digest, stored.words, str(self.constrained), self._written())


class StoredModel:
    """A compact model on disk.

    Args:
        folder: where it is.
        device: where it goes.
        weights_digest: as `flowllm.runs.identity.weights_digest` gives it.
        words: all words of the tokenizer, one a line.
    """

    def __init__(self, folder: Path, device: str, weights_digest: str, words: str) -> None:
        self.folder, self.device = folder, device
        self.weights_digest, self.words = weights_digest, words

    @cached_property
    def loaded(self) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
        """Model and tokenizer.

        Raises:
            InputError: the files are no longer those that were looked at.
        """
        model, tokenizer = load_compact(self.folder)
        if tensors_digest(model.state_dict()) != self.weights_digest:
            raise InputError(f"{self.folder / WEIGHTS} has changed since it was first read")
        return model.to(self.device).eval(), tokenizer


def load_stored(folder: Path, device: str = "cpu") -> LanguageModelPrior:
    """A prior that loads model and tokenizer on its first text.

    What is not in every respect a compact model as this package writes it is read at once, so that
    damage is found here.

    Raises:
        InputError: as `LanguageModelPrior.load`.
    """
    if not is_large(folder):
        text_format = load_format(folder)
        model = _looked_at(folder, str(resolve_device(device)), text_format)
        if model is not None:
            return StoredPrior(model, text_format)
    return LanguageModelPrior.load(folder, device)


def _looked_at(folder: Path, device: str, text_format: TextFormat) -> StoredModel | None:
    """The model of a folder; None if only loading it can validate it."""
    try:
        check_config(folder, [folder / WEIGHTS])
        weights, config = load_weights(folder)
        words = _words(folder)
        if (folder / GENERATION).exists():
            read_record(folder / GENERATION)  # transformers reads it too
    except InputError:
        return None
    ordered = _in_order(weights, config)
    if ordered is None or any(config.get(name) != value for name, value in PLAIN.items()):
        return None
    if len(words) != config["vocab_size"] or not set(text_format.words()) <= set(words):
        return None
    sizes = [weight.abs().max() for weight in weights.values()]
    if not bool((torch.stack(sizes) < LARGEST).all()):  # nor is a value that is not a number
        return None
    return StoredModel(folder, device, tensors_digest(ordered), "\n".join(words))


def _in_order(
    weights: dict[str, torch.Tensor], config: dict[str, Any]
) -> dict[str, torch.Tensor] | None:
    """The weights in the order of the model's `state_dict`; None if they do not match it."""
    try:
        hidden, inner = config["hidden_size"], config["intermediate_size"]
        heads, wide = config["num_attention_heads"], config["head_dim"]
        layers, vocabulary = config["num_hidden_layers"], config["vocab_size"]
        if config["num_key_value_heads"] != heads:
            return None
    except KeyError:
        return None
    across = [heads * wide, hidden]
    layer = {f"self_attn.{name}_proj": across for name in "qkv"}
    layer |= {
        "self_attn.o_proj": across[::-1],
        "mlp.gate_proj": [inner, hidden],
        "mlp.up_proj": [inner, hidden],
        "mlp.down_proj": [hidden, inner],
        "input_layernorm": [hidden],
        "post_attention_layernorm": [hidden],
    }
    inside = (
        (f"model.layers.{k}.{name}.weight", shape)
        for k in range(layers)
        for name, shape in layer.items()
    )
    ends = [(EMBEDDING, [vocabulary, hidden])], [("model.norm.weight", [hidden])]
    ordered = {}
    for name, shape in chain(ends[0], inside, ends[1]):
        weight = weights.get(name)
        if weight is None or list(weight.shape) != shape or weight.dtype != torch.float32:
            return None
        ordered[name] = weight
    ordered[HEAD] = weights.get(HEAD, ordered[EMBEDDING])
    sound = set(weights) <= set(ordered) and torch.equal(ordered[HEAD], ordered[EMBEDDING])
    return ordered if sound else None


def _words(folder: Path) -> list[str]:
    """The words of the tokenizer by their numbers.

    Raises:
        InputError: its files are damaged, or not as they are written here.
    """
    from tokenizers import Tokenizer

    about = read_record(folder / "tokenizer_config.json")
    if (about.get("pad_token"), about.get("eos_token")) != (PAD, END):
        raise InputError(f"{folder} contains a different tokenizer")
    try:
        found = Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception as error:  # the parser raises bare exceptions
        raise InputError(f"{folder / 'tokenizer.json'} is damaged: {error}") from error
    vocabulary = found.get_vocab()
    words = sorted(vocabulary, key=vocabulary.__getitem__)
    if sorted(vocabulary.values()) != [*range(len(words))] or words[:2] != [PAD, END]:
        raise InputError(f"{folder} contains a different tokenizer")
    return words
