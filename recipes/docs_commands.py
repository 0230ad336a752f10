"""The options of every command as Markdown, out of their own help; a part of `make docs`."""

from __future__ import annotations

import inspect
import re
import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

PAGE = "reference/commands.md"


def sections() -> str:
    """A section for each command: what it does, and a table of its options."""
    from flowllm.commands import COMMANDS

    return "\n".join(section(name, command.flat()) for name, command in COMMANDS.items())


def section(name: str, function: Any) -> str:
    """One command: its help, two examples, its options."""
    from flowllm.commands.examples import EXAMPLES
    from flowllm.commands.flatten import described
    from flowllm.commands.help import meaning

    summary = inspect.cleandoc(function.__doc__ or "").partition("\nArgs:")[0].strip()
    about = described(function.__doc__)
    rows = [
        f"| {option(parameter)} | {kind(parameter.annotation)} | {default(parameter)} "
        f"| {cell(meaning(parameter, about))} |"
        for parameter in inspect.signature(function).parameters.values()
    ]
    table = ["| option | value | default | |", "|---|---|---|---|", *rows]
    examples = ["```sh", *EXAMPLES[name], "```"]
    return "\n".join([f"\n## flowllm {name}", "", summary, "", *examples, "", *table, ""])


def option(parameter: inspect.Parameter) -> str:
    """The option as it is typed; what stands without a name in capitals."""
    if parameter.kind is parameter.POSITIONAL_ONLY or parameter.kind is parameter.VAR_POSITIONAL:
        return f"`{parameter.name.upper()}`"
    name = "for" if parameter.name == "use" else parameter.name  # a keyword of Python
    word = name.replace("_", "-")
    return f"`--no-{word}`" if parameter.default is True else f"`--{word}`"


def kind(annotation: Any) -> str:
    """What values an option takes."""
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return kind(inside[0])
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in inside)
    if origin in (Union, types.UnionType):
        return " or ".join(kind(one) for one in inside if one is not type(None))
    if origin in (tuple, list):
        return kind(inside[0]) + ", several"
    names = {bool: "", int: "number", float: "decimal", str: "text", "Path": "path"}
    name = getattr(annotation, "__name__", str(annotation))
    return names.get(annotation, names.get(name, cell(name)))


def default(parameter: inspect.Parameter) -> str:
    """Its default; empty for a switch and where nothing is set."""
    value = parameter.default
    if value is parameter.empty:
        return "required"
    if value is None or isinstance(value, bool) or value in ((), ""):
        return ""
    return f"`{cell(str(value))}`"


def cell(text: str) -> str:
    """Text that may stand in a table."""
    return re.sub(r"\s+", " ", text).replace("|", "\\|").replace("<", "&lt;")
