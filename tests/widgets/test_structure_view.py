"""StructureView and PlayerView without a browser: content, controls, errors, fallbacks."""

import ipywidgets
import numpy as np
import pytest
from traitlets import TraitError

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.trajectory import Trajectory
from flowllm.errors import InputError
from flowllm_widgets import StructureView
from flowllm_widgets.structure.player_view import PlayerView
from tests.widgets.stills import pictures_in

TITANATE = CrystalBatch(
    [38, 22, 8, 8, 8],
    [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)],
    [(3.9, 4.1, 4.4)],
    [(80, 85, 95)],
    [5],
    ["t"],
)
SALT = CrystalBatch([11, 17], [(0, 0, 0), (0.5,) * 3], [(4, 4, 4)], [(60,) * 3], [2], ["s"])


def way(crystal=TITANATE, steps=5) -> Trajectory:
    """From a cell blown up and sheared, with all atoms shifted, to the crystal."""
    left = np.linspace(1, 0, steps)
    frames = [
        crystal.replace(
            frac_coords=crystal.frac_coords + 0.3 * x,
            lengths=crystal.lengths * (1 + 0.4 * x),
            angles=crystal.angles + 8 * x,
        )
        for x in left
    ]
    return Trajectory.from_frames(1 - left, frames)


def boxes(widget, kind):
    """All widgets of a kind inside another."""
    found = [widget] if isinstance(widget, kind) else []
    for child in getattr(widget, "children", ()):
        found += boxes(child, kind)
    return found


def described(view, kind, text):
    return next(w for w in boxes(view, kind) if w.description == text)


# ---- StructureView -----------------------------------------------------------------------------


def test_a_crystal_can_be_exchanged_for_another_and_for_none():
    view = StructureView(TITANATE, "before")
    assert "before" in view.caption.value
    assert len(view.display.player.scenes) == 1
    first = view.display.player.scenes[0]
    view.show(SALT, "after <b>")
    assert "after &lt;b&gt;" in view.caption.value
    assert view.display.player.scenes[0]["labels"] != first["labels"]
    view.show(None)
    assert view.display.player.scenes == [] and view.crystal is None
    view.show(SALT)
    assert len(view.display.player.scenes) == 1 and not view.message.text


def test_what_cannot_be_drawn_is_said_and_leaves_the_view_empty():
    view = StructureView(TITANATE)
    view.show(CrystalBatch.concatenate([SALT, SALT]))
    assert "one crystal is drawn at a time" in view.message.text
    assert view.display.player.scenes == []
    view.show(SALT)
    assert not view.message.text


def test_a_still_crystal_has_no_controls_of_a_playback():
    view = StructureView(SALT, supercell=(2, 2, 2))
    assert not view.display.player.controls
    assert len(view.display.pictures[""].edges) == 54


@pytest.mark.parametrize("make", [StructureView, PlayerView])
def test_an_unknown_renderer_is_refused(make):
    with pytest.raises(InputError, match='renderer "vtk": choose from auto'):
        make(way() if make is PlayerView else SALT, renderer="vtk")


@pytest.mark.parametrize("make", [StructureView, PlayerView])
def test_a_page_without_widgets_gets_a_still(make):
    bundle = make(way() if make is PlayerView else SALT)._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    (svg,) = pictures_in(bundle["text/html"])
    assert svg.startswith("<svg") and "<circle" in svg


# ---- PlayerView --------------------------------------------------------------------------------


def test_trajectory_and_stills_stand_side_by_side():
    view = PlayerView(way(), {"prior": way().first, "refined": TITANATE}, title="flow")
    player = view.display.player
    assert [s["caption"] for s in player.scenes] == ["flow", "prior", "refined"]
    assert [s["frames"] for s in player.scenes] == [5, 1, 1]
    assert player.frames == 5 and player.times == pytest.approx(way().times)
    assert view.pictures == ["flow", "prior", "refined"]


def test_the_state_of_the_playback_goes_both_ways():
    view = PlayerView(way())
    player = view.display.player
    view.frame, view.speed, view.loop, view.playing, view.labels = 3, 30, False, True, True
    assert (player.frame, player.speed, player.loop, player.playing, player.labels) == (
        3, 30, False, True, True,
    )  # fmt: skip
    player.frame, player.playing, player.labels = 1, False, False
    assert (view.frame, view.playing, view.labels) == (1, False, False)
    view.frame = 100
    assert view.frame == player.frame == 4


def test_another_trajectory_starts_at_its_first_frame_in_the_same_widgets():
    view = PlayerView(way(), {"end": TITANATE}, labels=True)
    player, children = view.display.player, view.children
    view.frame, view.playing = 4, True
    turned = [0, 1, 0, 0, 0, 1, 1, 0, 0]
    player.orientation = turned
    view.set_trajectory(way(SALT, 9))
    assert view.children == children and view.display.player is player
    assert (view.frame, view.playing, player.frames) == (0, False, 9)
    assert player.orientation == turned and view.labels
    assert view.pictures == ["trajectory"]
    view.frame = 8
    assert view.frame == 8


@pytest.mark.parametrize("speed", [0, -5, 61])
def test_a_speed_that_is_none_is_refused_and_the_old_one_stays(speed):
    view = PlayerView(way())
    with pytest.raises(TraitError, match="speed"):
        view.speed = speed
    assert view.speed == view.display.player.speed == 20


def test_the_controls_change_supercell_labels_and_pictures():
    view = PlayerView(way(), {"end": TITANATE})
    described(view, ipywidgets.BoundedIntText, "b").value = 2
    assert view.supercell == (1, 2, 1)
    assert len(view.display.pictures["end"].edges) == 20
    described(view, ipywidgets.Checkbox, "Labels").value = True
    assert view.display.player.labels
    described(view, ipywidgets.Checkbox, "Show trajectory").value = False
    assert view.pictures == ["end"] and view.display.player.shown == [False, True]
    view.supercell = (1, 1, 2)
    assert described(view, ipywidgets.BoundedIntText, "c").value == 2
    assert view.pictures == ["end"]


def test_a_supercell_too_large_is_said_and_taken_back():
    view = PlayerView(way())
    view.supercell = (9, 9, 9)
    assert "supercell 9×9×9 holds 3,645 atoms" in view.message.text
    assert view.supercell == (1, 1, 1)
    assert described(view, ipywidgets.BoundedIntText, "a").value == 1
    view.supercell = (2, 1, 1)
    assert not view.message.text


def test_a_supercell_too_large_for_the_next_trajectory_becomes_one_cell():
    many = CrystalBatch(
        [14] * 20, np.random.default_rng(0).random((20, 3)), [(9, 9, 9)], [(90,) * 3], [20], ["m"]
    )
    view = PlayerView(way(SALT), supercell=(6, 5, 5))
    view.set_trajectory(way(many))
    assert view.supercell == (1, 1, 1) and "one cell is shown" in view.message.text


def test_content_that_cannot_be_shown_is_said_and_the_old_stays():
    view = PlayerView(way())
    double = CrystalBatch.concatenate([SALT, SALT])
    view.set_trajectory(Trajectory.from_frames([0.0], [double]))
    assert "one crystal" in view.message.text
    assert view.display.player.frames == 5
    view.set_trajectory(way(), {"trajectory": TITANATE})
    assert "is the caption of the trajectory" in view.message.text
    with pytest.raises(InputError, match="one crystal"):
        PlayerView(Trajectory.from_frames([0.0], [double]))


def test_the_legend_names_the_elements_of_all_pictures():
    view = PlayerView(way(), {"other": SALT})
    legend = next(w.value for w in boxes(view, ipywidgets.HTML) if "flowllm-legend" in w.value)
    assert [s in legend for s in (">Sr<", ">Ti<", ">O<", ">Na<", ">Cl<")] == [True] * 5


# ---- without nglview ---------------------------------------------------------------------------


def report(view, status, detail=""):
    """What the browser would send."""
    view.display.player.status_detail = detail
    view.display.player.status = status


def test_without_the_extension_plotly_draws_and_says_why():
    view = PlayerView(way(), {"end": TITANATE})
    report(view, "no-extension", "no such module")
    assert view.display.kind == "plotly" and view.display.player.renderer == "plotly"
    assert "install nglview 4.0" in view.display.message.text
    assert "no such module" in view.display.message.text
    figure = view.display._slot.children[0]
    assert {t.scene for t in figure.data} == {"scene", "scene2"}

    def cell(scene):
        return next(np.array(t.x, dtype=float) for t in figure.data if t.scene == scene)

    moves, still = cell("scene"), cell("scene2")
    view.frame = 4
    assert np.nanmax(np.abs(cell("scene") - moves)) > 0.1
    np.testing.assert_array_equal(cell("scene2"), still)
    assert described(view, ipywidgets.Checkbox, "Labels").disabled


def test_without_webgl_a_flat_picture_follows_the_frames():
    view = PlayerView(way(), {"end": TITANATE})
    report(view, "no-webgl")
    assert view.display.kind == "flat" and "no WebGL" in view.display.message.text
    picture = view.display._slot.children[0]
    before = picture.value
    view.frame = 3
    assert picture.value != before and picture.value.count("<text") == 2
    described(view, ipywidgets.Checkbox, "Show end").value = False
    assert picture.value.count("<text") == 1


def test_who_asks_for_nglview_gets_an_error_instead_of_another_picture():
    view = StructureView(SALT, renderer="nglview")
    report(view, "no-extension", "gone")
    assert view.display.kind == "nglview" and view.display.message.kind == "error"
    assert "nglview cannot draw" in view.display.message.text


@pytest.mark.parametrize("renderer", ["plotly", "flat"])
def test_a_forced_renderer_shows_each_new_crystal(renderer):
    view = StructureView(None, renderer=renderer)
    view.show(TITANATE)
    full = view.display._slot.children[0]
    assert "Sr" in str(full.data) if renderer == "plotly" else "<circle" in full.value
    view.show(SALT)
    other = view.display._slot.children[0]
    text = str(other.data) if renderer == "plotly" else other.value
    assert "Sr" not in text and not view.message.text and not view.display.message.text


def test_an_element_may_lose_its_last_bond_under_plotly():
    gap = np.linspace(0.2, 0.5, 4)
    pair = CrystalBatch([11, 17], np.full((2, 3), 0.3), [(10,) * 3], [(90,) * 3], [2], ["x"])
    frames = [pair.replace(frac_coords=[(0.3,) * 3, (0.3 + g, 0.3, 0.3)]) for g in gap]
    view = PlayerView(Trajectory.from_frames(gap, frames), renderer="plotly")
    figure = view.display._slot.children[0]
    assert {"bonds Na", "bonds Cl"} <= {t.name for t in figure.data}
    view.frame = 3
    assert not any(t.name.startswith("bonds") for t in figure.data)
    view.frame = 0
    assert any(t.name == "bonds Na" for t in figure.data) and not view.display.message.text


def test_an_extension_that_comes_late_draws_after_all():
    view = StructureView(SALT)
    report(view, "no-extension", "it has not come yet")
    assert view.display.kind == "plotly" and view.display._slot.children
    report(view, "ready")
    assert view.display.kind == "nglview" and view.display.player.renderer == "auto"
    assert not view.display._slot.children and view.display.message.text == ""


def test_a_view_of_plotly_stays_one_where_it_was_asked_for():
    view = StructureView(SALT, renderer="plotly")
    report(view, "ready")
    assert view.display.kind == "plotly"


def test_the_conventional_cell_is_drawn_and_left_again():
    view = StructureView(SALT, "salt")
    before = len(view.display.pictures[""].source)
    view.conventional = True
    large = view.display.pictures[""]
    assert len(np.unique(large.source)) == 4 * len(SALT.atomic_numbers) and view._cell.value
    assert "salt" in view.caption.value
    view.conventional = False
    assert len(view.display.pictures[""].source) == before


def test_polyhedra_are_drawn_by_plotly_where_they_are_asked_for():
    view = StructureView(SALT, renderer="plotly")
    names = lambda: {trace.name for trace in view.display._slot.children[0].data}  # noqa: E731
    assert "polyhedra" not in names()
    view.display.player.look = "polyhedra"
    assert "polyhedra" in names()
