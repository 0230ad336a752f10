"""Still pictures: what lies before what, and pictures of the right size and content."""

from xml.etree import ElementTree

import numpy as np
import pytest

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.trajectory import Trajectory
from flowllm.errors import InputError
from flowllm.viz.structure3d import CELL_COLOUR, colour
from flowllm_widgets.structure.drawing import draw_moving, draw_still
from flowllm_widgets.structure.projection import Ball, Line, marks
from flowllm_widgets.structure.still import still_image, still_svg

CRYSTAL = CrystalBatch(
    [11, 17], [(0.3, 0.3, 0.3), (0.7, 0.7, 0.7)], [(5, 5, 5)], [(90, 80, 100)], [2], ["s"]
)
ALONG_Z = (1, 0, 0, 0, 1, 0, 0, 0, 1)  # x to the right, y up, z towards the viewer


def test_what_is_nearer_is_painted_later():
    seen = marks(draw_still(CRYSTAL).at(0), ALONG_Z)
    balls = [m for m in seen if isinstance(m, Ball)]
    assert [b.colour for b in balls] == [colour(11), colour(17)]
    below = marks(draw_still(CRYSTAL).at(0), (1, 0, 0, 0, -1, 0, 0, 0, -1))
    assert [b.colour for b in below if isinstance(b, Ball)] == [colour(17), colour(11)]


def test_marks_are_the_projected_atoms_and_the_whole_cell():
    drawing = draw_still(CRYSTAL).at(0)
    seen = marks(drawing, ALONG_Z)
    places = sorted((m.x, m.y) for m in seen if isinstance(m, Ball))
    np.testing.assert_allclose(places, sorted(map(tuple, drawing.positions[:, :2])), atol=1e-6)
    lines = [m for m in seen if isinstance(m, Line) and m.colour == CELL_COLOUR]
    drawn = sum(np.hypot(*np.subtract(m.start, m.stop)) for m in lines)
    flat = np.linalg.norm(np.diff(drawing.edges[..., :2], axis=1)[:, 0], axis=-1).sum()
    assert drawn == pytest.approx(flat, rel=1e-6)


def test_a_bond_is_half_of_each_colour():
    near = CRYSTAL.replace(frac_coords=[(0.3, 0.5, 0.5), (0.8, 0.5, 0.5)])
    seen = marks(draw_still(near).at(0), ALONG_Z)
    halves = {m.colour: m for m in seen if isinstance(m, Line) and m.colour != CELL_COLOUR}
    assert set(halves) == {colour(11), colour(17)}
    one, other = halves.values()
    assert np.allclose(one.stop, other.stop)


def test_an_svg_holds_all_pictures_and_their_captions():
    drawing = draw_still(CRYSTAL)
    tree = ElementTree.fromstring(still_svg({"a < b": drawing, "second": drawing}, height=200))
    name = "{http://www.w3.org/2000/svg}"
    assert [t.text for t in tree.iter(f"{name}text")] == ["a < b", "second"]
    circles = list(tree.iter(f"{name}circle"))
    assert len(circles) == 4
    assert sum(float(c.get("cx")) < 200 for c in circles) == 2
    assert tree.get("viewBox") == "0 0 400 222"
    ElementTree.fromstring(still_svg({}))


def test_an_image_shows_the_elements_colours():
    picture = still_image(draw_still(CRYSTAL), size=(200, 160), background="#102030")
    assert picture.size == (200, 160)
    pixels = np.asarray(picture).reshape(-1, 3)
    assert (pixels[0] == (0x10, 0x20, 0x30)).all()
    for number in (11, 17):
        tint = np.array([int(colour(number)[k : k + 2], 16) for k in (1, 3, 5)])
        assert (np.abs(pixels.astype(int) - tint).max(1) < 12).sum() > 50


def test_all_frames_of_a_trajectory_have_one_scale():
    frames = [CRYSTAL, CRYSTAL.replace(lengths=CRYSTAL.lengths * 2)]
    drawing = draw_moving(Trajectory.from_frames([0, 1], frames))
    width = []
    for frame in range(2):
        dark = np.asarray(still_image(drawing, frame, size=(240, 240))).min(-1) < 200
        columns = np.flatnonzero(dark.any(0))
        width.append(np.ptp(columns))
    assert width[1] > 1.6 * width[0] and width[1] < 240


def test_polyhedra_are_translucent_faces_in_the_colour_of_their_middle():
    from tests.widgets.test_structure_view import TITANATE

    drawing = draw_still(TITANATE)
    plain, faced = (still_svg({"": drawing}, polyhedra=wanted) for wanted in (False, True))
    assert "fill-opacity" not in plain
    assert faced.count("fill-opacity") == len(drawing.at(0).triangles) > 0
    assert f'fill="{drawing.colours[22]}" fill-opacity' in faced


def test_more_than_one_crystal_has_no_still():
    with pytest.raises(InputError, match="one crystal"):
        draw_still(CrystalBatch.concatenate([CRYSTAL, CRYSTAL]))
