"""EmbeddingMap in the kernel: work in the background, choices, colours, errors."""

import threading

import numpy as np
import pytest

from flowllm.errors import InputError
from flowllm.teaching.textbook import textbook_structures
from flowllm_widgets.embedding import widget
from flowllm_widgets.embedding.widget import EmbeddingMap

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def known():
    return textbook_structures()[:45]


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    """Of the whole module, so that fingerprints are computed once."""
    folder = tmp_path_factory.getbasetemp() / "embedding-cache"
    monkeypatch.setenv("FLOWLLM_CACHE_DIR", str(folder))


@pytest.fixture
def parts(known):
    return {"a": known[:20], "b": known[20:35], "c": known.crystals[35:]}


@pytest.fixture
def shown(parts):
    made = EmbeddingMap(parts, method="pca")
    assert made.wait(120) and not made.message.text
    return made


def traces(shown):
    return shown.figure.data[: len(shown.points.names)]


def test_every_crystal_is_placed_and_can_be_chosen_by_name(shown, known):
    assert [len(trace.x) for trace in traces(shown)] == [20, 15, 10]
    assert np.isfinite(shown.coords).all()
    assert len(shown.panel.find.options) == 45
    assert known.reduced_formulas[0] in traces(shown)[0].customdata[0]
    assert "variance" in shown.figure.layout.xaxis.title.text
    assert shown.progress.text == ""


def test_a_click_shows_the_crystal_and_its_neighbours_of_other_systems(shown):
    class Points:
        point_inds = (4,)

    shown._clicked(1, Points)
    assert shown.chosen == 24
    assert shown.panel.find.value == shown.points.label(24)
    assert np.array_equal(shown.panel.view.crystal.lengths, shown.points.crystals[24].lengths)
    others = [place for _, place in shown.panel.nearest.options]
    assert len(others) == widget.LISTED and set(shown.points.system[others]) <= {0, 2}
    distances = [float(text.split(" ")[0]) for text, _ in shown.panel.nearest.options]
    assert distances == sorted(distances)
    assert shown.panel.other.crystal.ids[0] == shown.points.crystals[others[0]].ids[0]
    rings = shown.figure.data[-2]
    assert rings.x[0] == shown.coords[24, 0] and rings.x[1] == shown.coords[others[0], 0]


def test_a_click_elsewhere_does_nothing(shown):
    class Points:
        point_inds = ()

    shown._clicked(0, Points)
    assert shown.chosen is None


def test_the_field_does_what_a_click_does(shown):
    shown.panel.find.value = "Na"  # not a crystal yet
    assert shown.chosen is None
    shown.panel.find.value = shown.points.label(7)
    assert shown.chosen == 7 and shown.panel.view.crystal is not None


def test_one_goes_from_neighbour_to_neighbour(shown):
    shown.choose(0)
    _, second = shown.panel.nearest.options[1]
    shown.panel.nearest.value = second
    assert shown.panel.other.crystal.ids[0] == shown.points.crystals[second].ids[0]
    assert shown.chosen == 0
    shown.panel.go.click()
    assert shown.chosen == second
    assert shown.panel.find.value == shown.points.label(second)


def test_colours_follow_the_menu(shown):
    own = [trace.marker.color for trace in traces(shown)]
    shown.colour.value = "density"
    assert len(set(traces(shown)[0].marker.color)) > 5
    assert shown.figure.data[-1].marker.showscale
    shown.colour.value = "system"
    assert [trace.marker.color for trace in traces(shown)] == own
    assert not shown.figure.data[-1].marker.showscale
    shown.colour.value = "e_above_hull"
    assert "no crystal here has e_above_hull" in shown.message.text
    shown.colour.value = "num_atoms"
    assert not shown.message.text


def test_other_features_are_another_map_with_other_neighbours(shown):
    shown.choose(0)
    before, near = shown.coords.copy(), shown.panel.nearest.options
    shown.features.value = "composition"
    assert shown.wait(60) and not shown.message.text
    assert not np.allclose(shown.coords, before)
    assert shown.panel.nearest.options != near and shown.chosen == 0


def test_principal_components_stand_until_umap_is_there(parts, monkeypatch):
    release, asked = threading.Event(), []

    def slow(matrix, seed):
        asked.append((matrix.shape, seed))
        assert release.wait(60)
        return np.arange(2.0 * len(matrix)).reshape(-1, 2)

    monkeypatch.setattr(widget, "umap", slow)
    shown = EmbeddingMap(parts, seed=5)
    while not asked:
        assert not shown.wait(0.02)
    assert "principal" in shown.figure.layout.xaxis.title.text
    assert "UMAP of 45 crystals" in shown.progress.text
    before = np.array(traces(shown)[0].x)
    assert np.isfinite(before).all()
    release.set()
    assert shown.wait(60)
    assert shown.figure.layout.xaxis.title.text == "UMAP 1"
    assert traces(shown)[0].x.tolist() == list(range(0, 40, 2))
    assert asked == [((45, 193), 5)]
    shown.method.value = "pca"
    shown.wait(60)
    assert np.allclose(traces(shown)[0].x, before)
    shown.method.value = "umap"
    shown.wait(60)
    assert len(asked) == 1  # it is kept


def test_a_choice_made_while_umap_runs_wins(parts, monkeypatch):
    release, asked = threading.Event(), threading.Event()

    def slow(matrix, seed):
        asked.set()
        assert release.wait(60)
        return np.zeros((len(matrix), 2))

    monkeypatch.setattr(widget, "umap", slow)
    shown = EmbeddingMap(parts)
    assert asked.wait(60)
    shown.method.value = "pca"
    release.set()
    assert shown.wait(60)
    assert "principal" in shown.figure.layout.xaxis.title.text
    assert np.ptp(shown.coords[:, 0]) > 0


def test_few_crystals_are_shown_by_their_principal_components(known):
    shown = EmbeddingMap({"a": known[:6]})
    assert shown.wait(60)
    assert "UMAP needs 15 crystals" in shown.message.text and shown.message.kind == "warning"
    shown.choose(0)
    assert len(shown.panel.nearest.options) == 5  # of the same system, there is no other


def test_a_crystal_without_a_fingerprint_is_counted_and_not_drawn(known):
    crystals = known.crystals[:8]
    frac = crystals.frac_coords.copy()
    start = crystals.offsets[1]
    frac[start + 1] = frac[start]
    shown = EmbeddingMap({"a": crystals.replace(frac_coords=frac)}, features="composition")
    assert shown.wait(60)
    assert len(traces(shown)[0].x) == 7 and len(shown.panel.find.options) == 7
    assert "1 without a fingerprint" in shown.about.value
    shown.choose(0)
    assert 1 not in [place for _, place in shown.panel.nearest.options]


def test_errors_appear_in_the_widget(known, monkeypatch):
    def broken(crystals, tick):
        raise RuntimeError("no such luck")

    monkeypatch.setattr(widget, "fingerprints_of", broken)
    shown = EmbeddingMap({"a": known[:3]})
    assert shown.wait(60)
    assert "RuntimeError: no such luck" in shown.message.text
    shown.choose(99)
    assert shown.message.text == "no crystal 99; there are 3"
    shown.choose(1)  # a crystal can be looked at all the same
    assert shown.panel.view.crystal is not None and not shown.message.text


def test_closing_ends_the_work(known, monkeypatch):
    started, seen = threading.Event(), []

    def endless(crystals, tick):
        started.set()
        while True:
            tick(0, 1)
            seen.append(1)

    monkeypatch.setattr(widget, "fingerprints_of", endless)
    shown = EmbeddingMap({"a": known[:3]})
    assert started.wait(60)
    shown.close()
    assert shown.wait(60) and not shown.message.text


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"features": "x"}, 'unknown features "x"; choose from composition'),
        ({"method": "tsne"}, 'unknown method "tsne"; choose from umap, pca'),
        ({"colour": "band_gap"}, 'unknown colour "band_gap"; choose from system'),
        ({"limit_per_system": 0}, "limit_per_system must be at least 1"),
    ],
)
def test_an_unknown_choice_is_refused(known, choice, message):
    with pytest.raises(InputError, match=message):
        EmbeddingMap({"a": known[:3]}, **choice)
