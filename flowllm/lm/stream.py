"""Crystals written token by token, for those who want to watch a language model at work.

The same draws as `LanguageModelPrior.sample`: of one seed, prompt and setting both write the same
text. Here every token comes out with its probability and those of the tokens that could have stood
in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from flowllm.crystal import CrystalBatch
from flowllm.errors import InputError
from flowllm.lm.cache import cache_for
from flowllm.lm.decode import Seed, _choices, _left_padded, nucleus, pick
from flowllm.lm.prior import (
    OUTLINE_STREAM,
    OUTLINE_TRIES,
    LanguageModelPrior,
    _leaves_open,
    perturb,
)
from flowllm.lm.settings import SamplingSettings
from flowllm.text.constraints import CrystalState
from flowllm.text.outline import OUTLINE_STATES, DecodingState
from flowllm.text.prompts import OUTLINE, add_sentence, parse_prompt
from flowllm.text.strings import TextError, parse_text
from flowllm.text.token_table import TokenTable

CRYSTAL = "crystal"  # the part of the writing that follows the sentences of the outline


@dataclass(frozen=True)
class Alternative:
    """A token that could stand here.

    Attributes:
        text: as it would be written, with the separator before it.
        probability: with which it is drawn, after constraints, temperature and nucleus; 0 if it
            lies outside the nucleus.
        raw: the model's own probability, among all its tokens and at temperature 1.
    """

    text: str
    probability: float
    raw: float


@dataclass(frozen=True)
class Token:
    """One token, just drawn.

    Attributes:
        index: of the crystal in its run.
        attempt: the try at this crystal, from 0.
        part: "composition" or "space_group", whose sentence it belongs to, or "crystal".
        draw: the try at this part, from 0: a composition of the wrong size is drawn again.
        text: as written, with the separator before it.
        probability: with which it was drawn, as in `Alternative`.
        raw: the model's own probability.
        alternatives: the likeliest tokens that the constraints allow, itself perhaps among them.
        end: whether it ends its part.
    """

    index: int
    attempt: int
    part: str
    draw: int
    text: str
    probability: float
    raw: float
    alternatives: tuple[Alternative, ...]
    end: bool = False


@dataclass(frozen=True)
class Sentence:
    """A sentence that the model wrote into the prompt: its condition, its value, the prompt now."""

    index: int
    name: str
    value: str
    prompt: str


@dataclass(frozen=True)
class Rejected:
    """A try that came to nothing: the part that failed, and why."""

    index: int
    attempt: int
    part: str
    reason: str


@dataclass(frozen=True)
class Drawn:
    """A crystal as the model wrote it, with noise if that was set: a batch of one, and its text."""

    index: int
    attempt: int
    text: str
    crystal: CrystalBatch


LMEvent = Token | Sentence | Rejected | Drawn


@dataclass(frozen=True)
class Watch:
    """What is told of the writing, and how it is stopped.

    Attributes:
        alternatives: tokens told at each place; with 0 no token is told at all.
        check: called before each token; what it raises ends the writing.
    """

    alternatives: int = 8
    check: Callable[[], None] = lambda: None


def stream_sample(
    prior: LanguageModelPrior,
    prompts: Sequence[str],
    settings: SamplingSettings,
    seeds: Sequence[int],
    indices: Sequence[int] | None = None,
    attempt: int = 0,
    watch: Watch | None = None,
) -> Generator[LMEvent, None, None]:
    """What `LanguageModelPrior.sample` does for P prompts, told as it happens.

    A crystal comes out at the token that ends it, or is rejected there.

    Args:
        prior: the language model.
        prompts: P prompts.
        settings: how to draw.
        seeds: P seeds.
        indices: P names for the events; by default the positions of the prompts.
        attempt: named in the events.
        watch: what to tell.
    """
    watch = watch or Watch()
    names = list(range(len(prompts))) if indices is None else list(indices)
    states: list[DecodingState] | None = None
    if prior.constrained:
        prompts = yield from _complete(prior, prompts, settings, seeds, names, attempt, watch)
        table = TokenTable(prior.tokenizer)
        states = [CrystalState(table, prior.rule_for(p), settings.overlap) for p in prompts]
    for event in _written(
        prior.model, prior.tokenizer, prompts, settings, seeds, states, CRYSTAL, watch
    ):
        if isinstance(event, Token):
            yield replace(event, index=names[event.index], attempt=attempt)
            continue
        place, text = event
        index = names[place]
        if text is None:
            reason = f"no end within {settings.max_new_tokens} tokens"
            yield Rejected(index, attempt, CRYSTAL, reason)
            continue
        try:
            crystal = parse_text(text, str(index))
        except TextError as error:
            yield Rejected(index, attempt, CRYSTAL, str(error))
        else:
            yield Drawn(index, attempt, text, perturb(crystal, settings.noise, seeds[place]))


def _complete(
    prior: LanguageModelPrior,
    prompts: Sequence[str],
    settings: SamplingSettings,
    seeds: Sequence[int],
    names: list[int],
    attempt: int,
    watch: Watch,
) -> Generator[LMEvent, None, list[str]]:
    """What `LanguageModelPrior.complete` does; returns the prompts with their outline."""
    completed, table = list(prompts), TokenTable(prior.tokenizer)
    for stream, name in enumerate(OUTLINE, start=OUTLINE_STREAM):
        waiting = [i for i, prompt in enumerate(completed) if _leaves_open(prompt, name)]
        for draw in range(OUTLINE_TRIES):
            if not waiting:
                break
            rules = [prior.rule_for(completed[i]) for i in waiting]
            held = draw + 1 == OUTLINE_TRIES
            states = [OUTLINE_STATES[name](table, r if held else r.any_size()) for r in rules]
            stems = [add_sentence(completed[i], name) for i in waiting]
            streams: list[Seed] = [[seeds[i], stream, draw] for i in waiting]
            for event in _written(
                prior.model, prior.tokenizer, stems, settings, streams, states, name, watch
            ):
                if isinstance(event, Token):
                    index = names[waiting[event.index]]
                    yield replace(event, index=index, attempt=attempt, draw=draw)
                    continue
                place, value = event
                row, rule = waiting[place], rules[place]
                if value is None:
                    yield Rejected(names[row], attempt, name, "no end in time")
                    continue
                grown = add_sentence(completed[row], name, value.strip())
                composition = parse_prompt(grown).composition or {}
                if rule.allows(composition):
                    completed[row] = grown
                    yield Sentence(names[row], name, value.strip(), grown)
                else:
                    count = f"{sum(composition.values())} atoms instead of {rule.num_atoms}"
                    yield Rejected(names[row], attempt, name, f"{value.strip()} has {count}")
            waiting = [i for i in waiting if _leaves_open(completed[i], name)]
    return completed


@torch.inference_mode()
def _written(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    settings: SamplingSettings,
    seeds: Sequence[Seed],
    states: list[DecodingState] | None,
    part: str,
    watch: Watch,
) -> Generator[Token | tuple[int, str | None], None, None]:
    """The tokens of each text, by its position; then (position, text), None where no end came."""
    model.eval()
    encoded = tokenizer(list(prompts), add_special_tokens=True)["input_ids"] if prompts else []
    for prompt, ids in zip(prompts, encoded, strict=True):
        if not ids:
            raise InputError(f"the prompt {prompt!r} is empty")
    sizes = [state.longest for state in states] if states else [0] * len(prompts)
    # the order and the batches of `decode`, so that even the rounding is the same
    order = sorted(range(len(prompts)), key=lambda i: (-sizes[i], len(encoded[i])))
    for start in range(0, len(order), settings.batch_size):
        chosen = order[start : start + settings.batch_size]
        for event in _batch_written(
            model, tokenizer, [encoded[i] for i in chosen], settings, [seeds[i] for i in chosen],
            [states[i] for i in chosen] if states else None, part, watch,
        ):  # fmt: skip
            if isinstance(event, Token):
                yield replace(event, index=chosen[event.index])
            else:
                row, tokens = event
                ended = tokens is not None
                text = tokenizer.decode(tokens, skip_special_tokens=True) if ended else None
                yield chosen[row], text


def _batch_written(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[list[int]],
    settings: SamplingSettings,
    seeds: list[Seed],
    states: list[DecodingState] | None,
    part: str,
    watch: Watch,
) -> Generator[Token | tuple[int, list[int] | None], None, None]:
    device = model.device
    end = states[0].end if states else tokenizer.eos_token_id
    longest = settings.max_new_tokens
    if states is not None:
        longest = min(longest, max(state.longest for state in states))
    uniform = np.stack(
        [np.random.default_rng(seed).random(settings.max_new_tokens) for seed in seeds]
    )
    ids, mask = _left_padded(prompts, tokenizer.pad_token_id or 0, device)
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    cache = cache_for(model.config, ids.shape[1] + longest)
    watch.check()
    output = model(
        input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache,
        use_cache=True, logits_to_keep=1,
    )  # fmt: skip
    texts: list[list[int]] = [[] for _ in prompts]
    rows: np.ndarray = np.arange(len(prompts))  # which prompt each row of the batch writes
    position = positions[:, -1]
    for step in range(settings.max_new_tokens):
        draws = torch.as_tensor(uniform[rows, step], dtype=torch.float32, device=device)
        present = None if states is None else [states[row] for row in rows]
        logits = output.logits[:, -1].float()
        tokens, told = _draw(logits, present, settings, draws, tokenizer, watch.alternatives)
        going = []
        for place, token in enumerate(tokens.tolist()):
            row = int(rows[place])
            if states is not None:
                states[row].advance(token)
            if told:
                chosen, others = told[place]
                yield Token(
                    row, 0, part, 0, chosen.text, chosen.probability, chosen.raw, others,
                    token == end,
                )  # fmt: skip
            if token == end:
                yield row, texts[row]
            else:
                texts[row].append(token)
                going.append(place)
        if not going or step + 1 == settings.max_new_tokens:
            break
        watch.check()
        if len(going) < len(rows):
            index = torch.tensor(going, device=device)
            cache.batch_select_indices(index)
            rows, tokens, mask, position = rows[going], tokens[index], mask[index], position[index]
        position = position + 1
        mask = torch.cat([mask, mask.new_ones(len(rows), 1)], 1)
        output = model(
            input_ids=tokens[:, None], attention_mask=mask, position_ids=position[:, None],
            past_key_values=cache, use_cache=True,
        )  # fmt: skip
    for place in going:
        yield int(rows[place]), None


def _draw(
    logits: Tensor,
    states: list[DecodingState] | None,
    settings: SamplingSettings,
    uniform: Tensor,
    tokenizer: PreTrainedTokenizerBase,
    count: int,
) -> tuple[Tensor, list[tuple[Alternative, tuple[Alternative, ...]]]]:
    """The next token of each text (B,), and of each what was drawn and the likeliest others."""
    if states is None:
        choices = torch.arange(logits.shape[1], device=logits.device).expand_as(logits)
        scores, blank = logits, torch.zeros_like(logits, dtype=torch.bool)
    else:
        choices, blank = _choices(states, logits.device)
        scores = logits.gather(1, choices).masked_fill(blank, float("-inf"))
    probabilities, places = nucleus(scores, settings.temperature, settings.top_p)
    place = pick(probabilities, places, uniform)
    tokens = choices.gather(1, place[:, None])[:, 0]
    if not count:
        return tokens, []
    best = choices.gather(1, places[:, :count])
    allowed = (~blank).gather(1, places[:, :count])
    normal = torch.logsumexp(logits, -1, keepdim=True)
    raw = (logits.gather(1, torch.cat([tokens[:, None], best], 1)) - normal).exp()
    own = (probabilities * (places == place[:, None])).sum(-1)
    told = []
    for row, token in enumerate(tokens.tolist()):
        others = [
            Alternative(tokenizer.decode([t]), p, r)
            for t, p, r, there in zip(
                best[row].tolist(), probabilities[row, :count].tolist(), raw[row, 1:].tolist(),
                allowed[row].tolist(), strict=True,
            )
            if there
        ]  # fmt: skip
        drawn = Alternative(tokenizer.decode([token]), float(own[row]), float(raw[row, 0]))
        told.append((drawn, tuple(others)))
    return tokens, told
