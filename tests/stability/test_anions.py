"""The shift of CHGNet's energies: classes of anion, fitting, files, and what ships."""

import numpy as np
import pytest

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.elements import NUMBER_OF
from flowllm.errors import InputError
from flowllm.stability import AnionShift, anion_classes, chgnet_shift
from flowllm.stability.anions import CLASSES

pytestmark = pytest.mark.slow


def crystals(*kinds):
    """Crystals of given elements, as in "Na Cl"."""
    numbers = [[NUMBER_OF[symbol] for symbol in kind.split()] for kind in kinds]
    return CrystalBatch(
        np.concatenate(numbers), np.zeros((sum(map(len, numbers)), 3)), [[5] * 3] * len(kinds),
        [[90] * 3] * len(kinds), [len(row) for row in numbers], list(map(str, range(len(kinds)))),
    )  # fmt: skip


def test_the_first_anion_of_the_list_decides_and_an_element_has_none():
    batch = crystals("Ti O O", "Ti O N F", "Ti N Cl", "Na Cl", "Zn S Se", "Zn Te", "Ga As", "Fe Al",
                     "O O", "C H", "Cs I")  # fmt: skip
    assert anion_classes(batch).tolist() == [
        "oxide", "oxide", "nitride", "halide", "sulfide", "selenide or telluride", "pnictide",
        "none", "none", "none", "halide",
    ]  # fmt: skip
    assert anion_classes(CrystalBatch.empty()).shape == (0,)


def test_a_shift_is_the_mean_error_of_each_class():
    batch = crystals("Ti O", "Mg O", "Na Cl", "Fe Al", "K Cl")
    shift = AnionShift.fit(batch, [0.03, 0.05, -0.01, 0.02, np.nan], "five")
    assert shift.shifts["oxide"] == pytest.approx(0.04)
    assert shift.shifts["halide"] == pytest.approx(-0.01)
    assert shift.shifts["nitride"] == pytest.approx(0.0225)  # of all, as there is none
    assert shift.of(batch).tolist() == pytest.approx([0.04, 0.04, -0.01, 0.02, -0.01])
    assert "oxide +40" in shift.describe() and "five" in shift.describe()


def test_it_comes_back_from_its_file_and_wrong_ones_are_named(tmp_path):
    shift = AnionShift(dict.fromkeys(CLASSES, 0.01), "a few", "none")
    shift.save(tmp_path / "shift.json")
    assert AnionShift.load(tmp_path / "shift.json") == shift
    with pytest.raises(InputError, match="no such file"):
        AnionShift.load(tmp_path / "none.json")
    (tmp_path / "part.json").write_text('{"shifts": {"oxide": 0.1}}')
    with pytest.raises(InputError, match="needs the classes oxide, nitride"):
        AnionShift.load(tmp_path / "part.json")
    with pytest.raises(InputError, match="the shift of the class oxide is nan"):
        AnionShift({**shift.shifts, "oxide": float("nan")})
    with pytest.raises(InputError, match="2 errors for 1 crystals"):
        AnionShift.fit(crystals("Na Cl"), [1.0, 2.0])
    with pytest.raises(InputError, match="no crystal to fit"):
        AnionShift.fit(crystals("Na Cl"), [np.nan])


def test_the_shipped_shift_takes_the_mean_error_of_test_crystals_away():
    """CHGNet's own energies of 60 test crystals, unrelaxed, against density functional theory."""
    from flowllm import load_dataset
    from flowllm.data.energies import formation_energies
    from flowllm.relax import RelaxSettings, relax
    from flowllm.stability import load_hull

    test = load_dataset("mp_20", "test")[::147]
    made = relax(test.crystals, RelaxSettings(steps=0), workers=1)
    formation = load_hull().references.formation_energy(test.crystals, made.initial_energies)
    errors = formation - formation_energies(test)
    known = np.isfinite(errors)
    assert known.sum() > 55
    raw, shifted = errors[known], (errors - chgnet_shift().of(test.crystals))[known]
    assert raw.mean() > 0.006  # CHGNet lies above: no lower bound
    assert abs(shifted.mean()) < 0.6 * raw.mean()
    assert np.abs(shifted).mean() < np.abs(raw).mean() < 0.035
