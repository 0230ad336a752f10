"""The priors made of templates: promises, what they draw for conditions, what is chosen of it."""

from dataclasses import replace

import numpy as np
import pytest

from flowllm.conditions.conditions import Conditions
from flowllm.crystals.contacts import shortest_contacts
from flowllm.crystals.elements import NUMBER_OF
from flowllm.errors import InputError
from flowllm.methods.language_model.decoding.events import Sentence
from flowllm.methods.language_model.settings import SamplingSettings
from flowllm.methods.language_model.structure_likelihood import (
    structure_log_likelihoods,
    structure_of,
)
from flowllm.methods.templates.dress import dressed
from flowllm.methods.templates.exchange import kinds_of_elements
from flowllm.methods.templates.open_compositions import FARTHEST, OpenCompositions
from flowllm.methods.templates.prior import TemplatePrior
from flowllm.methods.templates.ranked import RankedPrior, composition_of
from flowllm.methods.templates.settings import RankedSettings, TemplateSettings
from flowllm.methods.templates.similarity import shipped_similarity
from flowllm.methods.templates.table import TemplateTable
from flowllm.symmetry.find import find_symmetry
from flowllm.systems.events import Drawn, Event
from flowllm.systems.testing import check_prior
from flowllm.systems.watch import Watch
from flowllm.text.formats.wyckoff import strings
from flowllm.text.prompts import parse_prompt, read_prompt

ROCKSALT = Conditions(composition={"Na": 1, "Cl": 1})
ASKED = [ROCKSALT, Conditions(num_atoms=4), Conditions(formula="CaF2"), Conditions()]


@pytest.fixture(scope="module")
def ranked(symmetric_model, templates):
    return RankedPrior(symmetric_model, templates)


@pytest.fixture(scope="module")
def fewer(symmetric):
    return TemplatePrior(TemplateTable.build(symmetric[:200]), shipped_similarity())


def test_templates_keep_the_promises_of_a_prior(templates, fewer, tmp_path):
    check_prior(templates, tmp_path, ASKED, different=fewer)


def test_templates_beside_a_language_model_keep_them_too(ranked, symmetric_model, fewer, tmp_path):
    asked = [ROCKSALT, Conditions(num_atoms=3), Conditions(elements=("Mg", "O"), num_atoms=2)]
    hot = RankedSettings(temperature=1.0, top_p=1.0, overlap=True)
    check_prior(ranked, tmp_path, asked, hot, RankedPrior(symmetric_model, fewer))


def test_crystals_are_exactly_symmetric_and_their_atoms_apart(templates):
    crystals = templates.sample([Conditions()] * 60, TemplateSettings(confidence=0), range(60))
    assert len(crystals) > 40
    groups = [find_symmetry(crystal, 0.001).number for crystal in crystals]
    assert np.mean(np.array(groups) == 1) < 0.05
    assert (shortest_contacts(crystals).margin > -1e-6).all()
    assert len({str(c) for c in crystals.compositions}) > 40


def test_open_compositions_get_structures_that_the_votes_are_sure_of(templates):
    settings = TemplateSettings(exchange=1.0, confidence=0.95, same_formula=False)
    drawn = templates.sample([Conditions()] * 60, settings, range(60))
    assert len(drawn) > 30
    unsure = templates.sample([Conditions()] * 60, replace(settings, confidence=0.0), range(60))
    shares = [
        templates.ranking.candidates(numbers_in(crystal), 1, same_formula=False)[0].log_share
        for crystal in unsure
    ]
    assert np.mean(np.exp(shares) < 0.95) > 0.1
    for crystal in drawn:
        likeliest = templates.ranking.candidates(numbers_in(crystal), 1, same_formula=False)[0]
        assert np.exp(likeliest.log_share) >= 0.95
        assert find_symmetry(crystal, 0.01).number == templates.table.numbers[likeliest.row]


def test_elements_are_exchanged_as_often_as_the_templates_have_them(templates):
    """Rare earths have many others like them, oxygen none: neither may gain or lose by it."""
    table, rng = templates.table, np.random.default_rng(0)
    before, after = np.zeros(119), np.zeros(119)
    for row in np.tile(np.arange(len(table)), 4).tolist():
        before[list(table.counts(row))] += 1
        after[list(templates.open.exchange.composition(row, 0.3, rng))] += 1
    rare = np.zeros(119, bool)
    rare[57:72] = True
    assert after[rare].sum() == pytest.approx(before[rare].sum(), rel=0.15)
    assert after[8] == pytest.approx(before[8], rel=0.25)
    common = before > 40
    assert np.corrcoef(before[common], after[common])[0, 1] > 0.9


def test_non_metals_are_exchanged_within_their_group_only(templates):
    """Oxygen for fluorine alone would leave the charges unbalanced, however alike they are."""
    table, exchange, rng = templates.table, templates.open.exchange, np.random.default_rng(0)
    kinds, changed = kinds_of_elements(), set()
    for row in range(len(table)):
        own = table.counts(row)
        for temperature in (0.0, 0.4, 5.0):
            new = exchange.composition(row, temperature, rng)
            assert set(new) - set(own)
            if 0 not in kinds[list(own)]:  # as in diamond: there may be none to exchange
                continue
            assert sorted((kinds[z], n) for z, n in new.items()) == sorted(
                (kinds[z], n) for z, n in own.items()
            )
            for symbol in ("H", "C", "N", "O", "F"):
                assert new.get(NUMBER_OF[symbol]) == own.get(NUMBER_OF[symbol])
            changed |= set(own) - set(new)
    assert {NUMBER_OF[symbol] for symbol in ("S", "Cl", "P", "Na")} <= changed


def test_after_a_template_those_of_its_non_metals_and_number_of_elements_are_tried(templates):
    table, exchange = templates.table, templates.open.exchange
    kinds = kinds_of_elements()

    def class_of(row):
        own = table.counts(row)
        return len(own), frozenset(kinds[list(own)].tolist())

    rows = np.arange(0, len(table), 2)
    classes, firsts = [class_of(row) for row in rows.tolist()], []
    for seed in range(200):
        found = exchange.in_turn(rows, 5, np.random.default_rng(seed))
        assert len(set(found)) == 5 and set(found) <= set(rows.tolist())
        like = classes.count(class_of(found[0]))
        same = [class_of(row) == class_of(found[0]) for row in found]
        assert same == [True] * min(like, 5) + [False] * (5 - min(like, 5))
        firsts.append(found[0])
    assert len(set(firsts)) > 90  # of 150: any template may come first
    assert sorted(exchange.in_turn(rows[:3], 5, np.random.default_rng(0))) == rows[:3].tolist()


def tried_for(templates, settings, seed):
    """The compositions tried for a crystal with nothing asked, and the crystal."""
    tried, exchange = [], templates.open.exchange

    class Noted:
        in_turn = exchange.in_turn

        def composition(self, *given):
            tried.append(exchange.composition(*given))
            return tried[-1]

    noted = OpenCompositions(templates.ranking, Noted())
    return tried, noted.invented(Conditions(), settings, np.random.default_rng(seed))


def test_known_compositions_do_not_take_the_turns_of_new_ones(templates):
    """The votes are surer of them: whoever may try again would come to known ones too often."""
    settings, known_after_new = TemplateSettings(confidence=0.9), 0

    def is_new(cell):
        return all(found.distance > 0 for found in templates.ranking.candidates(cell, 20))

    for seed in range(150):
        tried, crystal = tried_for(templates, settings, seed)
        new = [is_new(cell) for cell in tried]
        assert crystal is None or new[-1] or not any(new[:-1])
        known_after_new += any(new) and not all(new[new.index(True) :])
    assert known_after_new > 3


def test_no_template_of_an_open_composition_is_far(templates, monkeypatch):
    def farthest():
        found = []
        for seed in range(80):
            tried, crystal = tried_for(templates, TemplateSettings(exchange=1.0), seed)
            if crystal is not None:
                ranked = templates.ranking.candidates(tried[-1], 20)
                own = structure_of(crystal)
                found += [c.distance for c in ranked
                          if structure_of(dressed(templates.table, c)) == own][:1]  # fmt: skip
        assert len(found) > 40
        return max(found)

    assert farthest() <= FARTHEST
    monkeypatch.setattr("flowllm.methods.templates.open_compositions.FARTHEST", np.inf)
    assert farthest() > FARTHEST


def numbers_in(crystal):
    kinds, counts = np.unique(crystal.atomic_numbers, return_counts=True)
    return dict(zip(kinds.tolist(), counts.tolist(), strict=True))


def test_cold_exchanges_stay_with_the_likest_elements(templates):
    table, similarity = templates.table, templates.similarity
    near = similarity.between_elements()
    rng = np.random.default_rng(0)

    def moved(temperature):
        distances = []
        for row in range(0, len(table), 5):
            own = table.counts(row)
            new = templates.open.exchange.composition(row, temperature, rng)
            assert sorted(new.values()) == sorted(own.values())
            assert new != own
            for z, count in new.items():
                distances.append(min(near[z, k] for k, n in own.items() if n == count))
        return np.mean(distances)

    assert moved(0.0) < moved(0.3) < moved(3.0)


def test_the_likeliest_structure_is_drawn_at_zero_and_others_when_hot(templates):
    asked, seeds = [ROCKSALT] * 20, range(20)

    def groups(choice):
        drawn = templates.sample(asked, TemplateSettings(choice=choice, same_formula=False), seeds)
        return {find_symmetry(crystal).number for crystal in drawn}

    first = templates.candidates({"Na": 1, "Cl": 1}, 1, same_formula=False)[0]
    assert groups(0.0) == {first.number}
    assert len(groups(2.0)) > 1


def test_a_space_group_is_kept_where_templates_have_it(templates):
    asked = [Conditions(composition={"Na": 1, "Cl": 1}, space_group=221)] * 5
    drawn = templates.sample(asked, TemplateSettings(), range(5))
    assert {find_symmetry(crystal).number for crystal in drawn} == {221}


def test_what_no_template_has_is_refused(templates):
    with pytest.raises(InputError, match="stoichiometry of Na7 Cl9"):
        templates.check(Conditions(composition={"Na": 7, "Cl": 9}))
    with pytest.raises(InputError, match="19 atoms"):
        templates.check(Conditions(num_atoms=19))
    with pytest.raises(InputError, match="all the conditions together"):
        templates.check(Conditions(formula="NaCl", num_atoms=3))
    with pytest.raises(InputError, match="no template"):
        TemplatePrior(TemplateTable.build([]), shipped_similarity())


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: TemplateSettings(choice=-1), "choice"),
        (lambda: TemplateSettings(exchange=float("inf")), "exchange"),
        (lambda: TemplateSettings(candidates=0), "candidates"),
        (lambda: TemplateSettings(confidence=1.0), "confidence"),
        (lambda: RankedSettings(likelihood=-0.1), "likelihood"),
        (lambda: RankedSettings(temperature=0), "temperature"),
    ],
)
def test_settings_out_of_range_are_refused(made, said):
    with pytest.raises(InputError, match=said):
        made()


# ---- ranked by a language model ------------------------------------------------------------------


def test_structures_of_one_composition_have_probabilities_that_add_up(symmetric_model, symmetric):
    """The nats of a structure and of its text's rest are those of the whole text."""
    from flowllm.crystals.batch import CrystalBatch
    from flowllm.data.dataset import CrystalSet
    from flowllm.methods.language_model.likelihood import score

    crystals = symmetric[:12]
    batch = CrystalBatch.concatenate(c.to_primitive(str(k)) for k, c in enumerate(crystals))
    groups = np.array([float(c.number) for c in crystals])
    texts = [strings.write(c) for c in crystals]
    asked = [Conditions(composition=composition_of(c)) for c in crystals]
    nats = structure_log_likelihoods(symmetric_model, asked, crystals)
    data = CrystalSet(batch, {"space_group": groups})
    whole = score(
        symmetric_model.model, symmetric_model.tokenizer, data,
        given=(), texts=texts, text_format=symmetric_model.format,
    )  # fmt: skip
    assert (nats < 0).all()
    assert (nats > whole.total).all()
    alone = [structure_log_likelihoods(symmetric_model, [a], [c])[0]
             for a, c in zip(asked, crystals, strict=True)]  # fmt: skip
    np.testing.assert_allclose(alone, nats, rtol=1e-4)


def test_a_model_of_other_texts_is_refused(system, templates, symmetric):
    with pytest.raises(InputError, match="wyckoff"):
        RankedPrior(system.prior, templates)
    with pytest.raises(InputError, match="wyckoff, not gruver"):
        structure_log_likelihoods(system.prior, [ROCKSALT], symmetric[:1])


def test_open_compositions_are_those_of_templates_or_of_texts(ranked):
    asked = [Conditions(num_atoms=4)] * 12
    of_templates = ranked.sample(asked, RankedSettings(), range(12))
    plain = ranked.templates.sample(asked, TemplateSettings(candidates=6), range(12))
    assert of_templates.compositions == plain.compositions
    assert len({str(c) for c in of_templates.compositions}) > 8
    written = ranked.sample(asked, RankedSettings(compositions="text"), range(12))
    texts = ranked.language_model.sample(asked, SamplingSettings(), range(12))
    kept = dict(zip(texts.ids.tolist(), texts.compositions, strict=True))
    assert [kept[i] for i in written.ids.tolist()] == written.compositions
    # templates do not choose where more is asked than they heed
    energies = [Conditions(num_atoms=4, formation_energy=-1.0)] * 3
    by_text = ranked.sample(energies, RankedSettings(), range(3))
    texts = ranked.language_model.sample(energies, SamplingSettings(), range(3))
    assert by_text.compositions == texts.compositions


def test_a_prompt_that_leaves_the_composition_open_is_met_as_the_same_conditions(ranked):
    told: list[Event] = []
    asked, prompt = Conditions(num_atoms=4), read_prompt("The number of atoms is 4. ")
    watch = Watch(on_event=told.append)
    drawn = ranked.sample([prompt] * 4, RankedSettings(), range(4), watch)
    assert drawn.compositions == ranked.sample([asked] * 4, RankedSettings(), range(4)).compositions
    # and the events say which composition, and whose structure
    sentences = {e.index: e for e in told if isinstance(e, Sentence)}
    crystals = {e.index: e for e in told if isinstance(e, Drawn)}
    assert {e.name for e in sentences.values()} == {"composition"} and len(crystals) == len(drawn)
    for event in crystals.values():
        stated = parse_prompt(sentences[event.index].prompt).composition
        assert stated == event.crystal.compositions[0]
        assert event.source in ("a template", "the text")
        assert find_symmetry(event.crystal).number == strings.read(event.text).number


def test_proposals_are_distinct_and_hold_the_text_of_the_model(ranked):
    asked = [ROCKSALT, Conditions(composition={"Sr": 1, "Ti": 1, "O": 3})]
    for own in ranked.proposer.propose(asked, RankedSettings(), [3, 4]):
        structures = [proposal.structure for proposal in own]
        assert len(set(structures)) == len(structures)
        assert any(not proposal.written for proposal in own)
        assert sum(proposal.written for proposal in own) <= 1


def test_tries_go_down_the_ranking_and_never_repeat(ranked):
    settings = RankedSettings(likelihood=0.0)
    found = ranked.ranked({"Na": 1, "Cl": 1}, 4, settings)
    structures = [structure_of(crystal) for crystal in found]
    assert len(set(structures)) == 4
    likeliest = ranked.templates.candidates({"Na": 1, "Cl": 1}, 1)[0]
    assert structures[0] == structure_of(likeliest)
    one = ranked.sample([ROCKSALT], RankedSettings(likelihood=0.0, choice=0.0), [0])
    assert find_symmetry(one).number == likeliest.number


def test_the_weight_of_the_likelihood_decides(ranked):
    proposals = ranked.proposer.propose([ROCKSALT], RankedSettings(candidates=20), [0])
    scores = {w: ranked.scores([ROCKSALT], proposals, RankedSettings(likelihood=w))[0]
              for w in (0.0, 1.0, 2.0)}  # fmt: skip
    np.testing.assert_allclose(scores[2.0] - scores[1.0], scores[1.0] - scores[0.0], rtol=1e-9)
    shares = [proposal.log_share for proposal in proposals[0]]
    np.testing.assert_allclose(scores[0.0], shares)
    assert len(np.unique(scores[1.0] - scores[0.0])) > 1
