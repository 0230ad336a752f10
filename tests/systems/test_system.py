"""FlowLLM: what is asked is what comes, the same for the same seed, however it is cut."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import flowllm
from flowllm.conditions.conditions import Conditions
from flowllm.conditions.ranges import Range, TrainingRanges
from flowllm.conditions.request import Request
from flowllm.crystals.batch import CrystalBatch
from flowllm.data.reduce import reduce_structure
from flowllm.errors import InputError
from flowllm.methods.equivariant.settings import EquivariantSettings
from flowllm.methods.flow.refiner import FlowRefiner
from flowllm.methods.flow.settings import RefineSettings
from flowllm.methods.language_model.settings import SamplingSettings
from flowllm.methods.templates.settings import TemplateSettings
from flowllm.systems.record import find_model
from flowllm.systems.sampling import crystal_seed
from flowllm.systems.system import FlowLLM
from flowllm.text.prompts import build_prompt, prompt_of
from flowllm.workflows.generate import generate_run
from flowllm.workflows.settings import GenerateSettings

FEW_STEPS = RefineSettings(steps=2)


def equal(a: CrystalBatch, b: CrystalBatch) -> bool:
    return all(np.array_equal(getattr(a, f), getattr(b, f)) for f in a.__dataclass_fields__)


# ---- what is asked is what comes -----------------------------------------------------------------


def test_a_formula_is_kept_to_the_atom_in_every_crystal(system):
    result = system.generate(6, formula="TiSrO3", refinement=FEW_STEPS)
    assert result.refined.formulas == ["SrTiO3"] * 6
    for composition in result.refined.compositions:
        assert composition["O"] == 3 * composition["Sr"] == 3 * composition["Ti"]
    assert set(result.refined.num_atoms) <= {5, 10, 15, 20}
    for prompt, cell in zip(result.prompts, result.refined.compositions, strict=True):
        assert f"The unit cell contains Sr{cell['Sr']} Ti{cell['Ti']} O{cell['O']}. " in prompt
    assert [stage.crystals for stage in result.stages] == [6, 6]


def test_a_formula_counts_by_what_is_left_of_it_when_it_is_reduced(system):
    result = system.generate(1, formula="Na30Cl30", refinement=FEW_STEPS)
    assert result.refined.formulas == ["NaCl"]


@pytest.mark.parametrize("elements", ["Li,Fe,O", ["O", "Li", "Fe"]])
def test_just_the_elements_asked_for_come(system, elements):
    result = system.generate(5, elements=elements, refinement=FEW_STEPS)
    assert all(set(c) == {"Li", "Fe", "O"} for c in result.refined.compositions)


def test_the_number_of_atoms_is_kept(system):
    result = system.generate(4, num_atoms=7, refinement=FEW_STEPS)
    assert result.refined.num_atoms.tolist() == [7] * 4


def test_left_open_the_number_of_atoms_is_as_frequent_as_in_the_data(system):
    prompts = [
        prompt_of(Request().of_crystal(i, 0, system.num_atoms_histogram)) for i in range(900)
    ]
    counts = np.array([int(p.split("The number of atoms is ")[1].split(".")[0]) for p in prompts])
    shares = np.bincount(counts, minlength=21)[1:] / 900
    assert shares[0] == 0
    assert np.abs(shares - np.array(system.num_atoms_histogram) / 9).max() < 0.06


def test_prompts_are_used_in_turn_and_say_how_many(system):
    prompts = [
        prompt_of(Request(formula=f).of_crystal(0, 0, [1] + [0] * 19)) for f in ("NaCl", "Si")
    ]
    result = system.generate(prompts=prompts, refinement=FEW_STEPS)
    assert result.refined.formulas == ["NaCl", "Si"]
    more = system.generate(3, prompts=prompts, refinement=FEW_STEPS)
    assert more.refined.formulas == ["NaCl", "Si", "NaCl"]


def test_refinement_moves_atoms_and_cells_but_no_types_and_no_ids(system):
    result = system.generate(4, num_atoms=5, refinement=FEW_STEPS)
    prior, refined = result.prior, result.refined
    assert np.array_equal(prior.atomic_numbers, refined.atomic_numbers)
    assert (
        prior.ids.tolist() == refined.ids.tolist() == ["c000000", "c000001", "c000002", "c000003"]
    )
    assert not np.allclose(prior.frac_coords, refined.frac_coords)
    assert not np.allclose(prior.lengths, refined.lengths)


def test_record_keeps_every_step(system):
    settings = RefineSettings(steps=3, solver="midpoint", record=True)
    result = system.generate(2, num_atoms=2, refinement=settings)
    assert result.trajectory.times.tolist() == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert equal(result.trajectory.first, result.prior)
    assert equal(result.trajectory.last, result.refined)


# ---- reproducible --------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_crystals_and_another_gives_others(system):
    first, again, other = (
        system.generate(4, seed=seed, refinement=FEW_STEPS) for seed in (5, 5, 6)
    )
    assert equal(first.refined, again.refined)
    assert first.prior.formulas != other.prior.formulas


def test_a_run_cut_in_two_gives_the_crystals_of_the_whole(system):
    request = Request(num_atoms=4)
    noisy = SamplingSettings(noise=0.01)
    whole, *halves = (
        system.generate_range(indices, request, 1, noisy, FEW_STEPS)
        for indices in (range(6), range(3), range(3, 6))
    )
    joined = CrystalBatch.concatenate(half.refined for half in halves)
    assert [p for half in halves for p in half.prompts] == whole.prompts
    assert np.array_equal(joined.atomic_numbers, whole.refined.atomic_numbers)
    assert joined.ids.tolist() == whole.refined.ids.tolist()
    for name in ("frac_coords", "lengths", "angles"):
        a, b = getattr(joined, name), getattr(whole.refined, name)
        assert np.allclose(a, b, atol=1e-5), name


def test_every_try_has_a_seed_of_its_own():
    seeds = {crystal_seed(s, i, k) for s in range(5) for i in range(20) for k in range(5)}
    assert len(seeds) == 500


# ---- rejection -----------------------------------------------------------------------------------


@pytest.fixture
def salt():
    return CrystalBatch([11, 17], [[0] * 3, [0.5] * 3], [[4.0] * 3], [[60.0] * 3], [2], ["salt"])


class Stubborn:
    """A prior that fails its first tries at some crystals."""

    kind, label, Settings = "stubborn", "stubborn", SamplingSettings
    exact, heeded = frozenset(), frozenset({"num_atoms", "composition"})

    def __init__(self, crystal: CrystalBatch, failures: int) -> None:
        self.crystal, self.failures, self.calls = crystal, failures, []

    def check(self, asked):
        pass

    def sample(self, asked, settings, seeds, watch):
        self.calls.append(len(asked))
        kept = range(len(asked)) if len(self.calls) > self.failures else range(1, len(asked), 2)
        return CrystalBatch.concatenate(
            self.crystal.replace(ids=np.array([str(place)])) for place in kept
        )


def test_rejected_samples_are_drawn_again_and_counted(system, salt):
    prior = Stubborn(salt, failures=2)
    result = FlowLLM(prior, system.refiner, [1.0]).generate(5, refinement=FEW_STEPS)
    assert prior.calls == [5, 3, 2]
    assert len(result.refined) == 5
    assert result.stages[0].rejected == 3 + 2


def test_a_prompt_that_never_gives_a_crystal_is_named(system, salt):
    prior = Stubborn(salt, failures=10**6)
    with pytest.raises(InputError, match="no crystal in 20 tries for the prompt .*Sr. Ti. O"):
        sizes = [1.0] * 20
        FlowLLM(prior, system.refiner, sizes).generate(1, formula="SrTiO3", refinement=FEW_STEPS)


def test_progress_goes_up_to_the_end_in_both_stages(system):
    seen = []
    system.generate(3, num_atoms=2, refinement=FEW_STEPS, progress=lambda *a: seen.append(a))
    for stage in ("language model", "Riemannian flow"):
        done = [count for name, count, total in seen if name == stage and total == 3]
        assert done == sorted(done) and done[-1] == 3


# ---- bad requests --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        ({"num": 0}, "at least 1, not 0"),
        ({"seed": -1}, "seed must be at least 0, not -1"),
        ({"formula": "Xx2O"}, "Xx"),
        ({"formula": "Li7La3Zr2O12"}, "24 atoms"),
        (
            {"formula": "SrTiO3", "num_atoms": 7},
            "5, 10, 15 or 20 atoms, not the number of atoms 7",
        ),
        ({"elements": "Li,Qq"}, "unknown element 'Qq'"),
        ({"elements": ""}, "empty"),
        ({"elements": "Li,Fe,O", "num_atoms": 2}, "3 elements do not fit in 2 atoms"),
        ({"elements": "Li,Be,B,C,N,O,F"}, "no cell of 7 atoms"),
        ({"num_atoms": 21}, "21"),
        ({"num_atoms": 0}, "0"),
        ({"prompts": ["a"], "formula": "NaCl"}, "leave out"),
        ({"prompts": ["The elements are Li, Qq. "]}, "Qq"),
        ({"composition": "Sr1 Ti1", "formula": "SrTiO3"}, "not a multiple of formula SrTiO3"),
        ({"composition": "Na2", "space_group": 229}, "space group 229 has sites for unit cell Na2"),
        ({"space_group": 0}, "space group must be from 1 to 230, not 0"),
        ({"e_above_hull": float("inf")}, "e_above_hull must be finite, not inf"),
        (
            {"prompts": [build_prompt(Conditions(composition={"Na": 2}, space_group=229))]},
            "prompt 'The unit cell contains Na2.*sites for unit cell Na2",
        ),
    ],
)
def test_wishes_that_cannot_be_met_are_named(system, wishes, message):
    with pytest.raises(InputError, match=message):
        system.generate(**{"num": 1, **wishes})


def test_settings_of_another_kind_of_part_are_refused(system, tmp_path):
    with pytest.raises(InputError, match="Riemannian flow: .* must be RefineSettings, not Equiv"):
        system.generate(1, num_atoms=2, refinement=EquivariantSettings())
    with pytest.raises(InputError, match="language model: .* must be SamplingSettings, not Templ"):
        system.generate(1, num_atoms=2, sampling=TemplateSettings())
    # those left open are the parts' own, in the record of a run too
    asked = GenerateSettings(2, Request(num_atoms=2), part_size=2)
    made = generate_run(system, asked, tmp_path / "open")
    full = GenerateSettings(2, asked.request, SamplingSettings(), RefineSettings(), part_size=2)
    again = generate_run(system, full, tmp_path / "open")  # the same run, which is finished
    assert equal(made.refined, again.refined)


# ---- files ---------------------------------------------------------------------------------------


def test_a_saved_system_gives_the_same_crystals(system, tmp_path):
    system.save_pretrained(tmp_path / "copy")
    copy = FlowLLM.from_pretrained(tmp_path / "copy", "cpu")
    a, b = (s.generate(3, num_atoms=3, refinement=FEW_STEPS) for s in (system, copy))
    assert equal(a.refined, b.refined)
    assert copy.num_atoms_histogram == system.num_atoms_histogram
    system.save_pretrained(tmp_path / "half", half=True)
    stored = load_file(tmp_path / "half" / "prior" / "model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16}
    half = FlowLLM.from_pretrained(tmp_path / "half", "cpu")
    assert next(half.prior.model.parameters()).dtype == torch.float32


def test_a_saved_system_remembers_what_training_had(system, tmp_path):
    seen = TrainingRanges(9, {"band_gap": Range(9, 0.0, 0.1, 4.0, 5.0)}, {"Na": 9}, {225: {2: 9}})
    parts = system.prior, system.refiner, system.num_atoms_histogram, "tiny"
    FlowLLM(*parts, seen).save_pretrained(tmp_path / "copy")
    copy = FlowLLM.from_pretrained(tmp_path / "copy", "cpu")
    assert copy.training == seen
    prompts = [prompt_of(copy.asked(Request(space_group=225), i, 0)) for i in range(20)]
    assert all("The number of atoms is 2. " in prompt for prompt in prompts)
    # sizes of cells are drawn by it, so it is part of what crystals depend on
    assert FlowLLM(*parts, seen).digest() != FlowLLM(*parts).digest()


def test_the_fingerprint_follows_name_weights_and_histogram(system, system_folder, tmp_path):
    same = FlowLLM(system.prior, system.refiner, system.num_atoms_histogram, system.name)
    assert same.digest() == system.digest()
    assert system.digest().startswith("tiny (")
    others = [
        FlowLLM(system.prior, system.refiner, system.num_atoms_histogram, "other"),
        FlowLLM(system.prior, system.refiner, [1.0], system.name),
    ]
    shutil.copytree(system_folder, tmp_path / "tiny")
    weights = tmp_path / "tiny" / "refiner" / "model.safetensors"
    save_file({n: t + 1e-3 for n, t in load_file(weights).items()}, weights)
    others.append(FlowLLM.from_pretrained(tmp_path / "tiny", "cpu"))
    assert len({s.digest() for s in (system, *others)}) == 4


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def without_a_weight(path):
    tensors = load_file(path)
    tensors.pop(next(name for name in tensors if "mlp" in name or "layers" in name))
    save_file(tensors, path, metadata={"format": "pt"})


def not_a_number(path):
    tensors = load_file(path)
    next(iter(tensors.values())).view(-1)[0] = float("nan")
    save_file(tensors, path, metadata={"format": "pt"})


def another_kind(path):
    path.write_text(json.dumps({"model_type": "bert", "vocab_size": 10}))


def text(content):
    return lambda path: path.write_text(content)


def changed(**values):
    return lambda path: path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize(
    ("file", "damage", "named"),
    [
        ("system.json", lambda path: path.unlink(), "is not a model"),
        ("system.json", text("{"), "system.json"),
        ("system.json", text("[1, 2]"), "system.json"),
        ("system.json", changed(num_atoms_histogram=[]), "system.json"),
        ("system.json", changed(num_atoms_histogram=["many"]), "system.json"),
        ("system.json", changed(num_atoms_histogram=3), "system.json"),
        ("system.json", changed(training={}), "training data: ranges is missing"),
        ("system.json", changed(start="soon"), "start must be a finite number, not 'soon'"),
        ("system.json", changed(start=1.5), r"start must be in \[0, 1\)"),
        ("system.json", changed(parts=[]), "parts must be a JSON object, not a list"),
        ("system.json", changed(parts={}), "has a prior"),
        ("system.json", changed(parts={"prior": {"kind": "x", "folder": "../x"}}), "outside"),
        (
            "system.json",
            changed(parts={"prior": {"kind": "x", "folder": "x"}}),
            "unknown prior 'x'",
        ),
        ("prior/model.safetensors", cut, "prior"),
        ("prior/model.safetensors", lambda path: path.unlink(), "prior"),
        ("prior/model.safetensors", without_a_weight, "prior"),
        ("prior/model.safetensors", not_a_number, "prior.*not finite"),
        ("prior/config.json", another_kind, "prior"),
        ("prior/tokenizer.json", cut, "prior"),
        ("refiner/model.safetensors", cut, "refiner"),
        ("refiner/model.safetensors", without_a_weight, "refiner"),
        ("refiner/config.json", another_kind, "refiner"),
        ("refiner/config.json", text("nothing"), "refiner"),
    ],
)
def test_damaged_and_foreign_weights_are_named(system_folder, tmp_path, file, damage, named):
    folder = tmp_path / "damaged"
    shutil.copytree(system_folder, folder)
    damage(folder / file)
    with pytest.raises(InputError, match=named):
        FlowLLM.from_pretrained(folder, "cpu")


def test_language_model_and_flow_in_each_others_place_are_refused(system_folder, tmp_path):
    shutil.copytree(system_folder / "prior", tmp_path / "refiner")
    shutil.copytree(system_folder / "refiner", tmp_path / "prior")
    shutil.copy(system_folder / "system.json", tmp_path)
    with pytest.raises(InputError, match="refiner"):
        FlowLLM.from_pretrained(tmp_path, "cpu")


def test_a_model_that_is_nowhere_is_named(tmp_path):
    with pytest.raises(InputError, match="nothing-here is not a model"):
        find_model(tmp_path / "nothing-here")


def test_only_what_can_be_loaded_again_is_saved(system, salt, tmp_path):
    odd = FlowLLM(Stubborn(salt, 0), system.refiner, [1.0])
    with pytest.raises(InputError, match="can be saved"):
        odd.save_pretrained(tmp_path / "odd")
    assert not (tmp_path / "odd").exists()


def test_a_refiner_refines_crystals_from_elsewhere(system, sample_crystals):
    trajectory = system.refine(sample_crystals[:3], FEW_STEPS)
    assert isinstance(system.refiner, FlowRefiner)
    assert trajectory.last.ids.tolist() == sample_crystals.ids[:3].tolist()
    assert trajectory.last.formulas == sample_crystals[:3].formulas


def test_a_structure_too_large_is_named_and_another_reduced():
    from pymatgen.core import Lattice, Structure

    salt = Structure.from_spacegroup(
        "Fm-3m", Lattice.cubic(5.6), ["Na", "Cl"], [[0] * 3, [0.5] * 3]
    )
    coords = np.random.default_rng(0).random((21, 3))
    large = Structure(Lattice.cubic(12), ["Si"] * 21, coords)
    crystal = reduce_structure(salt, "salt")
    assert crystal.num_atoms.tolist() == [2] and crystal.ids.tolist() == ["salt"]
    with pytest.raises(InputError, match="large: 21 atoms"):
        reduce_structure(large, "large")


# ---- the package ---------------------------------------------------------------------------------


def test_the_public_list_is_there_and_nothing_else():
    from flowllm.crystals.trajectory import Trajectory
    from flowllm.data import load_dataset

    assert flowllm.FlowLLM is FlowLLM and flowllm.CrystalBatch is CrystalBatch
    assert flowllm.Trajectory is Trajectory and flowllm.load_dataset is load_dataset
    assert set(flowllm.__all__) <= set(dir(flowllm))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = flowllm.nothing


def test_importing_the_package_loads_no_large_library():
    code = "import sys, flowllm; print(sorted({'torch', 'numpy', 'transformers'} & {*sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
