"""A language model that writes symmetric texts: trained, sampled, watched, scored, and asked."""

import numpy as np
import pytest
import torch
from pymatgen.core import Lattice, Structure

from flowllm.conditions.conditions import Conditions
from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.elements import SYMBOLS
from flowllm.data import CrystalSet
from flowllm.errors import InputError
from flowllm.methods.language_model import (
    CompactConfig,
    LanguageModelPrior,
    LMTrainSettings,
    SamplingSettings,
    build_compact,
    redraw,
    train_lm,
)
from flowllm.methods.language_model.completion import (
    complete_crystal,
    complete_orbits,
    first_atoms,
)
from flowllm.methods.language_model.decoding.events import CRYSTAL, Token
from flowllm.methods.language_model.decoding.prefix_cache import PrefixCache
from flowllm.methods.language_model.element_embeddings import element_properties, embed_elements
from flowllm.methods.language_model.examples import IGNORED, CrystalExamples, collate
from flowllm.methods.language_model.infill import propose_elements
from flowllm.methods.language_model.invariance import invariance
from flowllm.methods.language_model.likelihood import as_crystal_set, score
from flowllm.methods.language_model.regularise import residual_dropout
from flowllm.methods.language_model.train import LanguageModelTrainer
from flowllm.systems.decoding_figures import count_decoding
from flowllm.systems.events import Drawn, Refined, Rejected
from flowllm.systems.system import FlowLLM
from flowllm.systems.watch import Watch
from flowllm.text import build_tokenizer, make_format
from flowllm.text.formats.wyckoff import strings
from flowllm.text.formats.wyckoff.contacts import CLOSEST, closest

FORMAT = make_format("wyckoff")
WILD = SamplingSettings(temperature=1.5, top_p=1.0)
SETTINGS = LMTrainSettings(
    epochs=1, batch_size=16, warmup_steps=1, validation_rows=8, threads=1, dropout=0.2,
    augmentation="normalizer", text_format="wyckoff",
)  # fmt: skip
CROWDED_CELL = {"Cs": 4, "K": 4, "I": 8}


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer(FORMAT)


@pytest.fixture(scope="module")
def folder(tokenizer, crystal_set, tmp_path_factory):
    """A tiny model after one pass over symmetric texts."""
    out = tmp_path_factory.mktemp("symmetric") / "lm"
    model = build_compact(tokenizer, CompactConfig(32, 1, 2, 48, 256), seed=1)
    figures = train_lm(model, tokenizer, crystal_set[:96], crystal_set[96:], out, SETTINGS)
    assert np.isfinite(list(figures.values())).all()
    return out


@pytest.fixture(scope="module")
def prior(folder):
    loaded = LanguageModelPrior.from_pretrained(folder)
    assert loaded.format == FORMAT
    return loaded


def watched(prior, asked, seeds, settings=WILD):
    events = []
    found = prior.sample(asked, settings, seeds, Watch(on_event=events.append, alternatives=1))
    return found, events


def of(kind, events, index=None):
    return [e for e in events if isinstance(e, kind) and index in (None, e.index)]


# ---- sampling ----------------------------------------------------------------------------------


def test_what_is_asked_is_written(prior):
    cell = {"Sr": 1, "Ti": 1, "O": 3}
    asked = [
        Conditions(composition=cell, space_group=221), Conditions(composition=cell),
        Conditions(num_atoms=6), Conditions(elements=("Fe", "O")), Conditions(formula="TiO2"),
        Conditions(space_group=166),
    ]  # fmt: skip
    found, events = watched(prior, asked, range(6))
    texts = {e.index: e.text for e in of(Drawn, events)}
    assert texts[0].startswith("221\nSr 1") and FORMAT.to_text(found)[0].startswith("221\n")
    assert texts[5].startswith("166\n")
    by_index = dict(zip(map(int, found.ids), found.compositions, strict=True))
    assert by_index[0] == cell and by_index.get(1, cell) == cell
    assert sum(by_index.get(2, {"H": 6}).values()) == 6
    assert set(by_index.get(3, ("Fe", "O"))) == {"Fe", "O"}
    assert by_index.get(4, {"Ti": 2, "O": 4})["O"] % 2 == 0


def tokens_of(events, index, part=CRYSTAL):
    """Draw -> the tokens of one part of one text."""
    drawn = {}
    for token in of(Token, events, index):
        if token.part == part:
            drawn.setdefault(token.draw, []).append(token)
    return drawn


def test_crowded_texts_keep_their_orbits_and_are_drawn_again(prior):
    asked = [Conditions(composition=CROWDED_CELL, space_group=1)] * 6
    found, events = watched(prior, asked, range(6))
    again = [e for e in of(Rejected, events) if e.reason == redraw.CROWDED]
    assert again and all(e.part == CRYSTAL for e in again)
    for crystal in found:
        assert crystal.compositions == [CROWDED_CELL]
    behind_one_group = [redraw.CROWDED] * redraw.REDRAWS
    every_draw = [*behind_one_group, redraw.NO_ROOM] * redraw.REGROUPS + behind_one_group
    given_up = 0
    for index in range(6):
        draws = tokens_of(events, index)
        times = [e.reason for e in of(Rejected, events, index)]
        (drawn,) = of(Drawn, events, index)
        texts = ["".join(t.text for t in draws[d] if not t.end) for d in sorted(draws)]
        without = len(draws) - 1 == len(times) + 1  # of which the roomiest was taken in the end
        assert sorted(draws) == list(range(len(times) + (2 if without else 1)))
        assert texts[-1] == drawn.text and [t.end for t in draws[max(draws)]][-1]
        for place, reason in enumerate(times):
            heads = ["\n".join(text.split("\n")[:17]) for text in texts[place : place + 2]]
            if reason == redraw.CROWDED:  # group and 16 orbits stay
                assert heads[0] == heads[1] and texts[place] != texts[place + 1]
        room = closest(strings.read(drawn.text)) / CLOSEST
        assert times == every_draw[: len(times)]
        given_up += times.count(redraw.NO_ROOM) + without
        if without:
            assert times == every_draw
            every = [closest(strings.read(text)) / CLOSEST for text in texts[:-1]]
            assert room < 1 and room == pytest.approx(max(every))
        else:
            assert room >= 1 - 1e-9
    assert given_up
    # draws are those of a seed alone, not of what is written beside them
    alone, _ = watched(prior, asked[3:4], [3])
    same = found[int(np.flatnonzero(found.ids == "3")[0])]
    np.testing.assert_allclose(alone.frac_coords, same.frac_coords, atol=1e-6)


def test_the_roomiest_draw_is_taken_where_none_has_room(prior, monkeypatch):
    monkeypatch.setattr(redraw, "REDRAWS", 1)
    monkeypatch.setattr("flowllm.methods.language_model.constrained.REGROUPS", 1)
    asked = [Conditions(composition=CROWDED_CELL)] * 6
    found, events = watched(prior, asked, range(6), SamplingSettings(3.0, 1.0))
    assert len(found) == 6
    without = 0
    for index in range(6):
        draws = tokens_of(events, index)
        texts = ["".join(t.text for t in draws[d] if not t.end) for d in sorted(draws)]
        (drawn,) = of(Drawn, events, index)
        assert drawn.text == texts[-1]
        reasons = [e.reason for e in of(Rejected, events, index)]
        if len(texts) == 5:  # two groups of two draws each, and the best of them once more
            assert reasons == [redraw.CROWDED, redraw.NO_ROOM, redraw.CROWDED]
            groups = tokens_of(events, index, "space_group")
            assert len(groups) == 2  # the group was drawn again, its tokens under another draw
            rooms = [closest(strings.read(text)) for text in texts[:4]]
            assert max(rooms) < CLOSEST and texts[4] == texts[int(np.argmax(rooms))]
            without += 1
    assert without


def test_draws_side_by_side_are_those_one_after_the_other(prior):
    """Unwatched, all further draws of a text are made together, and hopeless ones are ended."""
    asked = [Conditions(composition=CROWDED_CELL), Conditions()] * 6
    with count_decoding() as alone:
        watched_ones, events = watched(prior, asked, range(12))
    reasons = {e.reason for e in of(Rejected, events)}
    assert {redraw.CROWDED, redraw.NO_ROOM} <= reasons
    drawn = {e.index: len(tokens_of(events, e.index)) for e in of(Drawn, events)}
    assert len(set(drawn.values())) > 3  # first draws, later ones, and the roomiest of all
    with count_decoding() as together:
        found = prior.sample(asked, WILD, range(12))
    assert found.ids.tolist() == watched_ones.ids.tolist()
    assert found.compositions == watched_ones.compositions
    for name in ("frac_coords", "lengths", "angles"):
        np.testing.assert_allclose(getattr(found, name), getattr(watched_ones, name), atol=1e-9)
    assert together.passes < 0.6 * alone.passes


def test_what_was_written_before_is_not_passed_over_again(prior, monkeypatch):
    asked = [Conditions(composition=CROWDED_CELL), Conditions(space_group=221), Conditions()] * 4
    with count_decoding() as cached:
        found = prior.sample(asked, WILD, range(12))
    name = "flowllm.methods.language_model.constrained.PrefixCache"
    monkeypatch.setattr(name, lambda: PrefixCache(0))
    with count_decoding() as plain:
        again = prior.sample(asked, WILD, range(12))
    assert cached.tokens == plain.tokens
    assert cached.encoded - cached.padded < 0.3 * (plain.encoded - plain.padded)
    assert found.compositions == again.compositions
    np.testing.assert_allclose(found.frac_coords, again.frac_coords, atol=1e-9)


def test_streaming_and_batch_give_the_same_crystals(prior):
    system = FlowLLM(prior, None, [1.0] * 20)
    wishes = {"num_atoms": 16, "seed": 4, "sampling": WILD}
    events = list(system.stream(3, **wishes))
    made = system.generate(3, **wishes)
    streamed = CrystalBatch.concatenate(e.prior for e in of(Refined, events))
    assert streamed.compositions == made.prior.compositions
    np.testing.assert_array_equal(streamed.frac_coords, made.prior.frac_coords)
    for event in of(Drawn, events):
        own = [t for t in of(Token, events, event.index)
               if t.part == CRYSTAL and t.attempt == event.attempt]  # fmt: skip
        last = max(t.draw for t in own)
        assert "".join(t.text for t in own if t.draw == last and not t.end) == event.text


# ---- other uses --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def perovskite():
    return Structure.from_spacegroup(
        "Pm-3m", Lattice.cubic(3.905), ["Sr", "Ti", "O"], [(0, 0, 0), (0.5,) * 3, (0.5, 0.5, 0)]
    )


@pytest.mark.parametrize("masked", [[1], [2, 3, 4], [2]])
def test_elements_are_proposed_by_the_likelihood_of_symmetric_texts(prior, perovskite, masked):
    """[2] masks one of three equivalent atoms, so that other elements lower the symmetry."""
    found = propose_elements(prior, perovskite, masked, ["Zr", "S", "Ti", "O"], allow_present=True)
    assert sorted(found.elements) == ["O", "S", "Ti", "Zr"] and found.shares.sum() == pytest.approx(
        1
    )
    again = score(
        prior.model, prior.tokenizer, as_crystal_set(found.crystals), outline=prior.outline,
        text_format=FORMAT,
    ).total  # fmt: skip
    np.testing.assert_allclose(found.nats, again, rtol=1e-5)


def perovskite_batch():
    return FORMAT.parse_text("221\nSr 1a\nTi 1b\nO 3c\n3.9", "STO")


def test_orbits_are_completed_and_what_is_given_stays(prior):
    cell = {"Sr": 1, "Ti": 1, "O": 3}
    found = complete_orbits(
        prior, perovskite_batch(), 2, Conditions(composition=cell), settings=WILD, seeds=range(4)
    )
    assert len(found) == 4 and found.compositions == [cell] * 4
    for text in FORMAT.to_text(found):  # 3c is the perovskite, 3d another one
        assert text.split("\n")[0] == "221" and text.endswith("3.9")
    free = complete_orbits(prior, perovskite_batch(), 1, settings=WILD, seeds=range(6))
    assert len({tuple(c.items()) for c in free.compositions}) > 1
    for each in free.compositions:
        assert each["Sr"] >= 1 and sum(each.values()) <= 20
    again = complete_orbits(prior, perovskite_batch(), 1, settings=WILD, seeds=[2])
    assert again.compositions == free[2].compositions


def test_coordinates_of_orbits_that_stay_are_kept(prior):
    rutile = FORMAT.parse_text("136\nTi 2a\nO 4f\n4.6 3.0\n0.31", "TiO2")
    found = complete_orbits(prior, rutile, 6, Conditions(formula="TiO2"), settings=WILD)
    assert FORMAT.to_text(found) == FORMAT.to_text(rutile)
    more = complete_orbits(prior, rutile, 6, settings=WILD, seeds=range(5))
    assert max(more.num_atoms) > 6
    for crystal in more:
        text = FORMAT.to_text(crystal)[0]
        assert crystal.compositions[0]["Ti"] == 2 and crystal.compositions[0]["O"] >= 4, text


@pytest.mark.parametrize(
    ("num", "asked", "message"),
    [
        (3, Conditions(), "STO: the first 3 atoms end inside the orbit O 3c; choose one of 1"),
        (0, Conditions(), "the first 0 of 5 atoms; choose 1 to 5"),
        (6, Conditions(), "the first 6 of 5 atoms; choose 1 to 5"),
        (2, Conditions(formula="NaCl"), "STO: orbit Sr 1a contradicts the conditions"),
        (2, Conditions(space_group=62, formula="SrTiO3"), "the space group contradicts the"),
    ],
)  # fmt: skip
def test_what_cannot_be_completed_is_named(prior, num, asked, message):
    with pytest.raises(InputError, match=message):
        complete_orbits(prior, perovskite_batch(), num, asked)


def test_each_format_has_its_own_completion(prior, crystal_set):
    with pytest.raises(InputError, match="completed by whole orbits; call complete_orbits"):
        first_atoms(prior, crystal_set.crystals[0], 1)
    with pytest.raises(InputError, match="completed by whole orbits; call complete_orbits"):
        complete_crystal(prior, crystal_set.crystals[0])
    words = build_tokenizer()
    other = LanguageModelPrior(build_compact(words, CompactConfig(16, 1, 2, 24)), words)
    with pytest.raises(InputError, match="a compact model with the text format wyckoff"):
        complete_orbits(other, crystal_set.crystals[0], 1)


def test_a_translation_changes_no_symmetric_text(prior, crystal_set):
    few = crystal_set[:12]
    moved = invariance(prior.model, prior.tokenizer, few, "translation", 3, text_format=FORMAT)
    assert np.median(moved.ipt) < 1e-4 and (moved.ipt < 1e-4).mean() >= 0.9
    turned = invariance(prior.model, prior.tokenizer, few, "permutation", 4, text_format=FORMAT)
    several = [len(t.split("\n")) > 5 for t in FORMAT.to_text(few.crystals)]
    assert any(several) and turned.ipt.max() > 1e-3


def test_scores_do_not_depend_on_axes_or_origin(prior, crystal_set):
    few = crystal_set.crystals[:8]
    shifted = few.replace(frac_coords=few.frac_coords + 0.37)
    nats = [
        score(prior.model, prior.tokenizer, as_crystal_set(batch), text_format=FORMAT).total
        for batch in (few, shifted)
    ]
    assert np.isclose(*nats, rtol=1e-4).mean() >= 0.8


def test_orbits_are_named_with_their_site_symmetry(prior):
    assert FORMAT.orbits_of("136\nTi 2a\nO 4f\n4.6 3.0\n0.31") == ["Ti 2a (m.mm)", "O 4f (m.2m)"]
    assert FORMAT.orbits_of("221\nSr 1a\nTi 1b\nO 3c\n3.9")[0] == "Sr 1a (m-3m)"


# ---- training ----------------------------------------------------------------------------------


def test_a_pretrained_model_learns_symmetric_texts_too(base_folders, crystal_set, tmp_path):
    from flowllm.methods.language_model.finetune.settings import AdapterSettings, LargeSettings
    from flowllm.methods.language_model.finetune.train import Base, fine_tune

    folder = next(iter(base_folders.values()))
    training = LMTrainSettings(
        epochs=1, batch_size=8, learning_rate=1e-3, warmup_steps=1, validation_rows=8, threads=1,
        optimizer="adamw", text_format="wyckoff",
    )  # fmt: skip
    settings = LargeSettings(str(folder), training, AdapterSettings(rank=2), max_steps=2)
    base = Base.find(str(folder), text_format=FORMAT)
    fine_tune(base, crystal_set[:32], crystal_set[32:40], tmp_path / "lm", settings)
    loaded = LanguageModelPrior.from_pretrained(tmp_path / "lm")
    assert loaded.format == FORMAT and not loaded.constrained and not loaded.outline
    nats = score(loaded.model, loaded.tokenizer, crystal_set[:4], outline=(), text_format=FORMAT)
    assert np.isfinite(nats.total).all()


def test_examples_of_the_normalizer_are_equivalent_texts(tokenizer, crystal_set):
    few = crystal_set[:8]
    examples = CrystalExamples(
        few, tokenizer, 30, 0, 4, augmentation="normalizer", text_format=FORMAT
    )
    rows = FORMAT.equivalent_texts(few.crystals)
    seen = [set() for _ in rows]
    for index in range(len(examples)):
        ids = examples[index]["input_ids"]
        text = tokenizer.decode(ids, skip_special_tokens=True)
        row = int(examples.order[index])
        found = [other for other in rows[row] if text.endswith(other)]
        assert found, text
        seen[row].add(max(found, key=len))
    several = [k for k, row in enumerate(rows) if len(row) > 1]
    assert several and all(len(seen[k]) > 1 for k in several)
    with pytest.raises(InputError, match="a translation leaves texts of the format wyckoff"):
        CrystalExamples(few, tokenizer, 1, 0, 4, augmentation="translation", text_format=FORMAT)
    with pytest.raises(InputError, match="gruver has no equivalent texts"):
        CrystalExamples(few, build_tokenizer(), 1, 0, 4, augmentation="normalizer")


def test_each_crystal_counts_for_its_nats_whatever_the_length(tokenizer):
    """Of uniform guesses a text of n tokens has n ln V nats; the loss adds them up."""
    trainer = LanguageModelTrainer.__new__(LanguageModelTrainer)
    model = build_compact(tokenizer, CompactConfig(16, 1, 2, 24, 256), seed=0)
    with torch.no_grad():
        model.lm_head.weight.zero_()
    short, long = ([1] * n for n in (5, 21))  # of which the first token is no label
    examples = [{"input_ids": ids, "labels": ids} for ids in (short, long)]
    one_each = [{"input_ids": ids, "labels": ids} for ids in (short, short)]

    def loss(rows):
        trainer.args = type("Args", (), {"gradient_accumulation_steps": 1, "world_size": 1})()
        trainer.tokens_per_crystal = 12.0
        batch = collate(rows, 0)
        counted = {}

        def parent(self, model, inputs, return_outputs=False, num_items_in_batch=None):
            counted["n"] = float(num_items_in_batch)
            logits = model(inputs["input_ids"]).logits[:, :-1].log_softmax(-1)
            labels = inputs["labels"][:, 1:]
            kept = labels != IGNORED
            nats = -logits.gather(-1, labels.clamp(min=0)[..., None])[..., 0]
            return (nats * kept).sum() / num_items_in_batch

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("flowllm.training.trainer.CrystalTrainer.compute_loss", parent)
            found = trainer.compute_loss(model, batch)
        return float(found.detach()), counted["n"]

    vocabulary = np.log(len(tokenizer))
    assert loss(examples) == (pytest.approx((4 + 20) * vocabulary / 24, rel=1e-4), 24.0)
    assert loss(one_each) == (pytest.approx((4 + 4) * vocabulary / 24, rel=1e-4), 24.0)


def test_dropout_is_on_in_training_only_and_is_taken_off(tokenizer):
    model = build_compact(tokenizer, CompactConfig(32, 2, 2, 48, 64), seed=0)
    ids = torch.arange(20)[None]
    plain = model.eval()(ids).logits
    with torch.random.fork_rng(devices=[]), residual_dropout(model, 0.5):
        torch.manual_seed(0)
        torch.testing.assert_close(model.eval()(ids).logits, plain)
        first, second = (model.train()(ids).logits for _ in range(2))
        assert not torch.allclose(first, second) and not torch.allclose(first, plain)
    torch.testing.assert_close(model.train()(ids).logits, plain)
    with residual_dropout(model, 0.0):
        torch.testing.assert_close(model.train()(ids).logits, plain)
    with pytest.raises(ValueError, match="Llama"), residual_dropout(torch.nn.Linear(2, 2), 0.1):
        pass


def test_like_elements_begin_alike(tokenizer):
    rows = element_properties()
    weight = torch.randn(len(tokenizer), 256, generator=torch.Generator().manual_seed(0))
    before = weight.clone()
    embed_elements(weight, tokenizer, seed=0)

    def alike(a, b, separator="\n"):
        one, other = (weight[tokenizer.convert_tokens_to_ids(separator + s)] for s in (a, b))
        return float(torch.cosine_similarity(one, other, 0))

    for a, b, c in (("Er", "Tm", "O"), ("Na", "K", "Cl"), ("S", "Se", "Fe"), ("Fe", "Co", "Cs")):
        assert alike(a, b) > alike(a, c) + 0.1
        assert alike(a, b) < 0.99  # a part of its own
    assert rows.shape[0] == 119 and not rows[0].any()
    changed = (weight != before).any(1)
    words = tokenizer.convert_ids_to_tokens(changed.nonzero()[:, 0].tolist())
    assert {word.strip() for word in words} <= set(SYMBOLS[1:]) and len(words) > 118
    np.testing.assert_allclose(float(weight.std()), float(before.std()), rtol=0.1)


def test_a_set_of_one_crystal_is_trained_on(tokenizer, crystal_set):
    alone = CrystalSet(crystal_set.crystals[:1], {})
    example = CrystalExamples(alone, tokenizer, 1, 0, 1, text_format=FORMAT)[0]
    assert example["input_ids"][-1] == tokenizer.eos_token_id
