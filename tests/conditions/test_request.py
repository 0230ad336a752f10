"""What a person asks for, as one prompt for each crystal."""

import numpy as np
import pytest

from flowllm.conditions.conditions import Conditions
from flowllm.conditions.contradictions import check_together
from flowllm.conditions.ranges import TrainingRanges
from flowllm.conditions.request import Request
from flowllm.errors import InputError
from flowllm.systems.system import FlowLLM
from flowllm.text import build_prompt, parse_prompt
from flowllm.text.prompt_file import read_prompts
from flowllm.text.prompts import OPENING, REQUEST, prompt_of

HISTOGRAM = [0, 3, 0, 5, 2, *[0] * 15]  # two, four and five atoms


def counts_of(request: Request, many: int, seed: int = 0) -> np.ndarray:
    prompts = [prompt_of(request.of_crystal(i, seed, HISTOGRAM)) for i in range(many)]
    return np.array([parse_prompt(p).num_atoms for p in prompts])


def test_sizes_follow_the_training_data():
    counts = counts_of(Request(), 1500)
    share = np.bincount(counts, minlength=21)[1:] / 1500
    assert np.abs(share - np.array(HISTOGRAM) / 10).max() < 0.05
    assert counts.tolist() == counts_of(Request(), 1500).tolist()
    assert counts.tolist() != counts_of(Request(), 1500, seed=1).tolist()


def test_a_cell_is_large_enough_for_the_elements():
    counts = counts_of(Request(elements=("Li", "Fe", "O")), 300)
    assert set(counts.tolist()) == {4, 5}
    with pytest.raises(InputError, match="no cell of 6 atoms"):
        prompt_of(Request(elements=("Li", "Fe", "O", "H", "C", "N")).of_crystal(0, 0, HISTOGRAM))


def test_what_is_asked_stands_in_the_prompt():
    asked = Request(formula="Ti2Sr2O6")
    assert asked.formula == "SrTiO3"
    cells = [{"Sr": n, "Ti": n, "O": 3 * n} for n in (1, 2, 3, 4)]
    whole = [build_prompt(Conditions(composition=cell)) for cell in cells]
    assert prompt_of(asked.of_crystal(3, 0, HISTOGRAM)) in whole
    assert (
        prompt_of(Request(formula="SrTiO3", num_atoms=15).of_crystal(0, 0, HISTOGRAM)) == whole[2]
    )
    both = Request(elements=("O", "Fe"), num_atoms=7)
    assert prompt_of(both.of_crystal(0, 0, HISTOGRAM)) == build_prompt(
        Conditions(elements=("Fe", "O"), num_atoms=7)
    )
    own = Request(prompts=("a", "b"))
    system = FlowLLM(None, None, HISTOGRAM)
    assert [system.asked(own, i, 0).prompt for i in range(3)] == ["a", "b", "a"]


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        ({"formula": "SrTiO3", "num_atoms": 7}, ["SrTiO3", "number of atoms 7"]),
        ({"formula": "SrTiO3", "elements": ("Sr", "O")}, ["SrTiO3", "elements Sr, O"]),
        ({"elements": ("Li", "Fe", "O"), "num_atoms": 2}, ["3 elements", "2 atoms"]),
        ({"elements": ("Qq",)}, ["'Qq'"]),
        ({"num_atoms": 0}, ["0"]),
        ({"num_atoms": 3, "prompts": ("x",)}, ["leave out num_atoms"]),
        (
            {"space_group": 5, "band_gap": 1.0, "prompts": ("x",)},
            ["leave out band_gap, space_group"],
        ),
        ({"composition": {"Na": 2}, "space_group": 229}, ["unit cell Na2", "space group 229"]),
        ({"space_group": 231}, ["231"]),
        ({"composition": {"Na": 1.5}}, ["expected a whole number of Na atoms, got 1.5"]),
        ({"band_gap": float("nan")}, ["nan"]),
    ],
)
def test_wishes_that_cannot_be_met_are_named(wishes, said):
    with pytest.raises(InputError) as caught:
        check_together(Request(**wishes).conditions, 20)
    for part in said:
        assert part in str(caught.value)


def test_prompt_files(tmp_path):
    whole = build_prompt(Conditions(band_gap=1.0))
    file = tmp_path / "prompts.txt"
    file.write_text(f"{whole}\nThe number of atoms is 4.\n\n{OPENING}The band gap is 2.00.\n")
    assert read_prompts(file) == (
        whole,
        build_prompt(Conditions(num_atoms=4)),
        build_prompt(Conditions(band_gap=2.0)),
    )
    assert all(prompt.endswith(REQUEST) for prompt in read_prompts(file))
    file.write_text("\n \n")
    with pytest.raises(InputError, match=r"prompts\.txt contains no prompt"):
        read_prompts(file)
    with pytest.raises(InputError, match=r"absent\.txt"):
        read_prompts(tmp_path / "absent.txt")
    file.write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(InputError, match=r"prompts\.txt"):
        read_prompts(file)


def test_formula_units_come_as_often_as_the_data_have_cells_of_their_size():
    weights = [0.0] * 20
    weights[4], weights[9] = 3.0, 1.0  # cells of 5 and of 10 atoms
    asked = Request(formula="SrTiO3")
    prompts = [prompt_of(asked.of_crystal(i, 0, weights)) for i in range(800)]
    small = sum("Sr1 Ti1 O3" in prompt for prompt in prompts)
    assert sum("Sr2 Ti2 O6" in prompt for prompt in prompts) == 800 - small
    assert 550 < small < 650
    # data without a cell of any such size leave all equally likely
    found = {prompt_of(asked.of_crystal(i, 0, [1.0] + [0.0] * 19)) for i in range(100)}
    assert len(found) == 4


# ---- space groups and energies


def ranges(groups: dict[int, dict[int, int]]) -> TrainingRanges:
    return TrainingRanges(100, {}, {}, groups)


def test_sizes_of_cells_go_with_the_space_group():
    asked = Request(space_group=225)
    seen = ranges({225: {2: 30, 4: 10}, 62: {20: 60}})
    counts = [asked.of_crystal(i, 0, HISTOGRAM, seen).num_atoms for i in range(800)]
    share = counts.count(2) / 800
    assert set(counts) == {2, 4} and abs(share - 0.75) < 0.06
    # a space group of which nothing is known takes sizes of all crystals, if it has sites
    counts = {asked.of_crystal(i, 0, HISTOGRAM).num_atoms for i in range(300)}
    assert counts == {2, 4}  # five atoms have no sites in it
    screws = Request(space_group=19)
    counts = {screws.of_crystal(i, 0, HISTOGRAM).num_atoms for i in range(300)}
    assert counts == {4}
    # and where no training crystal has such a size, any that is possible
    counts = {screws.of_crystal(i, 0, [1.0] + [0.0] * 19).num_atoms for i in range(300)}
    assert counts == {4, 8, 12, 16, 20}


def test_a_formula_takes_only_cells_that_the_space_group_has_sites_for():
    asked = Request(formula="SrTiO3", space_group=140)
    cells = {prompt_of(asked.of_crystal(i, 0, [1.0] * 20)) for i in range(200)}
    found = [parse_prompt(prompt) for prompt in cells]
    assert {sum(c.composition.values()) for c in found} == {10, 20}
    assert {c.space_group for c in found} == {140}


def test_a_cell_that_is_known_stands_alone_in_the_prompt_with_group_and_energies():
    cell = {"Sr": 1, "Ti": 1, "O": 3}
    known = {"space_group": 221, "formation_energy": -3.4, "e_above_hull": 0.0, "band_gap": 1.8}
    every = Request(
        formula="SrTiO3", composition=cell, elements=("Sr", "Ti", "O"), num_atoms=5, **known
    )
    wanted = build_prompt(Conditions(composition=cell, **known))
    assert prompt_of(every.of_crystal(0, 0, HISTOGRAM)) == wanted
    assert prompt_of(Request(composition=cell, **known).of_crystal(5, 1, HISTOGRAM)) == wanted


def test_requests_are_read_as_people_write_them():
    read = Request.read(composition="Ti1Sr O3", elements="O, Ti,Sr", space_group=221)
    assert read.composition == {"Ti": 1, "Sr": 1, "O": 3}
    assert read.elements == ("O", "Ti", "Sr") and read.conditions.space_group == 221
    assert Request.read(elements=["O", "Ti"], prompts=[]) == Request(elements=("O", "Ti"))
    with pytest.raises(InputError, match="is not a unit cell"):
        Request.read(composition="SrTiO3.5")
