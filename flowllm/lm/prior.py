"""The language model as a prior: prompts in, crystals out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from flowllm.crystal import CrystalBatch
from flowllm.errors import InputError, first_line
from flowllm.lm.decode import decode
from flowllm.lm.settings import SamplingSettings
from flowllm.text.composition_rule import CompositionRule
from flowllm.text.constraints import CrystalState
from flowllm.text.formula import multiples_of
from flowllm.text.outline import OUTLINE_STATES, DecodingState
from flowllm.text.prompts import (
    OUTLINE,
    REQUEST,
    Conditions,
    add_sentence,
    parse_prompt,
    without_frame,
)
from flowllm.text.strings import TextError, parse_text
from flowllm.text.token_table import TokenTable
from flowllm.text.tokenizer import load_tokenizer, warn_about_foreign_text

# sampling, noise and the outline's sentences draw from different streams of a crystal's seed
NOISE_STREAM, OUTLINE_STREAM = 1, 2
OUTLINE_TRIES = 10  # draws of a composition, the last one held to the number of atoms


class LanguageModelPrior:
    """A causal language model that writes crystals (the prior of FlowLLM, p_LLM).

    Args:
        model: a causal language model.
        tokenizer: its tokenizer.
        constrained: keep the texts crystals and of the composition that the prompt asks for; needs
            the compact tokenizer.
    """

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, constrained: bool = True
    ) -> None:
        if constrained:
            TokenTable(tokenizer)  # raises where the tokenizer is another
        self.model, self.tokenizer, self.constrained = model, tokenizer, constrained

    @classmethod
    def from_pretrained(cls, folder: str | Path, device: str = "cpu") -> LanguageModelPrior:
        """Load a compact model from a folder, in float32 whatever it was stored in.

        Raises:
            InputError: the folder holds no such model, or a damaged one.
        """
        for name in ("config.json", "model.safetensors"):
            if not (Path(folder) / name).is_file():
                raise InputError(f"{folder} is no language model: it holds no {name}")
        tokenizer = load_tokenizer(folder)
        try:
            model, report = AutoModelForCausalLM.from_pretrained(
                str(folder), dtype=torch.float32, local_files_only=True, use_safetensors=True,
                trust_remote_code=False, output_loading_info=True,
            )  # fmt: skip
        except Exception as error:  # safetensors and transformers raise errors of many kinds
            raise InputError(f"{folder} cannot be loaded: {first_line(error)}") from error
        if model.config.vocab_size != len(tokenizer):
            raise InputError(
                f"{folder}: the model has {model.config.vocab_size} tokens, its tokenizer "
                f"{len(tokenizer)}"
            )
        lacking = sorted(map(str, report["missing_keys"]))
        if lacking:  # transformers would go on with random numbers in their place
            raise InputError(
                f"{Path(folder) / 'model.safetensors'} lacks {len(lacking)} weights of the model "
                f"({lacking[0]}, …)"
            )
        for weight, tensor in model.state_dict().items():
            if not torch.isfinite(tensor).all():
                raise InputError(f"{folder}: {weight} holds a value that is not finite")
        try:
            return cls(model.to(device).eval(), tokenizer)
        except InputError as error:
            raise InputError(f"{folder}: {error}") from error

    def save_pretrained(self, folder: str | Path, half: bool = False) -> None:
        """Save model and tokenizer; in float16 where `half`."""
        stored = self.model
        if half:
            state = {k: v.half() for k, v in self.model.state_dict().items()}
            stored.save_pretrained(folder, state_dict=state)
        else:
            stored.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)

    def sample(
        self,
        prompts: Sequence[str],
        settings: SamplingSettings,
        seeds: Sequence[int],
        progress: Callable[[int], None] | None = None,
    ) -> CrystalBatch:
        """Crystals for P prompts; one that is rejected is missing.

        Returns:
            At most P crystals; an id is the position of its prompt.
        """
        states: list[DecodingState] | None = None
        if self.constrained:
            prompts = self.complete(prompts, settings, seeds)
            table = TokenTable(self.tokenizer)
            states = [CrystalState(table, self.rule_for(p), settings.overlap) for p in prompts]
        texts = decode(self.model, self.tokenizer, prompts, settings, seeds, states, progress)
        crystals = []
        for index, text in enumerate(texts):
            if text is None:
                continue
            try:
                crystal = parse_text(text, str(index))
            except TextError:
                continue  # rejected, as in section 3.1 of the paper; the caller sees it missing
            crystals.append(perturb(crystal, settings.noise, seeds[index]))
        return CrystalBatch.concatenate(crystals)

    def complete(
        self,
        prompts: Sequence[str],
        settings: SamplingSettings,
        seeds: Sequence[int],
        names: Sequence[str] = OUTLINE,
    ) -> list[str]:
        """The prompts with the sentences that the model adds: composition, then space group.

        `names` may leave out the latter.

        A prompt that asks for a space group and leaves the composition open stays as it is, since
        a composition that is drawn first would not heed the space group.

        A composition is drawn again if it has not the number of atoms asked for, and is held to it
        only in the last try: held to it at once, a composition that went astray would be filled up
        with whatever elements come last in the order.
        """
        completed, table = list(prompts), TokenTable(self.tokenizer)
        for stream, name in enumerate(OUTLINE, start=OUTLINE_STREAM):
            if name not in names:
                continue
            waiting = [i for i, prompt in enumerate(completed) if _leaves_open(prompt, name)]
            for attempt in range(OUTLINE_TRIES):
                rules = [self.rule_for(completed[i]) for i in waiting]
                held = attempt + 1 == OUTLINE_TRIES
                states: list[DecodingState] = [
                    OUTLINE_STATES[name](table, rule if held else rule.any_size()) for rule in rules
                ]
                values = decode(
                    self.model,
                    self.tokenizer,
                    [add_sentence(completed[i], name) for i in waiting],
                    settings,
                    [[seeds[i], stream, attempt] for i in waiting],
                    states,
                )
                for index, rule, value in zip(waiting, rules, values, strict=True):
                    if value is None:
                        continue
                    grown = add_sentence(completed[index], name, value.strip())
                    if rule.allows(parse_prompt(grown).composition or {}):
                        completed[index] = grown
                waiting = [i for i in waiting if _leaves_open(completed[i], name)]
                if not waiting:
                    break
        return completed

    def rule_for(self, prompt: str) -> CompositionRule:
        """What the standard sentences of a prompt say about the composition.

        Raises:
            InputError: they contradict each other or cannot be met; the prompt is named.
        """
        warn_about_foreign_text(prompt)
        try:
            asked = parse_prompt(prompt)
            return CompositionRule(_compositions(asked), asked.elements, asked.num_atoms)
        except InputError as error:
            raise InputError(f"prompt {without_frame(prompt)!r}: {error}") from error


def _leaves_open(prompt: str, name: str) -> bool:
    """Whether the model may add a sentence to a prompt."""
    asked = parse_prompt(prompt)
    if name == "composition" and asked.space_group is not None:
        return False
    return prompt.endswith(REQUEST) and getattr(asked, name) is None


def _compositions(asked: Conditions) -> tuple[dict[str, int], ...] | None:
    """The cell compositions that meet both a composition and a formula, where these are given."""
    if asked.formula is None:
        return None if asked.composition is None else (asked.composition,)
    multiples = multiples_of(asked.formula)
    if asked.composition is None:
        return multiples
    return tuple(c for c in multiples if c == asked.composition)


def perturb(crystal: CrystalBatch, noise: float, seed: int) -> CrystalBatch:
    """One crystal with Gaussian noise of standard deviation `noise` on its continuous values.

    The noise is in each value's own unit: fractional coordinates, Å and degrees. A cell that would
    no longer span a volume keeps its angles.
    """
    if noise == 0:
        return crystal
    generator = np.random.default_rng([seed, NOISE_STREAM])
    moved = crystal.replace(
        frac_coords=crystal.frac_coords
        + noise * generator.standard_normal(crystal.frac_coords.shape),
        lengths=np.abs(crystal.lengths + noise * generator.standard_normal((1, 3))),
        angles=crystal.angles + noise * generator.standard_normal((1, 3)),
    )
    return moved if moved.volumes[0] > 0 else moved.replace(angles=crystal.angles)
