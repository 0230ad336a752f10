"""LatticePlayground without a browser: what a slider changes, and cells that are none."""

import re

import numpy as np
import pytest

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.manifolds import CELL_MAPS
from flowllm_widgets.lattice import figure
from flowllm_widgets.lattice.data import MAPS, PRINTED, Cell, curve, interpolate
from flowllm_widgets.lattice.widget import FRAMES, LatticePlayground

SLOPES = 2 * len(MAPS)
GAMMA = 5


@pytest.fixture
def playground():
    return LatticePlayground()


def marks(playground: LatticePlayground, name: str) -> tuple[np.ndarray, np.ndarray]:
    trace = playground.charts.data[2 * list(MAPS).index(name) + 1]
    return trace.x, trace.y


def panel_line(playground: LatticePlayground, panel: int, name: str) -> np.ndarray:
    return playground.charts.data[(4 + panel) * len(MAPS) + list(MAPS).index(name)].y


def drawn(playground: LatticePlayground) -> dict[str, np.ndarray]:
    return {t.name: np.array(t.x) for t in playground.cells.data[:-1] if t.visible}


def test_both_ends_are_marked_on_the_curves_of_all_maps(playground):
    for name in CELL_MAPS:
        x, y = marks(playground, name)
        assert x.tolist() == [104.0, 120.0]
        for cell, value in zip((playground.start.cell, playground.target.cell), y, strict=True):
            expected = curve(name, cell, 2, np.array([cell.angles[2]]))[0]
            assert value == pytest.approx(expected)
    assert playground.message.text == ""


def test_a_slider_moves_marker_path_and_cell(playground):
    before, cells = marks(playground, "flowmm")[1].copy(), drawn(playground)
    volume = panel_line(playground, 0, "logit").copy()
    playground.start.sliders[GAMMA].value = 70.0
    after = marks(playground, "flowmm")
    assert after[0][0] == 70.0 and after[1][0] < 0 < before[0]
    assert after[1][1] == before[1]
    assert not np.allclose(panel_line(playground, 0, "logit"), volume)
    assert not np.array_equal(drawn(playground)["start"], cells["start"], equal_nan=True)
    assert np.array_equal(drawn(playground)["target"], cells["target"], equal_nan=True)


def test_slider_and_number_field_show_the_same_without_rounding_dust(playground):
    fields = playground.start
    fields.sliders[0].value = 6.199999999999999
    assert fields.numbers[0].value == 6.2 and fields.cell.lengths[0] == 6.2
    fields.numbers[1].value = 5.35
    assert fields.sliders[1].value == 5.35 and fields.cell.lengths[1] == 5.35


def test_another_angle_shows_its_own_curve(playground):
    playground.angle.value = 0
    x, _ = marks(playground, "log-matrix")
    assert x.tolist() == [80.0, 90.0]
    assert playground.charts.layout.xaxis4.title.text == "η = α / °"
    assert "α in each map" in playground.numbers.value


def test_t_moves_the_cells_of_the_maps_and_not_the_ends(playground):
    before = drawn(playground)
    playground.t.value = 1.0
    after = drawn(playground)
    for name in CELL_MAPS:
        assert not np.allclose(before[name], after[name], equal_nan=True)
        # At the end all maps are at the target.
        np.testing.assert_allclose(after[name], after["target"], atol=0.01)
    np.testing.assert_array_equal(before["start"], after["start"])
    lines = {shape.x0 for shape in playground.charts.layout.shapes[-4:]}
    assert lines == {1.0}


def test_playing_goes_through_all_times(playground):
    playground.play.value = (FRAMES - 1) // 2
    assert playground.t.value == pytest.approx(0.5)
    playground.play.value = FRAMES - 1
    assert playground.t.value == 1.0


def test_the_lines_along_t_are_those_of_the_package(playground):
    ends = playground.start.cell, playground.target.cell
    for name in CELL_MAPS:
        path = interpolate(name, *ends, np.linspace(0, 1, FRAMES))
        np.testing.assert_allclose(panel_line(playground, 0, name), path.volumes)
        np.testing.assert_allclose(panel_line(playground, 3, name), path.angles[:, 2])


def test_the_printed_formula_appears_on_request(playground):
    assert PRINTED not in drawn(playground) and PRINTED not in playground.numbers.value
    playground.printed.value = True
    assert PRINTED in drawn(playground) and PRINTED in playground.numbers.value
    assert marks(playground, PRINTED)[1][1] == pytest.approx(0, abs=1e-9)  # 120 degrees
    playground.printed.value = False
    assert PRINTED not in drawn(playground)


def test_impossible_angles_are_told_beside_the_fields_and_the_rest_goes_on(playground):
    fields = playground.start
    fields.set(Cell((5.0, 5.0, 5.0), (60.0, 50.0, 115.0)))
    assert "γ = 115° must be below" in fields.message.text and fields.message.kind == "error"
    assert playground.message.text == ""
    assert set(drawn(playground)) == {"target"}
    assert "–" in playground.numbers.value
    fields.set(Cell((5.0, 5.0, 5.0), (90.0, 90.0, 90.0)))
    assert fields.message.kind == "" and "125.0" in fields.message.text
    assert {"start", "target", *CELL_MAPS} == set(drawn(playground))


def test_two_impossible_cells_are_no_exception(playground):
    for fields in (playground.start, playground.target):
        fields.set(Cell((5.0, 5.0, 5.0), (40.0, 40.0, 130.0)))
        assert "no such cell" in fields.message.text
    assert drawn(playground) == {}
    assert playground.message.text == ""


def test_cells_that_a_map_cannot_hold_are_named(playground):
    assert "cannot represent" not in playground.numbers.value
    playground.start.sliders[GAMMA].value = 140.0
    text = playground.numbers.value
    assert "flowmm cannot represent the start: it returns γ = 120.1° for 140.0°" in text
    assert "log-matrix cannot represent" not in text


def test_the_table_gives_the_slope_of_the_hexagonal_angle(playground):
    row = re.search(r"<td>flowmm</td>.*?</tr>", playground.numbers.value).group()
    assert "6.399" in row and "10.017" in row


def test_the_cells_of_given_crystals_are_start_and_target():
    crystals = CrystalBatch(
        [1, 1], [(0, 0, 0)] * 2, [(3, 4, 25), (6, 6, 6)], [(70, 80, 75), (90, 90, 90)], [1, 1],
        ["a", "b"],
    )  # fmt: skip
    both = LatticePlayground(crystal=crystals)
    assert both.start.cell == Cell((3.0, 4.0, 25.0), (70.0, 80.0, 75.0))
    assert both.target.cell == Cell((6.0, 6.0, 6.0), (90.0, 90.0, 90.0))
    alone = LatticePlayground(crystal=crystals[0])
    assert alone.start.cell == both.start.cell and alone.target.cell.angles[2] == 120.0
    with pytest.raises(InputError, match="no crystals"):
        LatticePlayground(crystal=CrystalBatch.empty())


def test_an_unexpected_error_is_shown_in_the_widget(playground, monkeypatch):
    def broken(*_):
        raise RuntimeError("no charts today")

    monkeypatch.setattr(figure, "update_curves", broken)
    playground.angle.value = 1
    assert "no charts today" in playground.message.text


def test_the_letters_stand_at_the_ends_of_the_cell_vectors():
    chart = figure.cell_figure()
    cell = Cell((3.0, 4.0, 5.0), (90.0, 90.0, 90.0))
    figure.update_cells(chart, cell, cell, {"log-matrix": cell}, "log-matrix")
    letters = chart.data[-1]
    places = dict(zip(letters.text, zip(letters.x, letters.y, letters.z, strict=True), strict=True))
    for name, size in zip("abc", cell.lengths, strict=True):
        assert np.linalg.norm(places[name]) == pytest.approx(1.1 * size)


def test_the_frame_holds_all_cells_to_scale():
    chart = figure.cell_figure()
    cells = [Cell((3.0, 4.0, 5.0), (90.0, 90.0, 90.0)), Cell((8.0, 4.0, 5.0), (90.0, 70.0, 110.0))]
    figure.frame_cells(chart, cells)
    scene = chart.layout.scene
    extents = []
    for axis, column in zip("xyz", range(3), strict=True):
        low, high = scene[f"{axis}axis"].range
        for cell in cells:
            assert low < cell.edges[..., column].min() and cell.edges[..., column].max() < high
        extents.append(high - low)
    ratio = [scene.aspectratio[axis] for axis in "xyz"]
    np.testing.assert_allclose(np.array(ratio) / extents, ratio[0] / extents[0])
