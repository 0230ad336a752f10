"""Shared by the commands: option types, the parts of the chosen model, the table of stages."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

from flowllm.commands.flatten import Classes
from flowllm.conditions.remarks import shown
from flowllm.errors import InputError

if TYPE_CHECKING:
    from flowllm.systems.generation import Stage
    from flowllm.systems.system import FlowLLM

Device = Literal["auto", "cpu", "cuda", "mps"]
Files = tyro.conf.Positional[list[Path]]
Source = tyro.conf.Positional[str]
Input = tyro.conf.Positional[Path]
SHIPPED_MODEL = "mp20-symmetric"  # `flowllm.systems.record.DEFAULT_MODEL`, which is not light
PAPERS_MODEL = "mp20-compact"  # whose flow has options that the default model's lacks


def given_options(words: Sequence[str]) -> dict[str, str]:
    """The options of a command line by parameter name, with the word after each."""
    given = {}
    for word, following in zip_longest(words, words[1:], fillvalue=""):
        name, equals, value = word.removeprefix("--").partition("=")
        if word.startswith("--"):
            given[name.replace("-", "_")] = value if equals else following
    return given


def check_repeated(words: Sequence[str]) -> None:
    """Refuse an option that is given twice: only the last would silently count.

    Args:
        words: those behind "flowllm".

    Raises:
        InputError: names the option and its values.
    """
    found: dict[str, list[str]] = {}
    for word, following in zip_longest(words, words[1:], fillvalue=""):
        if word == "--":
            break
        if word.startswith("--"):
            name, equals, value = word.partition("=")
            value = value if equals else "" if following.startswith("--") else following
            found.setdefault(name.replace("_", "-"), []).append(value)
    for name, values in found.items():
        if len(values) > 1:
            given = " and ".join(shown(value) for value in values if value)
            times = "twice" if len(values) == 2 else f"{len(values)} times"
            line = f"{name} is given {times}" + (f": {given}" if given else "")
            more = "; put several formulas into a file for --prompt-file, one per line"
            raise InputError(line + (more if name == "--formula" else "; give it once"))


def check_empty(words: Sequence[str]) -> None:
    """Refuse an empty argument, which is what the shell makes of an unset variable.

    As a path it would be the folder one is in, and as a choice everything.

    Args:
        words: those behind "flowllm".

    Raises:
        InputError: names the option before it.
    """
    for before, word in zip(("", *words), words, strict=False):
        name, equals, value = word.partition("=")
        if equals and name.startswith("--") and not value.strip():
            raise InputError(f"{name} is given without a value")
        if not word.strip():
            where = f" after {before}" if before else ""
            raise InputError(f"an empty argument{where}; is a shell variable unset?")


def parts_of_model(given: Mapping[str, str], words: Sequence[str]) -> Classes:
    """Settings of the parts of the model that `--model` names.

    Raises:
        InputError: there is no such model, or an option is one of another model that ships, and
            none is named.
    """
    classes = _settings_of(given.get("model", SHIPPED_MODEL))
    if "model" not in given:
        own = _names(classes)
        for name in given.keys() & _names(_settings_of(PAPERS_MODEL)) - own:
            option = f"--{name.replace('_', '-')}"
            raise InputError(f"{option} needs --model {PAPERS_MODEL}; {SHIPPED_MODEL} has none")
    return classes


def _names(classes: Classes) -> set[str]:
    """The fields of settings classes."""
    return {one.name for part in classes.values() if part is not None for one in fields(part)}


def _settings_of(model: str) -> Classes:
    """Settings of the parts of a model.

    Raises:
        InputError: there is no such model.
    """
    from flowllm.systems.record import SystemRecord, find_model
    from flowllm.systems.registry import prior_kind, refiner_kind, settings_class

    parts = SystemRecord.read(find_model(model)).parts
    refiner = parts.get("refiner")
    return {
        "prior": settings_class(prior_kind(parts["prior"].kind)),
        "refiner": None if refiner is None else settings_class(refiner_kind(refiner.kind)),
    }


def parts_of_prior(given: Mapping[str, str], words: Sequence[str]) -> Classes:
    """Settings of the kind of prior that `--prior` names.

    Raises:
        InputError: there is no such kind.
    """
    from flowllm.systems.registry import prior_kind, settings_class

    kind = given.get("prior", "language-model")
    return {"prior": settings_class(prior_kind(kind))}


def parts_of_system(given: Mapping[str, str], words: Sequence[str]) -> Classes:
    """Training settings for the parts of the named system; by default FlowLLM's.

    Raises:
        InputError: a kind of the system is not registered.
    """
    from flowllm.systems.recipes import SYSTEMS
    from flowllm.systems.registry import prior_kind, settings_class, training_settings

    chosen = SYSTEMS[next((word for word in words if word in SYSTEMS), "flowllm")]
    return {
        "prior": settings_class(prior_kind(chosen.prior)),
        "pairs": training_settings(chosen, "pairs"),
        "prior training": training_settings(chosen, "prior"),
        "refiner training": training_settings(chosen, "refiner"),
    }


def writes_freely(model: str) -> bool:
    """Whether a model's prior is a fine-tuned pretrained one, which takes free-form prompts.

    Raises:
        InputError: there is no such model.
    """
    from flowllm.methods.language_model.decoding.encoding import is_large
    from flowllm.systems.record import SystemRecord, find_model

    folder = find_model(model)
    record = SystemRecord.read(folder)
    return record.parts["prior"].kind == "language-model" and is_large(
        record.place("prior", folder)
    )


def load_system(model: str, device: str) -> FlowLLM:
    """Load a model from a folder or by its name, with a status line."""
    from flowllm.runs.progress import waiting

    with waiting("loading the model"):
        from flowllm.systems.system import FlowLLM

        return FlowLLM.from_pretrained(model, device)


def print_remarks(notes: Iterable[str], summary: str) -> None:
    """Print the notes and the summary of remarks on crystals that were read."""
    from flowllm.runs.terminal import say

    for line in (*notes, summary):
        if line:
            say(line, sys.stderr)


def print_stages(stages: Sequence[Stage], out: Path) -> None:
    """Print what each stage did and where the report is."""
    from rich.console import Console
    from rich.table import Table

    from flowllm.runs.terminal import cell, say

    shown = Table("stage", "crystals", "rejected", "seconds")
    for stage in stages:
        shown.add_row(
            cell(stage.name), str(stage.crystals), str(stage.rejected), f"{stage.seconds:.1f}"
        )
    Console().print(shown)
    say(f"open {out / 'report.html'}")
