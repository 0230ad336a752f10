"""Training examples: deterministic, each row once an epoch, the loss on what the model writes."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from flowllm.conditions.conditions import Conditions
from flowllm.data import CrystalSet
from flowllm.methods.language_model import CrystalExamples
from flowllm.methods.language_model.examples import (
    IGNORED,
    INCLUSION,
    collate,
    known_conditions,
    random_part,
)
from flowllm.text import build_prompt, parse_prompt, to_text
from flowllm.text.formats.gruver.strings import parse_text
from flowllm.text.prompts import OUTLINE, REQUEST


def examples_of(crystal_set, tokenizer, **changes):
    settings = {"epochs": 2, "seed": 5, "batch_size": 8, **changes}
    return CrystalExamples(crystal_set, tokenizer, **settings)


def said(tokenizer, example) -> list[str]:
    """The stretches of an example that have labels."""
    ids, labels = np.array(example["input_ids"]), np.array(example["labels"])
    with_label = labels != IGNORED
    assert (labels[with_label] == ids[with_label]).all()
    edges = np.flatnonzero(np.diff(with_label.astype(int), prepend=0, append=0))
    return [tokenizer.decode(ids[a:b]) for a, b in edges.reshape(-1, 2)]


def parts(tokenizer, example) -> tuple[str, str]:
    """The prompt and the answer."""
    prompt, answer = tokenizer.decode(example["input_ids"]).split(REQUEST)
    return prompt + REQUEST, answer


def test_an_example_is_a_prompt_and_the_text_of_its_crystal(crystal_set, tokenizer):
    examples = examples_of(crystal_set, tokenizer)
    texts, known = to_text(crystal_set.crystals), known_conditions(crystal_set)
    for index in range(0, len(examples), 7):
        row = examples.order[index]
        prompt, answer = parts(tokenizer, examples[index])
        assert answer == texts[row] + "</s>"
        stated = parse_prompt(prompt)
        assert prompt == build_prompt(known[row].only(stated.known()))
        # the tokens are those that sampling will see
        whole = tokenizer(prompt + texts[row])["input_ids"]
        assert examples[index]["input_ids"] == [*whole, tokenizer.eos_token_id]


def test_the_loss_counts_the_outline_and_the_crystal(crystal_set, tokenizer):
    examples = examples_of(crystal_set, tokenizer)
    seen = set()
    for index in range(0, len(examples), 3):
        prompt, answer = parts(tokenizer, examples[index])
        stated = parse_prompt(prompt)
        expected = [answer]
        if stated.space_group is not None:
            expected.insert(0, f" {stated.space_group}. ")
        if stated.composition is not None:
            text = prompt.split("The unit cell contains")[1].split(". ")[0]
            expected.insert(0, f"{text}. ")
        assert said(tokenizer, examples[index]) == expected
        seen.add(len(expected))
    assert seen == {1, 2, 3}


def test_examples_depend_on_seed_and_position_alone(crystal_set, tokenizer):
    first, again = (examples_of(crystal_set, tokenizer) for _ in range(2))
    backwards = [again[i] for i in reversed(range(len(again)))][::-1]
    assert [first[i] for i in range(len(first))] == backwards
    other = examples_of(crystal_set, tokenizer, seed=6)
    assert first.order.tolist() != other.order.tolist()


def test_every_epoch_visits_every_row_once(crystal_set, tokenizer):
    part = crystal_set[:101]
    order = examples_of(part, tokenizer, epochs=3, batch_size=4).order.reshape(3, 101)
    for epoch in order:
        assert sorted(epoch.tolist()) == list(range(101))
    assert order[0].tolist() != order[1].tolist()


def test_batches_hold_texts_of_like_length(crystal_set, tokenizer):
    def padding(order):
        counts = crystal_set.crystals.num_atoms[order].reshape(-1, 8)
        return (counts.max(1, keepdims=True) - counts).mean()

    examples = examples_of(crystal_set, tokenizer, epochs=1)
    shuffled = np.random.default_rng(0).permutation(len(crystal_set))
    assert padding(examples.order) < 0.25 * padding(shuffled)
    # but short ones do not all come first
    batches = crystal_set.crystals.num_atoms[examples.order].reshape(-1, 8).mean(1)
    assert batches.tolist() != sorted(batches.tolist())


def test_each_condition_is_given_as_often_as_it_should(crystal_set):
    everything = Conditions(
        formula="SrTiO3", composition={"O": 3}, elements=("O",), num_atoms=3, space_group=221,
        formation_energy=-1.0, e_above_hull=0.0, band_gap=2.0,
    )  # fmt: skip
    rng, many = np.random.default_rng(0), 20_000
    drawn = [random_part(everything, rng).known() for _ in range(many)]
    for name, share in INCLUSION.items():
        expected = share if name in OUTLINE else share * 11 / 12
        assert abs(sum(name in kept for kept in drawn) / many - expected) < 0.012
    bare = sum(not set(kept) - set(OUTLINE) for kept in drawn) / many
    by_chance = np.prod([1 - share for name, share in INCLUSION.items() if name not in OUTLINE])
    assert abs(bare - (1 / 12 + 11 / 12 * by_chance)) < 0.012


WITHOUT_PYMATGEN = """
import sys
# what a bare GPU machine lacks; importing it raises
for name in ("pymatgen", "pymatgen.core", "pebble"):
    sys.modules[name] = None
from flowllm.data import CrystalSet
from flowllm.methods.language_model import CrystalExamples
from flowllm.methods.language_model.examples import known_conditions
from flowllm.text import build_tokenizer
data = CrystalSet.load(sys.argv[1])
examples = CrystalExamples(data, build_tokenizer(), epochs=1, seed=0, batch_size=4)
assert len(examples[0]["input_ids"]) > 10
print(" ".join(known.formula for known in known_conditions(data)))
"""


def test_prepared_data_are_read_without_pymatgen(crystal_set, tmp_path):
    crystal_set[:20].save(tmp_path / "train.npz")
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT_PYMATGEN, str(tmp_path / "train.npz")],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == crystal_set.crystals[:20].formulas


def test_what_is_unknown_is_never_stated(crystal_set):
    groups = np.array([0.0, np.nan, 221.0])
    gaps = np.array([np.nan, 1.5, np.inf])
    part = CrystalSet(crystal_set.crystals[:3], {"space_group": groups, "band_gap": gaps})
    known = known_conditions(part)
    assert [c.space_group for c in known] == [None, None, 221]
    assert [c.band_gap for c in known] == [None, 1.5, None]
    assert [c.e_above_hull for c in known] == [None] * 3
    for conditions, crystal in zip(known, part.crystals, strict=True):
        assert conditions.composition == crystal.compositions[0]
        assert conditions.num_atoms == len(crystal.atomic_numbers)
        assert set(conditions.elements) == set(conditions.composition)
        assert conditions.formula == crystal.formulas[0]


def test_fixed_conditions_for_validation(crystal_set, tokenizer):
    bare = examples_of(crystal_set, tokenizer, epochs=1, fixed=())
    outlined = examples_of(crystal_set, tokenizer, epochs=1, fixed=OUTLINE)
    given = examples_of(crystal_set, tokenizer, epochs=1, fixed=OUTLINE, given=("composition",))
    for index in (0, 50):
        prompt, answer = parts(tokenizer, bare[index])
        assert prompt == build_prompt() and said(tokenizer, bare[index]) == [answer]
        prompt, _ = parts(tokenizer, outlined[index])
        assert parse_prompt(prompt).known() == list(OUTLINE)
        assert given[index]["input_ids"] == outlined[index]["input_ids"]
        assert said(tokenizer, given[index]) == said(tokenizer, outlined[index])[1:]


def test_collate_pads_on_the_right():
    rows = [
        {"input_ids": [5, 6, 7], "labels": [IGNORED, 6, 7]},
        {"input_ids": [8, 9], "labels": [IGNORED, 9]},
    ]
    batch = collate(rows, pad=0)
    assert batch["input_ids"].tolist() == [[5, 6, 7], [8, 9, 0]]
    assert batch["labels"].tolist() == [[IGNORED, 6, 7], [IGNORED, 9, IGNORED]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 0]]
    assert batch["input_ids"].dtype == torch.long


def test_translations_move_all_atoms_together_by_another_vector_each_time(crystal_set, tokenizer):
    examples = examples_of(crystal_set, tokenizer, augmentation="translation")
    shifts = []
    for index in range(0, len(examples), 5):
        crystal = crystal_set.crystals[int(examples.order[index])]
        _, answer = parts(tokenizer, examples[index])
        moved = parse_text(answer.removesuffix("</s>"))
        assert moved.compositions == crystal.compositions
        np.testing.assert_allclose(moved.lengths, crystal.lengths, atol=0.0501)
        assert periodic_distances(moved) == pytest.approx(
            periodic_distances(crystal), abs=0.063
        )  # two roundings
        shifts.append(moved.frac_coords[0] - crystal.frac_coords[0])
        assert examples[index] == examples[index]
    assert np.ptp(np.array(shifts), axis=0).min() > 0.5


def periodic_distances(crystal) -> list[float]:
    """Torus distances between all pairs of atoms, by element and sorted: free of the origin."""
    gaps = crystal.frac_coords[:, None] - crystal.frac_coords[None]
    gaps -= np.round(gaps)
    # the sum of cosines is smooth where a distance of half a period would jump
    close = np.cos(2 * np.pi * gaps).sum(-1) / 3
    numbers = crystal.atomic_numbers
    return sorted((close + 10 * np.minimum.outer(numbers, numbers)).ravel())
