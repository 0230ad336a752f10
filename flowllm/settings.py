"""Settings classes: field metadata for the command line and forms, and named presets.

A settings class is a frozen dataclass whose docstring describes its fields under `Attributes` and
whose `__post_init__` refuses values out of range. Its defaults are the measured recipe of the
shipped weights; a classmethod named after another preset gives that preset's values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import MISSING, Field, field, fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

from flowllm.errors import InputError

Preset = Literal["compact", "paper"]
"""The recipe of the shipped weights, or the values of the FlowLLM paper."""


def setting(
    default: Any = MISSING,
    *,
    factory: Callable[[], Any] | Any = MISSING,
    option: bool | str = True,
    also: Sequence[str] = (),
    type: Any = None,
    read: Callable[[str], Any] | None = None,
    about: str = "",
    only: Sequence[str] = (),
    part: str | None = None,
    form: bool = True,
    low: float | None = None,
    high: float | None = None,
    step: float | None = None,
    label: str = "",
    short: str = "",
    written: str = "",
    zero: str = "",
) -> Any:
    """A field of a settings class with optional metadata.

    Args:
        default: its default.
        factory: makes the default, for one that may be changed.
        option: False keeps it off the command line; a text is the option's name there.
        also: further names of the option, as of former versions.
        type: of the option, where it is not that of the field.
        read: the text of the option -> the value; raises InputError.
        about: help, where the docstring of the class has none.
        only: of settings in settings, the fields that have options; by default all.
        part: "prior" or "refiner": the value is an instance of that part's `Settings`.
        form: False keeps it out of forms.
        low: the least value of a slider; with `high` a form shows one instead of a field for text.
        high: its largest value.
        step: between two of its values.
        label: in a form, as in "Temperature τ"; by default the field's name in words.
        short: heading of its column in a table, as in "τ".
        written: how its value is written, as in ".2f"; as short as possible by default.
        zero: what is written instead of 0, as in "off".
    """
    beside = {
        "option": option, "also": also, "type": type, "read": read, "about": about, "only": only,
        "part": part, "form": form, "low": low, "high": high, "step": step, "label": label,
        "short": short, "written": written, "zero": zero,
    }  # fmt: skip
    if factory is not MISSING:
        return field(default_factory=factory, metadata=beside)
    return field(default=default, metadata=beside)


LARGEST_SEED, LARGEST_TRAINING_SEED = 2**63 - 1, 2**32 - 1
"""Of what torch takes, and of what numpy's old generator takes, which the Trainer sets too."""
MOST_THREADS = 4096


def check_seed(seed: int, largest: int = LARGEST_SEED) -> None:
    """Refuse a seed that is negative or larger than generators take.

    Raises:
        InputError: names it.
    """
    if seed < 0:
        raise InputError(f"the seed must be at least 0, not {seed}")
    if seed > largest:
        raise InputError(f"the seed must be at most {largest}, not {seed}")


def check_workers(workers: int | None) -> None:
    """Refuse a number of processes below 1; None leaves it open.

    Raises:
        InputError: names it.
    """
    if workers is not None and workers < 1:
        raise InputError(f"workers must be at least 1, not {workers}")


def check_threads(threads: int) -> None:
    """Refuse an unreasonable number of threads; 0 means all.

    Raises:
        InputError: names it.
    """
    if not 0 <= threads <= MOST_THREADS:
        raise InputError(f"threads must be from 0 to {MOST_THREADS}, not {threads}")


def preset(settings: type[Any], name: str = "compact") -> Any:
    """An instance of a settings class with the values of a preset.

    Args:
        settings: the class; one that says nothing of the preset keeps its defaults.
        name: "compact" or "paper".

    Raises:
        InputError: there is no such preset.
    """
    if name not in get_args(Preset):
        raise InputError(f"unknown preset {name!r}; choose from {', '.join(get_args(Preset))}")
    return getattr(settings, name, settings)()


def shown_fields(settings: type[Any]) -> list[tuple[Field[Any], Any]]:
    """The fields of a settings class that a form shows, each with its type, in their order.

    A form shows numbers, switches and choices; `setting(form=False)` leaves a field out.
    """
    hints = get_type_hints(settings)
    return [
        (one, hints[one.name])
        for one in fields(settings)
        if one.metadata.get("form", True)
        and (hints[one.name] in (bool, int, float) or get_origin(hints[one.name]) is Literal)
    ]
