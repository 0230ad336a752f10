"""The help of a command on one screen: an option's text is a whole clause, never a cut one."""

from __future__ import annotations

import inspect
import re

import pytest

from flowllm.commands import COMMANDS
from flowllm.commands.flatten import described
from flowllm.commands.help import clauses, page, value_of
from flowllm.systems.recipes import SYSTEMS
from flowllm.systems.record import shipped_models
from flowllm.systems.registry import PRIORS


def variants():
    """Calls whose options differ: every command, system, preset, kind of prior and model."""
    yield from ([name] for name in COMMANDS)
    for system in SYSTEMS:
        yield from (["train", system], ["train", system, "--preset", "paper"])
    own = [name for name, kind in PRIORS.items() if str(kind.part).startswith("flowllm.")]
    yield from (["pair", "--prior", name] for name in own)  # without those of other tests
    yield from ([name, "--preset", "paper"] for name in ("train-lm", "pair", "train-flow"))
    for model in shipped_models():
        names = ("generate", "refine", "adherence", "infill")
        yield from ([name, "--model", model] for name in names)


@pytest.mark.parametrize("words", list(variants()), ids=" ".join)
def test_the_help_of_an_option_is_a_whole_clause_on_one_line(words, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    command = COMMANDS[words[0]].flat(words[1:])
    texts = described(command.__doc__)
    lines = page(words, command).splitlines()
    options = lines[: next(i for i, line in enumerate(lines) if line.startswith("Everything"))]
    assert max(map(len, options)) <= 80 and not any("…" in line for line in options)
    for parameter in inspect.signature(command).parameters.values():
        option = "for" if parameter.name == "use" else parameter.name.replace("_", "-")
        switch = "no-" if parameter.default is True else ""
        head = f"  --{switch}{option} {value_of(parameter)}".rstrip()
        starts = [i for i, line in enumerate(lines) if f"{line}  ".startswith(f"{head}  ")]
        for start in starts:  # an option whose group is only named has none
            rest = lines[start][len(head) :]
            shown, after = (rest, start + 1) if rest else (lines[start + 1], start + 2)
            shown = re.sub(r" \((default: [^)]*|required)\)$", "", shown.strip())
            meant = ("do not " if switch else "") + texts[parameter.name].rstrip(".")
            assert meant == shown or meant.startswith((f"{shown};", f"{shown}:", f"{shown}. "))
            assert not lines[after].startswith(" " * 3), option


def test_help_shows_the_clauses_that_fit_and_wraps_a_first_one_that_does_not():
    text = "logits are divided by it; above 0: lower is likelier. Not always"
    assert clauses(text, 100) == text
    assert clauses(text, 60) == "logits are divided by it; above 0: lower is likelier"
    assert clauses(text, 40) == "logits are divided by it; above 0"
    assert clauses(text, 5) == "logits are divided by it"
    assert clauses("mp_20, or 1.5 of it", 5) == "mp_20, or 1.5 of it"
    assert clauses("", 5) == ""  # an option of another package without a text

    def command(*, depth: int = 3) -> None:
        """Do.

        Args:
            depth: %s; more.
        """

    command.__doc__ = command.__doc__ % " ".join(["word"] * 30)
    shown = page(["hull"], command)
    assert shown.count("word") == 30 and "(default: 3)" in shown and "more" not in shown
