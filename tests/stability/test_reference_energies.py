"""Formation energies: by hand, against pymatgen's phase diagram, and what has no reference."""

import json

import numpy as np
import pytest

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.stability.reference_energies import REFERENCE_FILE, ElementalReferences

SMALL = ElementalReferences({"Na": -1.3, "Cl": -1.8})


def crystal(numbers, name="a"):
    count = len(numbers)
    return CrystalBatch(
        numbers,
        np.random.default_rng(0).random((count, 3)),
        [[4, 4, 4]],
        [[90] * 3],
        [count],
        [name],
    )


def test_formation_energies_by_hand():
    batch = CrystalBatch.concatenate([crystal([11, 17]), crystal([11, 11, 11, 17])])
    found = SMALL.formation_energy(batch, [-3.5, -2.0])
    assert found == pytest.approx([-3.5 + 1.55, -2.0 + (3 * 1.3 + 1.8) / 4])
    # amounts may be in any unit
    assert SMALL.formation_energy([{"Na": 0.5, "Cl": 0.5}], [-3.5]) == pytest.approx(found[:1])


def test_the_references_of_the_data_agree_with_pymatgens_phase_diagram(data_dir):
    from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
    from pymatgen.entries.computed_entries import ComputedEntry

    path = data_dir / REFERENCE_FILE
    references = ElementalReferences.from_json(path)
    assert len(references.energies) == 89
    raw = json.loads(path.read_text())
    elements = [ComputedEntry.from_dict(raw[name]) for name in ("Li", "Fe", "O")]
    entry = PDEntry("Li5FeO4", -57.25)
    diagram = PhaseDiagram([*elements, entry])
    found = references.formation_energy([{"Li": 5, "Fe": 1, "O": 4}], [entry.energy_per_atom])
    assert found[0] == pytest.approx(diagram.get_form_energy_per_atom(entry), abs=1e-12)


def test_what_has_no_reference_is_nan_with_its_reason():
    batch = CrystalBatch.concatenate(
        [
            crystal([11, 17]),
            crystal([11, 84, 85]),
            crystal([11, 0]),
            CrystalBatch.empty(),
            crystal([]),
        ]
    )
    found = SMALL.formation_energy(batch, [-3.5, -1.0, -1.0, -1.0])
    assert np.isfinite(found).tolist() == [True, False, False, False]
    assert SMALL.faults(batch) == [
        "",
        "no reference energy of At, Po",
        "an atom's type is open",
        "no atoms",
    ]


def test_an_energy_that_is_missing_stays_missing():
    assert np.isnan(SMALL.formation_energy(crystal([11, 17]), [np.nan])).all()


def test_bad_input_is_named(tmp_path):
    with pytest.raises(InputError, match=r"2 energies for 1 crystals"):
        SMALL.formation_energy(crystal([11]), [1.0, 2.0])
    with pytest.raises(InputError, match=r"Xx is not an element"):
        ElementalReferences({"Xx": 1.0})
    with pytest.raises(InputError, match=r"reference energy of Na is nan"):
        ElementalReferences({"Na": float("nan")})
    with pytest.raises(InputError, match=r"no such file: .*none.json"):
        ElementalReferences.from_json(tmp_path / "none.json")
    for text in ("[1]", "{", '{"Na": {"energy": 1}}'):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(InputError, match=r"bad.json contains no elemental reference entries"):
            ElementalReferences.from_json(tmp_path / "bad.json")
    (tmp_path / "bad.json").write_text('{"Na": {"energy": 1, "composition": {"Cl": 1}}}')
    with pytest.raises(InputError, match=r"the entry of Na is not made of Na"):
        ElementalReferences.from_json(tmp_path / "bad.json")
