"""Crystals of several systems side by side, what is said of each, and distances between them."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.evaluation import Report
from flowllm.metrics.fingerprints import Fingerprints
from flowllm.teaching.textbook import textbook_structures
from flowllm_widgets.embedding import features
from flowllm_widgets.embedding.data import read_points
from flowllm_widgets.embedding.figure import (
    SVG_UP_TO,
    colours,
    embedding,
    hover_text,
    rays,
    titles,
)
from flowllm_widgets.embedding.texts import about_points


@pytest.fixture(scope="module")
def known():
    return textbook_structures()[:40]


@pytest.fixture(scope="module")
def report(known):
    rows = pd.DataFrame(
        {
            "id": [*known.crystals.ids[:3], "broken.cif"],
            "formula": [*known.reduced_formulas[:3], ""],
            "e_above_hull": [0.0, 0.25, np.nan, np.nan],
            "valid_structure": pd.array([True, False, True, None], dtype="boolean"),
            "sun": pd.array([True, False, None, None], dtype="boolean"),
            "space_group": pd.array([225, 221, 0, None], dtype="Int64"),
        }
    )
    return Report("ours", {}, {}, rows, known.crystals[:3])


@pytest.fixture(scope="module")
def prints(known):
    return features.fingerprint_crystals(known.crystals, workers=1)


def test_systems_stand_one_after_the_other(known, report):
    points = read_points({"ours": report, "textbook": known, "bare": known.crystals[5:7]}, None, 0)
    assert points.names == ("ours", "textbook", "bare")
    assert points.system.tolist() == [0] * 3 + [1] * 40 + [2] * 2
    assert points.rows["formula"].tolist()[3:43] == known.reduced_formulas
    assert points.sizes == (3, 40, 2) and points.unreadable == (1, 0, 0)
    assert np.array_equal(points.crystals[43].lengths, known.crystals[5].lengths)


def test_a_limit_draws_the_same_crystals_whatever_else_is_shown(known):
    alone = read_points({"a": known}, 10, seed=3)
    beside = read_points({"b": known.crystals[:5], "a": known}, 10, seed=3)
    assert len(alone) == 10 and alone.sizes == (40,)
    assert beside.rows["id"].tolist()[5:] == alone.rows["id"].tolist()
    assert read_points({"a": known}, 10, seed=4).rows["id"].tolist() != alone.rows["id"].tolist()


def test_numbers_and_facts_are_those_of_the_report(report):
    points = read_points({"ours": report}, None, 0)
    energies = points.number("e_above_hull")
    assert energies[:2].tolist() == [0.0, 0.25] and np.isnan(energies[2])
    assert np.isnan(points.number("band_gap")).all()
    facts = points.facts(0)
    assert facts[0] == "E_hull 0.000 eV/atom" and "space group Fm-3m (225)" in facts
    assert "structure valid" in facts and "S.U.N." in facts
    assert "structure not valid" in points.facts(1) and "S.U.N." not in points.facts(1)
    assert not any("E_hull" in fact or "space group" in fact for fact in points.facts(2))


def test_labels_tell_crystals_of_one_name_apart(known):
    twice = known.crystals[:2].replace(ids=np.array(["x", "x"]))
    points = read_points({"a": twice, "b": known.crystals[:1]}, None, 0)
    labels = [points.label(place) for place in range(3)]
    assert len(set(labels)) == 3 and labels[0].endswith(" · a · x")


def test_systems_that_cannot_be_shown_are_refused(known):
    with pytest.raises(InputError, match="give the systems by name"):
        read_points([known], None, 0)
    with pytest.raises(InputError, match="give the systems by name"):
        read_points({}, None, 0)
    with pytest.raises(InputError, match="10 systems, but colours for only 9"):
        read_points({str(k): known for k in range(10)}, None, 0)
    with pytest.raises(InputError, match="none contains no crystals"):
        read_points({"none": CrystalBatch.empty()}, None, 0)
    with pytest.raises(InputError, match="limit_per_system must be at least 1, not 0"):
        read_points({"a": known}, 0, 0)


# ---- features ------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", features.FEATURES)
def test_two_random_crystals_of_mp20_are_a_distance_of_one_apart(which):
    prints = features.Reference.load("mp_20").fingerprints()
    matrix = features.feature_matrix(prints[prints.complete], which)
    rng = np.random.default_rng(0)
    gaps = matrix[rng.integers(len(matrix), size=20_000)] - matrix[rng.permutation(20_000) % 8000]
    assert np.sqrt((gaps**2).sum(1).mean()) == pytest.approx(1.0, abs=0.03)


def test_both_parts_weigh_the_same(prints):
    both = features.feature_matrix(prints, "composition+structure")
    composition = features.feature_matrix(prints, "composition")
    structure = features.feature_matrix(prints, "structure")
    assert both.shape == (40, 193)
    assert np.allclose(both, np.hstack([composition, structure]) / np.sqrt(2))
    with pytest.raises(InputError, match='unknown features "colour"'):
        features.feature_matrix(prints, "colour")


def test_a_crystal_of_the_same_type_and_similar_elements_is_nearer(known):
    names = ("rock salt NaCl", "rock salt KBr", "Laves C15 ZrCo2")
    all_known = textbook_structures()
    chosen = [int(np.flatnonzero(all_known.crystals.ids == name)[0]) for name in names]
    prints = features.fingerprint_crystals(all_known.crystals[chosen], workers=1)
    matrix = features.feature_matrix(prints, "composition+structure")
    order, distances = features.nearest(matrix, np.array([0, 1, 2]), 0, 5)
    assert order.tolist() == [1, 2] and distances[0] < 0.5 * distances[1]


@given(st.integers(0, 10_000), st.integers(1, 3))
def test_neighbours_are_exact_and_of_other_systems(seed, groups):
    rng = np.random.default_rng(seed)
    matrix, group = rng.normal(size=(25, 4)), rng.integers(groups, size=25)
    matrix[3] = np.nan
    group[:2] = 0
    place = 0
    order, distances = features.nearest(matrix, group, place, 6)
    assert place not in order and 3 not in order
    assert (np.diff(distances) >= 0).all()
    if len(np.unique(group)) > 1:
        assert (group[order] != group[place]).all()
    allowed = [k for k in range(25) if k not in (0, 3)
               and (len(np.unique(group)) == 1 or group[k] != group[0])]  # fmt: skip
    rest = np.linalg.norm(matrix[list(set(allowed) - set(order.tolist()))] - matrix[0], axis=1)
    assert len(order) == min(6, len(allowed)) and (rest >= distances.max(initial=0)).all()


@given(st.integers(0, 10_000))
def test_principal_components_keep_distances_in_a_plane(seed):
    rng = np.random.default_rng(seed)
    flat = rng.normal(size=(12, 2)) * [3.0, 1.0]
    turned = flat @ np.linalg.qr(rng.normal(size=(5, 5)))[0][:2]
    coords, shares = features.pca(turned)
    gaps = np.linalg.norm(flat[:, None] - flat, axis=-1)
    assert np.allclose(np.linalg.norm(coords[:, None] - coords, axis=-1), gaps)
    assert shares.sum() == pytest.approx(1.0) and shares[0] >= shares[1]
    shuffled = rng.permutation(12)
    assert np.allclose(features.pca(turned[shuffled])[0], coords[shuffled])


def test_principal_components_of_one_or_equal_crystals():
    for matrix in (np.ones((1, 5)), np.ones((4, 5))):
        coords, shares = features.pca(matrix)
        assert np.allclose(coords, 0) and np.isfinite(shares).all()


@pytest.mark.slow
def test_umap_is_the_same_for_the_same_seed_and_parts_two_clusters():
    rng = np.random.default_rng(0)
    matrix = np.vstack([rng.normal(size=(30, 6)), rng.normal(size=(30, 6)) + 12])
    coords = features.umap(matrix, seed=1)
    assert np.array_equal(coords, features.umap(matrix, seed=1))
    middles = coords[:30].mean(0), coords[30:].mean(0)
    spread = max(np.linalg.norm(coords[:30] - middles[0], axis=1).max(),
                 np.linalg.norm(coords[30:] - middles[1], axis=1).max())  # fmt: skip
    assert np.linalg.norm(middles[0] - middles[1]) > spread
    with pytest.raises(InputError, match="UMAP needs 15 crystals, not 14"):
        features.umap(matrix[:14], seed=1)


def test_fingerprints_are_kept_and_a_damaged_file_is_replaced(known, tmp_path, monkeypatch):
    monkeypatch.setenv("FLOWLLM_CACHE_DIR", str(tmp_path))
    ticks = []

    def compute(*batches):
        ticks.clear()
        return features.fingerprints_of(batches, lambda *row: ticks.append(row))

    (first,) = compute(known.crystals[:4])
    assert ticks[0] == (0, 4) and ticks[-1] == (4, 4)
    renamed = known.crystals[:4].replace(ids=np.array(list("abcd")))
    (again,) = compute(renamed)
    assert not ticks and again.ids.tolist() == list("abcd")
    assert np.array_equal(again.structure, first.structure)
    (file,) = (tmp_path / "fingerprints").iterdir()
    file.write_bytes(b"damaged")
    compute(renamed)
    assert ticks and Fingerprints.load(file).complete.all()


def test_only_what_is_missing_is_computed_and_the_order_stays(known, tmp_path, monkeypatch):
    monkeypatch.setenv("FLOWLLM_CACHE_DIR", str(tmp_path))
    parts = [known.crystals[:3], known.crystals[3:5], known.crystals[5:9]]
    features.fingerprints_of(parts[1:2], lambda *row: None)
    ticks = []
    found = features.fingerprints_of(parts, lambda *row: ticks.append(row))
    assert ticks[-1] == (7, 7)
    expected = features.fingerprint_crystals(known.crystals[:9], workers=1)
    assert np.allclose(Fingerprints.concatenate(found).structure, expected.structure)
    assert [len(prints) for prints in found] == [3, 2, 4]


def test_without_a_place_for_the_cache_fingerprints_come_all_the_same(known, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("FLOWLLM_CACHE_DIR", str(tmp_path / "file"))
    assert len(features.fingerprints_of([known.crystals[:2]], lambda done, total: None)[0]) == 2


# ---- figure and texts ----------------------------------------------------------------------------


def test_systems_differ_by_colour_and_by_shape(known):
    points = read_points({"a": known[:3], "b": known[3:6], "c": known[6:9]}, None, 0)
    a, b, c, *_ = embedding(points).data
    assert [trace.name for trace in (a, b, c)] == ["a", "b", "c"]
    assert len({trace.marker.symbol for trace in (a, b, c)}) == 3
    assert len({trace.marker.color for trace in (a, b, c)}) == 3
    assert {trace.type for trace in (a, b, c)} == {"scatter"}


def test_only_many_points_are_drawn_by_webgl(known):
    many = CrystalBatch.concatenate([known.crystals[:1]] * (SVG_UP_TO + 1))
    points = read_points({"many": many}, None, 0)
    assert embedding(points).data[0].type == "scattergl"


def test_hover_names_the_crystal_and_what_is_known(report):
    points = read_points({"<b>ours": report}, None, 0)
    text = hover_text(points, 1)
    assert points.rows["formula"][1] in text and "E_hull 0.250 eV/atom" in text
    assert "&lt;b&gt;ours" in text and "structure not valid" in text


def test_colours_by_a_column_and_grey_where_it_is_not_known(report):
    points = read_points({"ours": report}, None, 0)
    found, bar = colours(points, "e_above_hull")
    assert found[0] != found[1] and found[2] == "#8a94a6"
    assert bar["showscale"] and bar["cmin"] < 0.01 and bar["cmax"] > 0.24
    assert colours(points, "system")[0] is None
    assert not colours(points, "system")[1]["showscale"]


def test_colours_of_equal_and_of_no_values(known):
    points = read_points({"a": known.crystals[:3]}, None, 0)
    found, bar = colours(points, "e_above_hull")
    assert set(found) == {"#8a94a6"} and not bar["showscale"]
    points.rows["density"] = 5.0
    assert len(set(colours(points, "density")[0])) == 1


def test_rays_and_titles():
    coords = np.array([[0.0, 0.0], [1.0, 2.0], [3.0, 4.0]])
    lines = rays(coords, 0, np.array([2, 1]))
    assert lines["x"] == [0, 3, None, 0, 1, None] and lines["y"] == [0, 4, None, 0, 2, None]
    assert titles("pca", np.array([0.5, 0.25]))[1] == "principal component 2 (25 % of the variance)"
    assert titles("umap") == ("UMAP 1", "UMAP 2")


def test_what_is_left_out_is_said(known):
    broken = known.crystals[:3]
    frac = broken.frac_coords.copy()
    start, count = broken.offsets[1], broken.num_atoms[1]
    assert count > 1
    frac[start + 1] = frac[start]
    points = read_points({"<i>": broken.replace(frac_coords=frac), "b": known}, 20, 0)
    text = about_points(points, features.fingerprint_crystals(points.crystals, workers=1))
    assert (
        "&lt;i&gt;: 2 crystals; 1 without a fingerprint are left out: atoms too close (1)" in text
    )
    assert "b: 20 crystals, drawn at random from 40" in text
