"""Titles of the columns of crystal tables on a page, with units and meaning."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """A column of a table of crystals.

    Attributes:
        name: in the data.
        heading: on the page.
        unit: behind the heading; empty for none.
        meaning: shown where the pointer rests on the heading.
        essential: shown at once; others when more columns are asked for.
    """

    name: str
    heading: str
    unit: str = ""
    meaning: str = ""
    essential: bool = False


KNOWN = (
    Column("id", "id", "", "name of the crystal in this run, and of its files", True),
    Column("formula", "formula", "", "reduced", True),
    Column("symbol", "space group", "", "as spglib finds it within 0.1 Å", True),
    Column("space_group", "group number", "", "international number of the space group, at 0.1 Å"),
    Column(
        "e_above_hull", "E above hull", "eV/atom",
        "energy of the relaxed crystal (CHGNet) above the convex hull of known phases", True,
    ),
    Column(
        "e_above_hull_shifted", "E above hull, shifted", "eV/atom",
        "the same, less CHGNet's mean error for the class of anions",
    ),
    Column("nearest", "nearest known", "",
           "the same known crystal, or the nearest of the same kind and space group", True),
    Column("known_as", "known as", "", "the training crystal that it matches", True),
    Column("contact_over_radii", "shortest contact", "of radii",
           "shortest distance of two atoms over the sum of their covalent radii", True),
    Column("density", "density", "g/cm³", "", True),
    Column("volume_per_atom", "volume", "Å³/atom"),
    Column("num_atoms", "atoms", "", "in the primitive cell"),
    Column("valid_structure", "valid structure", "",
           "no two atoms within 0.5 Å and a volume above 0.1 Å³: a mild test"),
    Column("valid_structure_no_self_image", "valid as in the papers", "",
           "the same without an atom's own periodic images"),
    Column("valid_composition", "charges balance", "", "SMACT"),
    Column("sun", "S.U.N.", "", "stable, unique and novel", True),
    Column("msun", "M.S.U.N.", "", "within 0.1 eV/atom of the hull, unique and novel", True),
    Column("stable", "stable", "", "not above the hull"),
    Column("metastable", "metastable", "", "within 0.1 eV/atom of the hull"),
    Column("novel", "novel", "", "matches no training crystal"),
    Column("unique", "unique", "", "first of its kind in this set"),
    Column("novel_relaxed", "novel, relaxed"),
    Column("unique_relaxed", "unique, relaxed"),
    Column("short_contact", "contact too short", "", "below 0.7 of the covalent radii"),
    Column("unusual_contact", "contact unusual", "", "shorter than in 99.5 % of known crystals"),
    Column("n_elements", "elements", "", "different elements"),
    Column("chemical_system", "chemical system"),
    Column("prototype", "prototype"),
    Column("space_group_fine", "group at 0.01 Å"),
    Column("formation_energy", "formation energy", "eV/atom"),
    Column("relaxed_energy", "relaxed energy", "eV/atom"),
    Column("energy_drop", "energy drop", "eV/atom", "from the crystal to its relaxed state"),
    Column("volume_change", "volume change", "%", "relaxed over generated volume, less 1"),
    Column("relax_steps", "steps of relaxation"),
    Column("converged", "converged"),
    Column("relax_match", "matches relaxed"),
    Column("relax_rmsd", "RMSD to relaxed", "Å"),
    Column("near_reference", "near test set"),
    Column("distance_structure", "structure distance"),
    Column("distance_composition", "composition distance"),
    Column("matched", "matches target"),
    Column("rms", "RMS to target"),
    Column("as_asked", "as asked"),
    Column("reason", "remark", "", "what is wrong with it", True),
    Column("remarks", "remarks on the file"),
    Column("prompt", "asked", "", "conditions given to the model"),
)  # fmt: skip
"""Columns with names of their own, in the order in which a page shows them."""


def columns_of(names: list[str]) -> list[Column]:
    """The columns of a table by name, known ones first; others keep their names."""
    known = [column for column in KNOWN if column.name in names]
    found = {column.name for column in known}
    return known + [Column(n, n.replace("_", " ")) for n in names if n not in found]
