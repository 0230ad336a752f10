"""Both validities: known answers, SMACT itself, and the rate of MP-20's training set."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Composition

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.elements import NUMBER_OF, SYMBOLS
from flowllm.metrics.validity import (
    PAPERS_SETTINGS,
    SmactSettings,
    compositional_validity,
    is_valid_composition,
    structural_faults,
    structural_validity,
)


def crystal(symbols, coords, lengths=(4, 4, 4), angles=(90, 90, 90)):
    numbers = [NUMBER_OF.get(s, 0) for s in symbols]
    return CrystalBatch(numbers, coords, [lengths], [angles], [len(symbols)], ["x"])


def of(formula):
    """A crystal of a formula, its atoms anywhere."""
    symbols = [s for s, n in Composition(formula).items() for _ in range(int(n))]
    return crystal([str(s) for s in symbols], np.random.default_rng(0).random((len(symbols), 3)))


ROCK_SALT = crystal(["Na", "Cl"], [(0, 0, 0), (0.5, 0.5, 0.5)], (3.99, 3.99, 3.99), (60, 60, 60))
CASES = {
    "rock salt": (ROCK_SALT, True, True, ""),
    "across the boundary": (
        crystal(["Na", "Cl"], [(0.98, 0.5, 0.5), (0.02, 0.5, 0.5)]),
        False,
        False,
        "atoms 0.16 Å apart",
    ),
    "its own image": (
        crystal(["Na"], [(0, 0, 0)], (0.4, 5, 5)),
        False,
        True,
        "atoms 0.40 Å apart",
    ),
    "tiny volume": (crystal(["Na"], [(0, 0, 0)], (0.4, 0.4, 0.4)), False, False, "volume 0.064"),
    "no volume": (
        crystal(["Na"], [(0, 0, 0)], angles=(60, 60, 120)),
        False,
        False,
        "the cell has zero volume",
    ),
    "impossible angles": (
        crystal(["Na"], [(0, 0, 0)], angles=(30, 30, 120)),
        False,
        False,
        "the cell has zero volume",
    ),
    "no atoms": (crystal([], np.zeros((0, 3))), False, False, "no atoms"),
    "one on the other": (
        crystal(["Na", "Cl"], [(0.3, 0.3, 0.3)] * 2),
        False,
        False,
        "atoms 0.00 Å apart",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_structures_of_known_validity(name):
    batch, with_images, without, fault = CASES[name]
    assert structural_validity(batch).tolist() == [with_images]
    assert structural_validity(batch, self_images=False).tolist() == [without]
    assert structural_faults(batch)[0].startswith(fault)
    assert (structural_faults(batch)[0] == "") == with_images


def test_all_cases_in_one_batch():
    batch = CrystalBatch.concatenate(case[0] for case in CASES.values())
    assert structural_validity(batch).tolist() == [case[1] for case in CASES.values()]


@pytest.mark.parametrize(
    ("formula", "valid"),
    [
        ("NaCl", True),
        ("SrTiO3", True),
        ("Fe2O3", True),
        ("Cu", True),
        ("O2", True),
        ("Cu3Au", True),  # single elements and alloys pass
        ("NaCl2", False),
        ("NaO5", False),
        ("HeO", False),
        ("Fe3O4", False),  # mixed valence: SMACT gives each element one state
    ],
)
def test_compositions_of_known_validity(formula, valid):
    assert compositional_validity(of(formula)).tolist() == [valid]
    counts = {str(s): int(n) for s, n in Composition(formula).items()}
    assert is_valid_composition(counts) == valid


def test_settings_change_the_answer():
    assert SmactSettings("smact14", True, True) == PAPERS_SETTINGS
    assert not is_valid_composition({"Cu": 3, "Au": 1}, SmactSettings(include_alloys=False))
    # neutral only with the less electronegative element as the anion
    assert not is_valid_composition({"N": 1, "H": 4})
    assert is_valid_composition({"N": 1, "H": 4}, SmactSettings(use_pauling_test=False))


def test_open_types_empty_crystals_and_empty_batches():
    assert compositional_validity(crystal(["X", "O"], [(0, 0, 0), (0.5, 0, 0)])).tolist() == [False]
    assert compositional_validity(crystal([], np.zeros((0, 3)))).tolist() == [False]
    assert compositional_validity(CrystalBatch.empty()).shape == (0,)
    assert structural_validity(CrystalBatch.empty()).shape == (0,)


@settings(max_examples=150, deadline=None)
@given(
    composition=st.dictionaries(
        st.sampled_from(SYMBOLS[1:104]), st.integers(1, 6), min_size=1, max_size=4
    ),
    oxidation_states=st.sampled_from(["smact14", "icsd16"]),
    pauling=st.booleans(),
)
def test_equals_smact_itself(composition, oxidation_states, pauling):
    from smact.screening import smact_validity

    theirs = smact_validity(
        Composition(composition), pauling, oxidation_states_set=oxidation_states
    )
    assert is_valid_composition(composition, SmactSettings(oxidation_states, pauling)) == theirs


@pytest.mark.data
@pytest.mark.slow
def test_mp20_training_set_scores_as_in_the_papers(data_dir):
    import pandas as pd

    from flowllm.crystals.cif import parse_cif

    cifs = pd.read_csv(data_dir / "mp_20" / "train.csv.gz", usecols=["cif"])["cif"]
    structures = [parse_cif(text, "row") for text in cifs.sample(2_000, random_state=0)]
    batch = CrystalBatch.from_pymatgen(structures)
    assert 0.89 <= compositional_validity(batch).mean() <= 0.92
    assert structural_validity(batch).all()
