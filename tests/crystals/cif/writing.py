"""CIF texts for tests, written by hand or from a crystal."""

from __future__ import annotations

CUBE = (4.0, 4.0, 4.0, 90.0, 90.0, 90.0)


def cif(
    sites: str,
    cell: tuple[float, ...] = CUBE,
    head: str = "_symmetry_space_group_name_H-M 'P 1'",
    columns: str = "label type_symbol fract_x fract_y fract_z",
    name: str = "x",
) -> str:
    """A block with its cell, a head of further tags, and the rows of its sites."""
    tags = (*(f"length_{x}" for x in "abc"), "angle_alpha", "angle_beta", "angle_gamma")
    lines = [f"data_{name}", *(f"_cell_{tag} {x!r}" for tag, x in zip(tags, cell, strict=True))]
    lines += [head, "loop_", *(f"_atom_site_{column}" for column in columns.split()), sites]
    return "\n".join(lines) + "\n"
