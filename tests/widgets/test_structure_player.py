"""What the browser gets: scenes as bytes, and the state of the playback."""

import numpy as np
import pytest
from ase.data import covalent_radii

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.trajectory import Trajectory
from flowllm.viz.structure3d import SPHERE, colour, element_colours
from flowllm_widgets.structure.drawing import draw_moving, draw_still
from flowllm_widgets.structure.legend import MOST, legend, species_shown
from flowllm_widgets.structure.player import Player, scene
from flowllm_widgets.structure.player_view import PlayerView
from flowllm_widgets.structure.projection import FIRST_ORIENTATION
from tests.widgets.trajectory_samples import changing

COLOURS = element_colours([0, 8, 11, 17, 19])  # of all species of `changing`
SALT = CrystalBatch(
    [11, 17], [(0, 0, 0), (0.5, 0.5, 0.5)], [(4, 4.5, 5)], [(80, 95, 110)], [2], ["s"]
)


def numbers(data, name, kind=np.float32):
    return np.frombuffer(data[name], dtype=kind)


def test_a_scene_holds_all_frames_about_the_middle_of_the_cell():
    frames = [SALT, SALT.replace(lengths=SALT.lengths * 1.5)]
    drawing = draw_moving(Trajectory.from_frames([0, 1], frames), (2, 1, 1))
    data = scene(drawing, "moves")
    count = drawing.numbers.shape[1]
    positions = numbers(data, "positions").reshape(2, count, 3)
    np.testing.assert_allclose(positions + drawing.centres[:, None], drawing.positions, atol=1e-5)
    corners = numbers(data, "corners").reshape(2, -1, 3)
    np.testing.assert_allclose(corners.mean(1), 0, atol=1e-5)
    edges = np.array(data["edges"]).reshape(-1, 2)
    assert edges.max() == corners.shape[1] - 1 and len(edges) == 20
    np.testing.assert_array_equal(
        numbers(data, "bonded", np.uint8).reshape(drawing.bonded.shape), drawing.bonded
    )
    assert (data["caption"], data["frames"]) == ("moves", 2)
    assert data["description"] == "1 Na, 1 Cl in the cell"


def test_colours_and_radii_are_those_of_the_report():
    drawing = draw_still(SALT)
    data = scene(drawing)
    tints = numbers(data, "colours").reshape(-1, 3)
    for number, tint in zip(drawing.numbers[0], tints, strict=True):
        assert "#" + "".join(f"{round(255 * x):02x}" for x in tint) == colour(int(number))
    np.testing.assert_allclose(
        numbers(data, "radii"), SPHERE * covalent_radii[drawing.numbers[0]], rtol=1e-6
    )
    assert data["labels"][:2] == ["Na1", "Cl2"]


def test_a_frame_stays_within_the_trajectory():
    player = Player()
    player.frames = 10
    player.frame = 99
    assert player.frame == 9
    player.frame = -3
    assert player.frame == 0


@pytest.mark.parametrize("speed", [0.5, 100])
def test_a_speed_outside_one_to_sixty_is_refused(speed):
    with pytest.raises(Exception, match="speed"):
        Player().speed = speed


def test_the_first_orientation_is_a_rotation_that_shows_c_upwards():
    rows = np.array(FIRST_ORIENTATION).reshape(3, 3)
    np.testing.assert_allclose(rows @ rows.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(rows) == pytest.approx(1)
    assert rows[0, 2] == 0 and rows[1, 2] > 0.9


def test_the_module_for_the_browser_is_one_text_with_one_export():
    text = str(Player._esm)
    assert text.count("export default") == 1
    places = [text.index(f"class {name} ") for name in ("Picture", "Gallery", "Playback")]
    assert places == sorted(places)


def test_the_legend_names_each_element_once():
    text = legend([17, 11, 17, 17])
    assert text.count(">Na<") == text.count(">Cl<") == 1
    assert colour(11) in text and text.index(">Na<") < text.index(">Cl<")


# ---- species that change ------------------------------------------------------------------------


def test_species_go_to_the_browser_only_where_they_change():
    still = scene(draw_moving(Trajectory.from_frames([0, 1], [SALT, SALT])))
    assert not {"kinds", "elements", "source"} & set(still)
    data = scene(draw_moving(changing()))
    kinds = numbers(data, "kinds", np.uint8).reshape(6, 3)
    symbols = np.array([element["symbol"] for element in data["elements"]])
    assert symbols.tolist() == ["X", "O", "Na", "Cl", "K"]
    assert symbols[kinds[0]].tolist() == ["Na", "Cl", "X"]
    assert symbols[kinds[-1]].tolist() == ["K", "Cl", "O"]
    assert data["source"] == [0, 1, 2] and data["labels"] == ["Na1", "Cl2", "X3"]
    for element, number in zip(data["elements"], (0, 8, 11, 17, 19), strict=True):
        tint = "#" + "".join(f"{round(255 * x):02x}" for x in element["colour"])
        assert tint == COLOURS[number]
    assert data["elements"][2]["radius"] == pytest.approx(SPHERE * covalent_radii[11])
    assert data["description"] == "1 X, 1 Na, 1 Cl in the cell, 1 O, 1 Cl, 1 K at the end"


def test_the_legend_has_every_species_of_the_trajectory():
    view = PlayerView(changing(), renderer="flat")
    text = view.display.legend.value
    assert [text.count(f"</span>{symbol}<") for symbol in ("X", "O", "Na", "Cl", "K")] == [1] * 5
    assert colour(0) in text


def test_a_flat_picture_and_plotly_s_change_with_the_species():
    flat = PlayerView(changing(), renderer="flat")
    before = flat.display.svg()
    flat.frame = 4
    assert COLOURS[11] in before and COLOURS[19] not in before
    assert COLOURS[19] in flat.display.svg() and COLOURS[11] not in flat.display.svg()
    view = PlayerView(changing(), renderer="plotly")
    figure = view.display._slot.children[0]
    names = {trace.name for trace in figure.data if trace.type == "mesh3d"}
    view.frame = 4
    later = {trace.name for trace in figure.data if trace.type == "mesh3d"}
    assert (names, later) == ({"Na", "Cl", "X"}, {"K", "Cl", "O"})


def test_a_legend_of_many_passing_elements_shows_the_ends_and_counts_the_rest():
    few = changing(6)
    assert species_shown(few).tolist() == [0, 8, 11, 17, 19]
    numbers = np.array([[0, 0, 0], *([k, k + 1, k + 2] for k in range(1, 3 * MOST)), [11, 17, 8]])
    frames = [SALT] * len(numbers)
    path = Trajectory.from_frames(np.linspace(0, 1, len(numbers)), frames)
    many = Trajectory(
        path.times, np.zeros((len(numbers), 3, 3)), path.lengths, path.angles, numbers, [3], ["s"]
    )
    assert species_shown(many).tolist() == [0, 8, 11, 17]
    view = PlayerView(many, renderer="flat")
    passing = len(np.unique(numbers)) - 4
    assert f"and {passing} more along the path" in view.display.legend.value
    assert view.display.legend.value.count("border-radius") == 4
    assert "more along the path" not in PlayerView(few, renderer="flat").display.legend.value
