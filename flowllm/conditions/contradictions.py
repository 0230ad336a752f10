"""Contradictions between conditions that are each valid by themselves."""

from __future__ import annotations

from collections.abc import Sequence

from flowllm.conditions.conditions import Conditions, written_value
from flowllm.conditions.formula import multiples_of, too_large
from flowllm.errors import InputError
from flowllm.symmetry.filling import cell_sizes, has_sites

Cells = Sequence[dict[str, int]]


def contradictions(asked: Conditions, max_atoms: int) -> dict[str, str]:
    """{condition: what it contradicts and how to mend it}; empty if all can be met.

    The condition named is the one that a person would change: the more detailed of the two. One
    that asks for more atoms than a cell may have contradicts the system that is asked.

    Args:
        asked: what is asked of one crystal.
        max_atoms: the most atoms of a cell of the system.
    """
    try:
        cells: Cells | None = (
            None if asked.formula is None else multiples_of(asked.formula, max_atoms)
        )
    except InputError as error:
        return {"formula": str(error)}
    too_many = _too_many(asked, max_atoms)
    if too_many:
        return too_many
    name = f"formula {asked.formula}"
    if asked.composition is not None:
        cell = f"unit cell {written_value('composition', asked.composition)}"
        if cells is not None and asked.composition not in cells:
            return {"composition": _mend(f"{cell} is not a multiple of {name}", "composition")}
        cells, name = (asked.composition,), cell
    problems = _about_elements(asked, cells, name, max_atoms)
    if cells is not None and asked.num_atoms is not None:
        sizes = [sum(cell.values()) for cell in cells]
        if asked.num_atoms not in sizes:
            fault = f"{name} has {_either(sizes)} atoms, not the number of atoms {asked.num_atoms}"
            problems["num_atoms"] = _mend(fault, "num_atoms")
        cells = [cell for cell in cells if sum(cell.values()) == asked.num_atoms]
    if not problems and asked.space_group is not None:
        fault = _about_sites(asked, asked.space_group, cells, name, max_atoms)
        if fault:
            problems["space_group"] = _mend(fault, "space_group")
    return problems


def check_together(asked: Conditions, max_atoms: int) -> None:
    """Refuse conditions that contradict each other or request more atoms than a cell may have.

    Args:
        asked: what is asked of one crystal.
        max_atoms: the most atoms of a cell of the system.

    Raises:
        InputError: names both, and what to change.
    """
    for problem in contradictions(asked, max_atoms).values():
        raise InputError(problem)


def _too_many(asked: Conditions, max_atoms: int) -> dict[str, str]:
    """Conditions that request larger cells than the model has."""
    problems = {}
    size = sum((asked.composition or {}).values())
    if asked.composition is not None and size > max_atoms:
        cell = written_value("composition", asked.composition)
        problems["composition"] = too_large(f"unit cell {cell} has {size} atoms", max_atoms)
    if asked.num_atoms is not None and asked.num_atoms > max_atoms:
        problems["num_atoms"] = too_large(f"number of atoms {asked.num_atoms}", max_atoms)
    return problems


def _about_elements(
    asked: Conditions, cells: Cells | None, name: str, max_atoms: int
) -> dict[str, str]:
    if asked.elements is None:
        return {}
    if cells is not None:
        if set(cells[0]) == set(asked.elements):
            return {}
        fault = f"{name} holds {', '.join(cells[0])}, not the elements {', '.join(asked.elements)}"
        return {"elements": _mend(fault, "elements")}
    most, count = asked.num_atoms or max_atoms, len(set(asked.elements))
    if count <= most:
        return {}
    fault = f"{count} elements do not fit in {most} atoms; ask for fewer elements"
    if asked.num_atoms is None:
        return {"elements": fault}
    return {"num_atoms": f"{fault} or a number of atoms of at least {count}"}


def _about_sites(
    asked: Conditions, group: int, cells: Cells | None, name: str, max_atoms: int
) -> str:
    """Why no primitive cell of the space group meets the conditions; "" if one does."""
    if cells is not None:
        if any(has_sites(group, cell.values()) for cell in cells):
            return ""
        size = "" if asked.num_atoms is None else f" and {asked.num_atoms} atoms"
        return f"no primitive cell of space group {group} has sites for {name}{size}"
    sizes = cell_sizes(group, max_atoms, len(set(asked.elements or ("any",))))
    listed = f"the elements {', '.join(asked.elements or ())}"
    if not sizes and not asked.elements:
        return too_large(f"no primitive cell of space group {group} is so small", max_atoms)
    if not sizes:
        return f"no primitive cell of space group {group} has sites for {listed}"
    if asked.num_atoms in (None, *sizes):
        return ""
    wanted = f" with {listed}" if asked.elements else ""
    return (
        f"primitive cells of space group {group}{wanted} have {_either(sizes)} atoms, "
        f"not the number of atoms {asked.num_atoms}"
    )


def _mend(fault: str, name: str) -> str:
    what = {
        "composition": "the unit cell",
        "elements": "the elements",
        "num_atoms": "the number of atoms",
        "space_group": "the space group",
    }[name]
    return f"{fault}; change {what} or leave one of them out"


def _either(numbers: Sequence[int]) -> str:
    """As in "5, 10 or 15", and "4, 8 to 20" where numbers follow each other."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    words = [
        word
        for run in runs
        for word in ([f"{run[0]} to {run[-1]}"] if len(run) > 2 else [str(n) for n in run])
    ]
    return " or ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
