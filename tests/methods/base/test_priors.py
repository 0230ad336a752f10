"""Priors beside the language model: what they draw, how a seed fixes it, how they are kept."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowllm.conditions.conditions import Conditions
from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.elements import RANK_OF
from flowllm.errors import InputError
from flowllm.methods.base import BasePrior, SimpleBase, Substitution, TrainingSpecies
from flowllm.methods.base import prior as prior_module
from flowllm.methods.base.templates import TemplateIndex, mendeleev_numbers
from flowllm.methods.flow.settings import RefineSettings
from flowllm.methods.language_model.settings import SamplingSettings
from flowllm.systems.system import FlowLLM
from flowllm.systems.watch import UNWATCHED
from flowllm.text.prompts import parse_prompt
from flowllm.workflows.train.source import LANGUAGE_MODEL, make_prior

SETTINGS = SamplingSettings()
KINDS = (LANGUAGE_MODEL, *prior_module.KINDS)


def cubic(symbols: str, length: float, name: str) -> CrystalBatch:
    """A crystal of a cubic cell with atoms along its diagonal."""
    from flowllm.crystals.elements import NUMBER_OF

    numbers = [NUMBER_OF[s] for s in symbols.split()]
    coords = np.linspace(0, 0.9, len(numbers))[:, None].repeat(3, 1)
    cell = ([[length] * 3], [[90.0] * 3])
    return CrystalBatch(numbers, coords, *cell, [len(numbers)], [name])


@pytest.fixture(scope="module")
def training():
    """Salts of two and three atoms and a ternary, none of Na and Cl together."""
    return CrystalBatch.concatenate(
        [
            cubic("K Br", 4.7, "KBr"),
            cubic("Na F", 3.3, "NaF"),
            cubic("Mg O", 3.0, "MgO"),
            cubic("Ca F F", 3.9, "CaF2"),
            cubic("Sr Ti O O O", 3.9, "SrTiO3"),
            cubic("Na Cl", 4.0, "NaCl"),
        ]
    )


@pytest.fixture(scope="module")
def base(training):
    return SimpleBase.fit(training)


# ---- the simple base -----------------------------------------------------------------------------


def test_the_base_has_the_lengths_of_the_data_and_uniform_coordinates_and_angles():
    base = SimpleBase((1.0, 1.5, 2.0), (0.1, 0.2, 0.3))
    crystals = CrystalBatch.concatenate(base.place({"Na": 1, "Cl": 2}, k) for k in range(3000))
    logs = np.log(crystals.lengths)
    np.testing.assert_allclose(logs.mean(0), base.log_mean, atol=0.02)
    np.testing.assert_allclose(logs.std(0), base.log_std, rtol=0.05)
    quarters = np.histogram(crystals.frac_coords, np.linspace(0, 1, 5))[0] / 27_000
    np.testing.assert_allclose(quarters, 0.25, atol=0.015)
    assert crystals.angles.min() >= 60 and crystals.angles.max() <= 120
    # flat cells are drawn again, so angles that do not go together are a little rarer
    np.testing.assert_allclose(crystals.angles.mean(0), 90, atol=1.0)
    assert (crystals.volumes > 0.0999 * crystals.lengths.prod(1)).all()


def test_the_base_is_fitted_to_logarithms():
    lengths = np.exp(np.array([[1.0, 2.0, 3.0], [1.2, 2.4, 3.6]]))
    crystals = CrystalBatch(
        [1, 1], np.zeros((2, 3)), lengths, np.full((2, 3), 90), [1, 1], ["a", "b"]
    )
    fitted = SimpleBase.fit(crystals)
    np.testing.assert_allclose(fitted.log_mean, [1.1, 2.2, 3.3])
    np.testing.assert_allclose(fitted.log_std, [0.1, 0.2, 0.3])
    with pytest.raises(InputError, match="needs crystals to fit"):
        SimpleBase.fit(CrystalBatch.empty())


@given(st.dictionaries(st.sampled_from("H Li O Na Fe U".split()), st.integers(1, 4), min_size=1))
def test_atoms_stand_in_the_order_of_the_text(composition):
    crystal = SimpleBase((1.5,) * 3, (0.2,) * 3).place(composition, 0)
    assert crystal.compositions == [composition]
    ranks = [RANK_OF[s] for s in crystal.compositions[0]]
    assert ranks == sorted(ranks)


@pytest.mark.parametrize("composition", [{}, {"Xx": 1}, {"Na": 0}])
def test_what_is_no_composition_is_refused(base, composition):
    with pytest.raises(InputError, match="is not the composition"):
        base.place(composition, 0)


# ---- the nearest training crystal ----------------------------------------------------------------


def test_the_nearest_is_of_the_same_stoichiometry_and_of_another_formula(training):
    index = TemplateIndex(training)
    found = index.nearest({"Na": 1, "Cl": 1})
    assert training.ids[found.row] in ("KBr", "NaF")  # NaCl itself would be the answer
    assert training.ids[index.nearest({"Ba": 1, "Cl": 2}).row] == "CaF2"
    assert training.ids[index.nearest({"Ba": 1, "Zr": 1, "O": 3}).row] == "SrTiO3"
    assert index.nearest({"Na": 3, "Cl": 3}) is None
    assert index.nearest({"Ca": 1, "F": 2}) is None  # but for itself there is none


def test_elements_take_the_places_of_those_most_like_them(training):
    found = TemplateIndex(training).nearest({"S": 3, "Zr": 1, "Ba": 1})
    symbols = {38: 56, 22: 40, 8: 16}  # Sr -> Ba, Ti -> Zr, O -> S
    assert found.exchange == symbols


@pytest.mark.slow
def test_the_distance_is_the_least_over_all_assignments(mp20_crystals):
    import itertools

    from flowllm.crystals.elements import NUMBER_OF

    small, scale = mp20_crystals[:200], mendeleev_numbers()
    index = TemplateIndex(small)
    wanted = {"Li": 2, "Co": 2, "Mn": 2, "O": 6}
    found = index.nearest(wanted)
    distances = []
    for template in small.compositions:
        if sorted(template.values()) != [2, 2, 2, 6]:
            continue
        for order in itertools.permutations(wanted):
            if [template[s] for s in template] == [wanted[s] for s in order]:
                gaps = [
                    wanted[b] * abs(scale[NUMBER_OF[a]] - scale[NUMBER_OF[b]])
                    for a, b in zip(template, order, strict=True)
                ]
                distances.append(sum(gaps) / 12)
    assert found.distance == pytest.approx(min(distances))


def test_a_substituted_crystal_keeps_the_places_and_has_its_own_volume(training, base):
    crystal = Substitution(training, base).place({"Ba": 1, "Zr": 1, "O": 3}, 0)
    template = training[4]
    assert crystal.compositions == [{"Ba": 1, "Zr": 1, "O": 3}]
    np.testing.assert_array_equal(crystal.angles, template.angles)
    np.testing.assert_allclose(
        np.sort(crystal.frac_coords, axis=0), np.sort(template.frac_coords, axis=0)
    )
    assert crystal.volumes[0] > template.volumes[0]  # Ba and Zr are larger than Sr and Ti


def test_without_a_template_the_simple_base_helps_out(training, base):
    guess = Substitution(training, base)
    composition = {"Na": 3, "Cl": 3}
    same = base.place(composition, 7)
    np.testing.assert_array_equal(guess.place(composition, 7).frac_coords, same.frac_coords)


# ---- types and whole priors ----------------------------------------------------------------------


def test_drawn_compositions_are_those_of_the_data_and_heed_the_number_of_atoms(training):
    source = TrainingSpecies(training)
    asked = [Conditions(), Conditions(num_atoms=2)] * 60
    drawn = source.compositions(asked, SETTINGS, range(120), UNWATCHED)
    assert all(c in training.compositions for c in drawn)
    assert {sum(c.values()) for c in drawn[1::2]} == {2}
    assert {sum(c.values()) for c in drawn[::2]} == {2, 3, 5}
    asked = [Conditions(composition={"Li": 1})]
    assert source.compositions(asked, SETTINGS, [0], UNWATCHED) == [{"Li": 1}]
    with pytest.raises(InputError, match="7 atoms"):
        source.check(Conditions(num_atoms=7))
    prior = BasePrior(source, SimpleBase.fit(training))
    with pytest.raises(InputError, match="does not support the condition space_group"):
        FlowLLM(prior, None, [0, 1]).generate(1, space_group=225)


def test_written_types_are_those_of_the_crystals_that_the_model_writes(system, training):
    prompts = [Conditions(num_atoms=n) for n in (1, 2, 3, 4, 5, 6)]
    settings, seeds = SamplingSettings(temperature=1.0, top_p=1.0, overlap=True), range(6)
    whole = system.prior.sample(prompts, settings, seeds)
    for kind in ("types", "substitution"):
        typed = make_prior(kind, system.prior, training).sample(prompts, settings, seeds)
        made = dict(zip(typed.ids, typed.compositions, strict=True))
        for name, composition in zip(whole.ids, whole.compositions, strict=True):
            assert made[name] == composition


@pytest.mark.parametrize("kind", KINDS)
def test_a_system_with_any_prior_is_kept_and_gives_the_same_crystals(
    kind, system, training, tmp_path
):
    prior = make_prior(kind, system.prior, training)
    whole = FlowLLM(prior, system.refiner, [0, 3, 2, *[0] * 17])
    whole.save_pretrained(tmp_path / "system")
    again = FlowLLM.from_pretrained(tmp_path / "system", "cpu")
    settings = RefineSettings(steps=2)
    one, other = (s.generate(6, seed=3, refinement=settings) for s in (whole, again))
    np.testing.assert_array_equal(one.prior.atomic_numbers, other.prior.atomic_numbers)
    np.testing.assert_array_equal(one.prior.frac_coords, other.prior.frac_coords)
    np.testing.assert_array_equal(one.refined.lengths, other.refined.lengths)
    assert whole.digest().split()[1] == again.digest().split()[1]
    written = kind != "compositions"
    assert bool(list((tmp_path / "system").rglob("tokenizer.json"))) == written


def test_each_prior_has_a_fingerprint_of_its_own(system, training):
    names = {
        FlowLLM(make_prior(k, system.prior, t), system.refiner, [0, 3, 2, *[0] * 17]).digest()
        for k in KINDS
        for t in (training, training[:5])
    }
    assert len(names) == 7  # the language model alone does not depend on the training crystals


def test_a_prior_that_lacks_a_part_says_which(system, training):
    with pytest.raises(InputError, match="unknown prior 'magic'; choose from types"):
        make_prior("magic", system.prior, training)
    with pytest.raises(InputError, match="needs a language model"):
        make_prior("types", None, training)
    with pytest.raises(InputError, match="needs training crystals"):
        make_prior("substitution", system.prior, None)
    assert make_prior("compositions", None, training) is not None


def test_a_damaged_prior_is_named(system, training, tmp_path):
    import json

    FlowLLM(make_prior("types", system.prior, training), system.refiner, [1]).save_pretrained(
        tmp_path
    )
    file = tmp_path / "prior" / "base.json"
    about = json.loads(file.read_text())
    file.write_text(json.dumps({**about, "base": {"log_mean": "x"}}))
    with pytest.raises(InputError, match=r"base\.json: base: log_mean must be a list, not 'x'"):
        FlowLLM.from_pretrained(tmp_path, "cpu")
    file.write_text(json.dumps({**about, "prior": "magic"}))
    with pytest.raises(InputError, match="unknown prior 'magic'"):
        FlowLLM.from_pretrained(tmp_path, "cpu")


@pytest.mark.parametrize("kind", KINDS)
def test_folders_of_the_first_version_are_read(kind, system, training, tmp_path):
    """lm/, flow/ and training.npz beside a system.json that held the numbers of the base."""
    import json

    prior = make_prior(kind, system.prior, training)
    system.refiner.save(tmp_path / "flow")
    about = {"num_atoms_histogram": [0, 3, 2, *[0] * 17]}
    if kind == LANGUAGE_MODEL:
        prior.save(tmp_path / "lm")
    else:
        prior.save(tmp_path)
        about |= json.loads((tmp_path / "base.json").read_text())
        (tmp_path / "base.json").unlink()
    (tmp_path / "system.json").write_text(json.dumps(about))
    again = FlowLLM.from_pretrained(tmp_path, "cpu")
    assert again.prior.digest() == prior.digest()
    assert again.refiner.digest() == system.refiner.digest()


def test_prompts_reach_the_types(system, training):
    prior = make_prior("types", system.prior, training)
    whole = FlowLLM(prior, system.refiner, [0, 3, 2, *[0] * 17])
    result = whole.generate(4, formula="NaCl", num_atoms=4, refinement=RefineSettings(steps=1))
    assert set(result.refined.formulas) == {"NaCl"}
    assert all(parse_prompt(p).composition == {"Na": 2, "Cl": 2} for p in result.prompts)
