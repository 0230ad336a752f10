"""Commands from settings: turn a function of settings classes into one of plain options.

A parameter whose type is a settings class is replaced by an option for each of its fields, with the
help that the class's docstring has under `Attributes`. A field that holds the settings of a part
(`setting(part=...)`) takes those of the chosen system's part, whatever its method.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass, replace
from typing import Annotated, Any, Literal, get_args, get_type_hints

import tyro

from flowllm.settings import Preset, preset

Use = Literal["explore", "predict"]
USES = get_args(Use)
Classes = Mapping[str, type | None]
"""Part -> the class of its settings; None where there is no such part."""
ENTRY = re.compile(r"^    (\w+): (.*)$")
SHARED = {
    "model": "folder or name of a model; a name is that of one that ships with the package.",
    "device": "where to compute.",
    "workers": "number of processes; by default one per core.",
    "overwrite": "replace another run in the output folder.",
    "preset": "recipe for the default values: compact, the measured one of the shipped weights; or "
    "paper, that of the FlowLLM paper. Other options override it.",
    "use": "purpose of the crystals: explore draws diverse ones, predict the likeliest ones under "
    "the conditions. Other options override it.",
}
"""Help that is the same for every command."""


@dataclass(frozen=True)
class FromPart:
    """Annotation of a parameter that takes the settings of a part.

    Attributes:
        part: name of the part in `Classes`.
        prefix: of its options.
    """

    part: str
    prefix: str = ""


@dataclass(frozen=True)
class Option:
    """One option.

    Attributes:
        name: of the parameter.
        path: of its value: the parameter of the function, then fields of settings.
        type: of the value on the command line.
        default: its default there.
        about: help.
        read: the value on the command line -> the value of the field.
        also: further names.
    """

    name: str
    path: tuple[str, ...]
    type: Any
    default: Any
    about: str
    read: Callable[[Any], Any] | None = None
    also: tuple[str, ...] = ()

    @property
    def topic(self) -> str:
        """The field whose settings it belongs to, by which the help groups options; "" for none.

        Of a parameter that takes the settings of a part, as those of `flowllm train`, that part.
        """
        first = self.path[:1] if self.path[:1] != ("settings",) else self.path[1:2]
        return first[0] if len(self.path) > 1 and first != self.path[-1:] else ""

    @property
    def annotation(self) -> Any:
        """The type, with its aliases for tyro."""
        if not self.also:
            return self.type
        aliases = [f"--{name.replace('_', '-')}" for name in self.also]
        return Annotated[self.type, tyro.conf.arg(aliases=aliases)]


def flat(
    function: Callable[..., None],
    classes: Classes,
    given: Mapping[str, str] | None = None,
    presets: bool = False,
    types: Mapping[str, type] | None = None,
    uses: bool = False,
) -> Callable[..., None]:
    """A function of plain options that calls a function of settings.

    Args:
        function: the command.
        classes: settings of the parts.
        given: the options of the command line, as far as they decide on defaults: a preset, say.
        presets: whether the command has an option `preset`.
        types: the settings classes that its annotations name, by their names.
        uses: whether the command has an option `--for`.
    """
    given, about = given or {}, {**SHARED, **described(function.__doc__)}
    hints = get_type_hints(function, localns=dict(types or {}), include_extras=True)
    parameters: list[inspect.Parameter] = []
    options: list[Option] = []
    settings: dict[str, tuple[type | None, Any]] = {}
    for parameter in inspect.signature(function).parameters.values():
        hint = hints[parameter.name]
        marks = [m for m in getattr(hint, "__metadata__", ()) if isinstance(m, FromPart)]
        chosen = classes.get(marks[0].part) if marks else hint
        if is_dataclass(chosen) and isinstance(chosen, type):
            usual = getattr(chosen, "usual", lambda options: "compact")
            prefix = marks[0].prefix if marks else ""
            name = given.get("preset") or usual([n.removeprefix(prefix) for n in given])
            own = name in get_args(Preset) and hasattr(chosen, name)
            base = preset(chosen, name) if own else None
            settings[parameter.name] = (chosen, base)
            use = given.get("for", USES[0]) if uses else USES[0]
            options += options_of(chosen, base, (parameter.name,), prefix, classes, use)
        elif marks:
            settings[parameter.name] = (None, None)
        else:
            parameters.append(parameter.replace(annotation=hint))
            for mark in getattr(hint, "__metadata__", ()):  # of tyro.conf.arg
                about[parameter.name] = getattr(mark, "help", None) or about.get(parameter.name, "")
    if presets:
        text = about["preset"]
        options.append(Option("preset", (), Preset, "compact", text))
    if uses:
        named = Annotated[Use, tyro.conf.arg(name="for")]
        options.append(Option("use", (), named, USES[0], about["use"]))
    options = _told_apart(options, {parameter.name for parameter in parameters})
    return _function(function, parameters, options, settings, about, classes)


def _told_apart(options: Sequence[Option], taken: set[str]) -> list[Option]:
    """Options with distinct names: a repeated name is prefixed with the field of its settings."""
    named: list[Option] = []
    for option in options:
        name = option.name
        if name in taken and len(option.path) > 1:
            name = f"{option.path[-2]}_{name}"
        taken.add(name)
        named.append(replace(option, name=name))
    return named


def options_of(
    settings: type,
    base: Any,
    path: tuple[str, ...],
    prefix: str,
    classes: Classes,
    use: str = "explore",
) -> Iterator[Option]:
    """The options of a settings class.

    Args:
        settings: the class.
        base: an instance that gives the defaults; None takes those of the fields.
        path: of the instance.
        prefix: of the options' names.
        classes: settings of the parts.
        use: what the crystals are for; settings of a part that have a method of this name have its
            values as defaults.
    """
    hints, about = get_type_hints(settings), attributes(settings)
    for one in fields(settings):
        shown = one.metadata.get("option", True)
        if shown is False:
            continue
        here, kind = (*path, one.name), _type(one, hints, classes)
        default = _default(one, base)
        if kind is None:
            continue
        if is_dataclass(kind) and isinstance(kind, type):
            inner = default if isinstance(default, kind) else None
            if one.metadata.get("part") and use in USES and hasattr(kind, use):
                inner = getattr(kind, use)()
            only = one.metadata.get("only")
            for option in options_of(kind, inner, here, prefix, classes, use):
                if not only or option.path[-1] in only:
                    yield option
            continue
        read = one.metadata.get("read")
        yield Option(
            prefix + (shown if isinstance(shown, str) else one.name),
            here,
            kind | None if read else kind,
            None if read else default,
            one.metadata.get("about") or about.get(one.name, ""),
            read,
            tuple(prefix + name for name in one.metadata.get("also", ())),
        )


def _type(one: Field[Any], hints: Mapping[str, Any], classes: Classes) -> Any:
    """The type of a field on the command line; None for the settings of a part that is missing."""
    part = one.metadata.get("part")
    if part is not None:
        return classes.get(part)
    return one.metadata.get("type") or hints[one.name]


def _default(one: Field[Any], base: Any) -> Any:
    if base is not None:
        return getattr(base, one.name)
    if one.default_factory is not MISSING:
        return one.default_factory()
    return one.default


def made(settings: type, base: Any, values: Mapping[str, Any], classes: Classes) -> Any:
    """An instance of a settings class.

    Args:
        settings: the class.
        base: an instance that gives the values of other fields; None takes their defaults.
        values: field -> value, or values of the fields of settings inside.
        classes: settings of the parts.
    """
    hints, arguments = get_type_hints(settings), {}
    for one in fields(settings):
        kind, default = _type(one, hints, classes), _default(one, base)
        if one.name in values and is_dataclass(kind) and isinstance(kind, type):
            inner = default if isinstance(default, kind) else None
            arguments[one.name] = made(kind, inner, values[one.name], classes)
        elif one.name in values:
            arguments[one.name] = values[one.name]
        elif one.metadata.get("part") is not None and not isinstance(default, kind or ()):
            arguments[one.name] = None if kind is None else kind()
        elif base is not None:
            arguments[one.name] = default
    return settings(**arguments)


def _function(
    function: Callable[..., None],
    parameters: list[inspect.Parameter],
    options: list[Option],
    settings: Mapping[str, tuple[type | None, Any]],
    about: Mapping[str, str],
    classes: Classes,
) -> Callable[..., None]:
    """The function of plain options, with its signature and docstring."""
    keyword, positional = inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_ONLY
    required = [p for p in parameters if p.default is p.empty]
    others = [
        p if p.kind is positional else p.replace(kind=keyword)
        for p in parameters
        if p not in required
    ]
    made_of = [
        inspect.Parameter(one.name, keyword, default=one.default, annotation=one.annotation)
        for one in options
    ]
    ordered = sorted([*required, *made_of, *others], key=lambda p: p.kind)
    signature = inspect.Signature(ordered)

    def command(*words: Any, **named: Any) -> None:
        found = dict(signature.bind(*words, **named).arguments)
        trees: dict[str, Any] = {name: {} for name in settings}
        for option in options:
            value = found.pop(option.name, option.default)
            if not option.path or (option.read and value is None):
                continue
            place = trees
            for name in option.path[:-1]:
                place = place.setdefault(name, {})
            place[option.path[-1]] = option.read(value) if option.read else value
        first = [found.pop(p.name) for p in ordered if p.kind is positional and p.name in found]
        for name, (chosen, base) in settings.items():
            found[name] = None if chosen is None else made(chosen, base, trees[name], classes)
        function(*first, **found)

    texts = {one.name: one.about for one in options}
    texts.update({p.name: about[p.name] for p in parameters if p.name in about})
    lines = "".join(f"        {name}: {text}\n" for name, text in texts.items())
    summary = inspect.cleandoc(function.__doc__ or "").partition("\nArgs:")[0].strip()
    command.__name__ = command.__qualname__ = function.__name__
    command.__module__ = function.__module__
    command.__doc__ = summary.replace("\n", "\n    ") + "\n\n    Args:\n" + lines
    command.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
    command.__signature__ = signature  # type: ignore[attr-defined]
    command.topics = {one.name: one.topic for one in options}  # type: ignore[attr-defined]
    return command


def attributes(settings: type) -> dict[str, str]:
    """Field -> its text in the docstrings of a class and its bases."""
    texts: dict[str, str] = {}
    for one in reversed(settings.__mro__):
        texts.update(described(one.__doc__))
    return texts


def described(docstring: str | None) -> dict[str, str]:
    """Name -> text of the entries under `Args` or `Attributes`."""
    texts: dict[str, str] = {}
    inside, name = False, ""
    for line in inspect.cleandoc(docstring or "").splitlines():
        if line and not line.startswith(" "):
            inside = line in ("Args:", "Attributes:")
        elif inside and (entry := ENTRY.match(line)):
            name = entry[1]
            texts[name] = entry[2]
        elif inside and name and line.strip():
            texts[name] += " " + line.strip()
    return texts
