"""Help on one screen: options in groups, a line each, and examples; `--help-all` says everything.

What an option is called and means comes from the command's signature and docstring, as the parser
has it; a group is the part of the settings that an option belongs to. The line of an option shows
as many of its leading clauses as fit, so its text begins with a short clause that stands alone.
"""

from __future__ import annotations

import inspect
import re
import shlex
import shutil
import textwrap
import types
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from flowllm.commands.examples import EXAMPLES
from flowllm.commands.flatten import described

WORDS = {"-h", "--help", "--help-all"}
WIDEST, COLUMN = 100, 28
"""Columns of a page, and of the names of options on it."""
MOST, FEW = 48, 10
"""With more options than the first, groups of more than the second only name theirs."""
TITLES = {
    "": "options",
    "request": "conditions",
    "conditions": "conditions",
    "sampling": "sampling",
    "refinement": "refinement",
    "relaxation": "relaxation",
    "sizes": "network",
    "network": "network",
    "training": "training",
    "adapter": "adapter (LoRA)",
    "prior": "training of the prior",
    "pairs": "pairs",
    "refiner": "training of the refiner",
    "run": "run",
}
"""Group -> its heading."""
RUN = ("seed", "threads", "workers", "dask", "device", "overwrite")
"""Parameters of a command that say how it runs."""
CLAUSE = re.compile(r"(?<=[^.;: ])(?=[.;:] |$)")
"""Where a text may end: before a full stop, semicolon or colon, and at its end."""
NAMES = {int: "INT", float: "FLOAT", str: "STR", Path: "PATH"}


def page(words: Sequence[str], command: Callable[..., None]) -> str:
    """The help of a command.

    Args:
        words: of the command line: the command's name, and what else was given beside `--help`.
        command: made by `flowllm.commands.flatten.flat`.
    """
    name, full = words[0], "--help-all" in words
    width = min(WIDEST, shutil.get_terminal_size().columns)
    about = described(command.__doc__)
    parameters = list(inspect.signature(command).parameters.values())
    positional = [p for p in parameters if p.kind is p.POSITIONAL_ONLY]
    required = [f"--{dashed(p)} {value_of(p)}" for p in parameters if p not in positional
                and p.default is p.empty]  # fmt: skip
    heads = [p.name.upper() if p.default is p.empty else f"[{p.name.upper()}]" for p in positional]
    lines = [f"usage: flowllm {' '.join([name, *heads, *required])} [OPTIONS]", ""]
    for text in summary_of(command).split("\n\n"):
        lines += [*textwrap.wrap(text, width), ""]
    groups: dict[str, list[inspect.Parameter]] = {"arguments": positional}
    topics = getattr(command, "topics", {})
    for parameter in parameters[len(positional) :]:
        topic = topics.get(parameter.name) or ("run" if parameter.name in RUN else "")
        groups.setdefault(TITLES.get(topic, topic), []).append(parameter)
    groups[TITLES["run"]] = groups.pop(TITLES["run"], [])  # at the end
    for title, members in groups.items():
        if members:
            lines.append(f"{title}:")
            if not full and len(parameters) > MOST and len(members) > FEW:
                lines += _named(members, width)
            else:
                lines += [line for one in members for line in _explained(one, about, width, full)]
            lines.append("")
    if not full:
        asked = shlex.join(word for word in words if word not in WORDS)
        lines += [f"Everything about each option: flowllm {asked} --help-all", ""]
    return "\n".join([*lines, "examples:", *(f"  {line}" for line in EXAMPLES[name])])


def summary_of(command: Callable[..., None]) -> str:
    """The text of a docstring before its sections, one line per paragraph."""
    text = inspect.cleandoc(command.__doc__ or "").partition("\nArgs:")[0]
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n") if part.strip())


def dashed(parameter: inspect.Parameter) -> str:
    """The name of an option without its leading dashes."""
    marks = getattr(parameter.annotation, "__metadata__", ())
    name = next((m.name for m in marks if getattr(m, "name", None)), parameter.name)
    return name.replace("_", "-")


def value_of(parameter: inspect.Parameter) -> str:
    """The placeholder of an option's value; empty for a switch."""
    return _kind(parameter.annotation)


def _kind(hint: Any) -> str:
    origin, inside = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _kind(inside[0])
    if origin is Literal:
        return "{" + ",".join(map(str, inside)) + "}"
    if origin in (Union, types.UnionType):
        return "|".join(_kind(one) for one in inside if one is not type(None))
    if origin in (list, tuple):
        return f"{_kind(inside[0])} ..."
    return "" if hint is bool else NAMES.get(hint, "VALUE")


def _invocation(parameter: inspect.Parameter) -> str:
    if parameter.kind is parameter.POSITIONAL_ONLY:
        return parameter.name.upper()
    switch = "no-" if parameter.default is True else ""
    return f"--{switch}{dashed(parameter)} {value_of(parameter)}".rstrip()


def _named(members: Sequence[inspect.Parameter], width: int) -> list[str]:
    names = ", ".join(_invocation(one).split()[0] for one in members)
    return textwrap.wrap(
        names, width, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False
    )


def _explained(
    parameter: inspect.Parameter, about: dict[str, str], width: int, full: bool
) -> Iterator[str]:
    """The lines of an option: one, or as many as it takes."""
    full = full or parameter.kind is parameter.POSITIONAL_ONLY
    head, text = f"  {_invocation(parameter)}", meaning(parameter, about)
    note = ""
    if parameter.default is parameter.empty:
        note = "" if parameter.kind is parameter.POSITIONAL_ONLY else "(required)"
    elif not (isinstance(parameter.default, bool) or parameter.default in (None, "")):
        note = f"(default: {shown_default(parameter.default)})"
    if full:
        also = [a for m in getattr(parameter.annotation, "__metadata__", ())
                for a in getattr(m, "aliases", None) or ()]  # fmt: skip
        text += f"; also {', '.join(also)}" if also else ""
        yield head
        yield from textwrap.wrap(
            f"{text} {note}".rstrip(), width, initial_indent=" " * 6, subsequent_indent=" " * 6
        )
        return
    if len(head) > COLUMN - 2:
        yield head
        head = ""
    room = width - COLUMN - (len(note) + 1 if note else 0)
    text = f"{clauses(text, room)} {note}".rstrip()
    for line in textwrap.wrap(text, max(width - COLUMN, 20)) or [""]:
        yield f"{head:<{COLUMN}}{line}"
        head = ""


def meaning(parameter: inspect.Parameter, about: dict[str, str]) -> str:
    """What an option does; the text of a switch that is on begins with a verb."""
    text = about.get(parameter.name, "").rstrip(".")
    return f"do not {text}" if parameter.default is True else text


def clauses(text: str, room: int) -> str:
    """The leading clauses of a text that fit into a number of columns, at least the first."""
    ends = [found.start() for found in CLAUSE.finditer(text)]
    return text[: max([end for end in ends if end <= room] or ends[:1], default=len(text))]


def shown_default(value: Any) -> str:
    """A default as it is typed on the command line."""
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return str(value)
