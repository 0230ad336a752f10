"""The viewer in the kernel: what it takes, what its controls do, what it says when it can't."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import ase.io
import numpy as np
import pytest

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.trajectory import Trajectory
from flowllm.errors import InputError
from flowllm.systems.generation import Generation
from flowllm_widgets.trajectory.data import energy_curve
from flowllm_widgets.trajectory.download import DownloadLink
from flowllm_widgets.trajectory.figure import ENERGY
from flowllm_widgets.trajectory.source import Source
from flowllm_widgets.trajectory.widget import TrajectoryViewer
from tests.widgets.stills import pictures_in
from tests.widgets.trajectory_samples import Springs, changing, straight, triclinic, two_crystals


@pytest.fixture
def viewer():
    return TrajectoryViewer(two_crystals(), renderer="flat", potential=Springs())


class Slow(Springs):
    """Waits in its second call until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.busy, self.go = threading.Event(), threading.Event()

    def __call__(self, *arguments):
        if self.calls:
            self.busy.set()
            assert self.go.wait(30)
        return super().__call__(*arguments)


# ---- what it takes -------------------------------------------------------------------------------


def test_prior_and_refined_are_the_ends_of_the_trajectory():
    way = two_crystals()
    stills = Source.of(way).stills(1)
    assert list(stills) == ["prior (t = 0)", "refined (t = 1)"]
    assert stills["prior (t = 0)"].frac_coords == pytest.approx(way.first[1].frac_coords)
    assert stills["refined (t = 1)"].lengths == pytest.approx(way.last[1].lengths)


def test_a_generation_brings_its_prior():
    way = two_crystals()
    drawn = way.first.replace(lengths=way.first.lengths + 1.0)
    source = Source.of(Generation(["", ""], drawn, way))
    assert source.stills(0)["prior (t = 0)"].lengths == pytest.approx(way.first[0].lengths + 1)


def test_crystals_are_found_by_id_whatever_their_order():
    way = two_crystals()
    source = Source.of(way, prior=way.first[[1, 0]], refined=way.last[[1, 0]])
    for index, name in enumerate("ab"):
        assert [s.ids[0] for s in source.stills(index).values()] == [name, name]


def test_a_batch_of_references_is_matched_by_id():
    way = two_crystals()
    source = Source.of(way, reference=way.last[1], reference_name="true")
    assert list(source.stills(0)) == ["prior (t = 0)", "refined (t = 1)"]
    assert list(source.stills(1))[-1] == "true"


def test_a_single_reference_of_another_id_stands_beside_all_of_its_composition():
    rock_salt = straight([[0, 0, 0], [0.5, 0.5, 0.5]], np.zeros((2, 3)), name="mp-22862").first
    source = Source.of(two_crystals(), reference=rock_salt)
    assert "relaxed" in source.stills(0) and "relaxed" not in source.stills(1)


def test_a_reference_may_have_a_larger_cell():
    corners = [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0.5, 0.5], [0.5, 0, 0]]
    large = straight(corners, np.zeros((4, 3)), numbers=[11, 11, 17, 17], name="large").first
    assert "relaxed" in Source.of(two_crystals(), reference=large).stills(0)


def test_a_single_frame_has_no_refined_crystal():
    single = straight([[0, 0, 0]], [[0, 0, 0]], frames=1)
    assert list(Source.of(single).stills(0)) == ["prior (t = 0)"]


def test_the_ends_of_another_way_than_a_flow_have_names_of_their_own():
    viewer = TrajectoryViewer(triclinic(), ends=("as generated", "relaxed"), renderer="flat")
    assert list(viewer.source.stills(0)) == ["as generated (t = 0)", "relaxed (t = 1)"]


def test_labels_name_id_and_formula():
    assert Source.of(two_crystals()).labels == ["a  NaCl", "b  NaClO"]
    open_type = straight([[0, 0, 0]], [[0, 0, 0]], numbers=[0])
    assert Source.of(open_type).labels == ["c000000  ?"]


def test_something_else_is_refused_by_its_type():
    with pytest.raises(InputError, match="a trajectory is needed, not CrystalBatch"):
        TrajectoryViewer(two_crystals().first)


def test_a_trajectory_of_no_crystal_is_refused():
    with pytest.raises(InputError, match="contains no crystal"):
        TrajectoryViewer(two_crystals().select(np.array([], dtype=int)))


@pytest.mark.parametrize("crystal", [2, -1, 99])
def test_a_crystal_that_is_not_there_is_named(crystal):
    with pytest.raises(InputError, match=f"no crystal {crystal}; the trajectory holds 2"):
        TrajectoryViewer(two_crystals(), crystal=crystal)


def test_a_reference_of_another_composition_is_named():
    way = two_crystals()
    other = way.last[1].replace(ids=["mp-1"])
    with pytest.raises(InputError, match="true is NaClO, but a is NaCl"):
        TrajectoryViewer(way, reference=other, reference_name="true")
    swapped = way.last.replace(ids=["b", "a"])
    with pytest.raises(InputError, match="relaxed: a is NaClO, not NaCl"):
        TrajectoryViewer(way, reference=swapped)


def test_references_of_which_none_belongs_are_refused():
    strangers = two_crystals().last.replace(ids=["x", "y"])
    with pytest.raises(InputError, match=r"none of its ids .* \(x, …\)"):
        TrajectoryViewer(two_crystals(), reference=strangers)
    with pytest.raises(InputError, match="it contains no crystal"):
        TrajectoryViewer(two_crystals(), reference=CrystalBatch.empty())


def test_a_prior_that_lacks_a_crystal_or_has_other_atoms_is_named():
    way = two_crystals()
    with pytest.raises(InputError, match="prior: no crystal b"):
        TrajectoryViewer(way, prior=way.first[0])
    other = way.first.replace(atomic_numbers=[11, 9, 11, 17, 8])
    with pytest.raises(InputError, match="refined: a is NaF, not NaCl"):
        TrajectoryViewer(way, refined=other)


def test_a_crystal_without_volume_is_refused():
    way = triclinic()
    angles = np.broadcast_to([40.0, 40.0, 100.0], (12, 1, 3))
    flat = Trajectory(way.times, way.frac_coords, way.lengths, angles, [11, 17, 8], [3], ["flat"])
    with pytest.raises(InputError):
        TrajectoryViewer(flat)


# ---- frames and crystals -------------------------------------------------------------------------


def test_a_frame_of_the_player_moves_mark_and_line(viewer):
    viewer.player.frame = 3
    assert (viewer.frame, viewer.marks.frame) == (3, 3)
    assert "t = 0.60, frame 4 of 6" in viewer.status.value


def test_a_frame_of_the_viewer_moves_the_player(viewer):
    viewer.frame = 4
    assert viewer.player.frame == 4 and viewer.player.display.player.frame == 4


def test_frames_beyond_the_ends_are_the_ends(viewer):
    viewer.frame = 99
    assert viewer.frame == viewer.player.frame == 5
    viewer.frame = -3
    assert viewer.frame == viewer.player.frame == 0


def test_a_click_in_a_plot_moves_the_frame_and_pauses(viewer):
    viewer.player.playing = True
    click(viewer, 2, 4)
    assert (viewer.frame, viewer.player.frame, viewer.player.playing) == (4, 4, False)


def test_a_click_beside_every_curve_does_nothing(viewer):
    viewer.frame = 2
    viewer._on_click(None, SimpleNamespace(point_inds=[]), None)
    assert viewer.frame == 2


def click(viewer, trace, point):
    """What plotly does in the kernel when the browser reports a click."""
    chosen = viewer.figure.data[trace]
    points = SimpleNamespace(point_inds=[point], trace_index=trace)
    chosen._dispatch_on_click(points, None)


def test_another_crystal_brings_its_views_curves_and_line(viewer):
    before = list(viewer.figure.data[1].y)
    viewer.frame = 3
    viewer.choice.value = 1
    assert viewer.crystal == 1 and viewer.trajectory.ids.tolist() == ["b"]
    assert viewer.player.trajectory.ids.tolist() == ["b"]
    assert [s.ids[0] for s in viewer.player.stills.values()] == ["b", "b"]
    assert list(viewer.figure.data[1].y) == pytest.approx(viewer.curves.volume)
    assert list(viewer.figure.data[1].y) != before
    assert viewer.marks.marks["plots"][1]["values"] == pytest.approx(viewer.curves.volume)
    assert viewer.frame == 0 and viewer.status.value.count("NaClO") == 1


def test_the_buttons_go_around_all_crystals(viewer):
    shown = []
    for step in (1, 1, -1):
        viewer._step(step)
        shown.append((viewer.crystal, viewer.choice.value))
    assert shown == [(1, 1), (0, 0), (1, 1)]


def test_a_crystal_set_that_is_not_there_is_named_and_the_view_stays(viewer):
    with pytest.raises(InputError, match="no crystal 7"):
        viewer.crystal = 7
    assert viewer.crystal == 0


def test_a_crystal_that_cannot_be_drawn_is_named_and_the_one_before_stays():
    way = two_crystals()
    angles = way.angles.copy()
    angles[3, 1] = [40.0, 40.0, 100.0]
    bad = Trajectory(
        way.times, way.frac_coords, way.lengths, angles, way.atomic_numbers, way.num_atoms, way.ids
    )
    viewer = TrajectoryViewer(bad, renderer="flat")
    viewer.choice.value = 1
    assert viewer.message.kind == "error" and viewer.message.text.startswith("b: ")
    assert viewer.crystal == viewer.choice.value == 0
    assert viewer.player.trajectory.ids.tolist() == viewer.trajectory.ids.tolist() == ["a"]


def test_one_crystal_needs_no_list():
    alone = TrajectoryViewer(triclinic(), renderer="flat")
    assert alone.children[0].layout.display == "none"


def test_a_single_frame_can_be_looked_at():
    alone = TrajectoryViewer(straight([[0, 0, 0]], [[0, 0, 0]], frames=1), renderer="flat")
    assert "frame 1 of 1" in alone.status.value and alone.message.text == ""


def test_the_starting_crystal_is_shown():
    assert TrajectoryViewer(two_crystals(), crystal=1, renderer="flat").choice.label == "b  NaClO"


def test_a_page_without_widgets_gets_a_still(viewer):
    bundle = viewer._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    crystals, curves = pictures_in(bundle["text/html"])
    assert crystals.startswith("<svg") and "<circle" in crystals
    assert "shortest distance" in curves and "Å per t" in curves and "<path" in curves


# ---- energies ------------------------------------------------------------------------------------


def test_the_button_computes_energies_of_the_crystal_shown(viewer):
    assert viewer.energy is None
    viewer.energy_control.button.click()
    assert viewer.energy_control.wait(30)
    expected = viewer.curves.volume / 2
    assert viewer.energy.energies == pytest.approx(expected)
    assert list(viewer.figure.data[ENERGY].y) == pytest.approx(expected)
    assert viewer.marks.marks["plots"][ENERGY]["values"] == pytest.approx(expected)
    assert viewer.energy_control.button.description == "CHGNet energy"
    assert viewer.energy_control.text.value == "" == viewer.message.text


def test_energies_can_be_asked_for_at_the_start():
    viewer = TrajectoryViewer(triclinic(), energies=True, renderer="flat", potential=Springs())
    assert viewer.energy_control.wait(30) and np.isfinite(viewer.energy.energies).all()


def test_energies_of_each_crystal_are_kept(viewer):
    for _ in range(2):
        viewer.compute_energies()
        assert viewer.energy_control.wait(30)
        viewer._step(1)
    assert viewer.crystal == 0 and viewer.energy.energies == pytest.approx(viewer.curves.volume / 2)
    assert list(viewer.figure.data[ENERGY].y) == pytest.approx(viewer.energy.energies)


def test_the_button_cancels_and_what_is_there_stays():
    slow = Slow()
    viewer = TrajectoryViewer(triclinic(), renderer="flat", potential=slow)
    viewer.energy_control.button.click()
    assert slow.busy.wait(30)
    assert viewer.energy_control.button.description == "Cancel"
    viewer.energy_control.button.click()
    assert viewer.energy_control.text.value == "cancelling …"
    slow.go.set()
    assert viewer.energy_control.wait(30)
    assert np.isfinite(viewer.energy.energies).tolist() == [True] * 4 + [False] * 8
    assert viewer.energy_control.text.value == "cancelled"
    assert viewer.energy_control.button.description == "CHGNet energy"


def test_energies_of_a_crystal_that_one_has_left_are_not_drawn():
    slow = Slow()
    viewer = TrajectoryViewer(two_crystals(), renderer="flat", potential=slow)
    viewer.compute_energies()
    assert slow.busy.wait(30)
    viewer.crystal = 1
    slow.go.set()
    assert viewer.energy_control.wait(30)
    assert viewer.energy is None
    assert np.isnan(np.array(viewer.figure.data[ENERGY].y, dtype=float)).all()


def test_frames_without_energy_are_told():
    refused = Springs("atoms lie on top of each other")
    viewer = TrajectoryViewer(triclinic(), renderer="flat", potential=refused)
    viewer.compute_energies()
    assert viewer.energy_control.wait(30)
    assert viewer.message.kind == "warning" and "on top of each other" in viewer.message.text


def test_a_potential_that_fails_is_told_and_the_button_comes_back():
    viewer = TrajectoryViewer(triclinic(), renderer="flat", potential=Springs("raise"))
    viewer.compute_energies()
    assert viewer.energy_control.wait(30)
    assert viewer.message.kind == "error" and "no potential today" in viewer.message.text
    assert viewer.energy_control.button.description == "CHGNet energy"


# ---- export --------------------------------------------------------------------------------------


def test_the_button_writes_the_chosen_format_and_offers_it(viewer, tmp_path):
    control = viewer.export_control
    control.kind.value, control.folder.value = "extxyz", str(tmp_path / "out")
    control.button.click()
    assert control.wait(30)
    path = tmp_path / "out" / "a_NaCl.extxyz"
    assert len(ase.io.read(path, index=":")) == 6
    assert control.link.name == "a_NaCl.extxyz" and control.link.content == path.read_bytes()
    assert str(path) in viewer.message.text and not control.button.disabled


def test_what_is_shown_is_what_is_written(viewer, tmp_path):
    viewer.crystal = 1
    viewer.frame = 2
    viewer.export("cif", str(tmp_path))
    assert viewer.export_control.wait(30)
    (path,) = tmp_path.iterdir()
    crystal = CrystalBatch.from_cif([path.read_text()])
    assert crystal.volumes[0] == pytest.approx(viewer.curves.volume[2], rel=1e-4)


def test_a_link_to_another_crystal_is_withdrawn(viewer, tmp_path):
    viewer.export("cif", str(tmp_path))
    assert viewer.export_control.wait(30) and viewer.export_control.link.name
    viewer.crystal = 1
    assert viewer.export_control.link.name == "" and viewer.export_control.link.content == b""


def test_no_folder_and_no_such_format_are_told(viewer):
    viewer.export_control.folder.value = "  "
    viewer.export_control.button.click()
    assert viewer.message.kind == "error" and "name a folder" in viewer.message.text
    with pytest.raises(InputError, match="unknown format 'mp4'"):
        viewer.export("mp4")


def test_a_folder_that_cannot_be_made_is_told(viewer, tmp_path):
    (tmp_path / "taken").write_text("")
    viewer.export("cif", str(tmp_path / "taken"))
    assert viewer.export_control.wait(30)
    assert viewer.message.kind == "error" and "taken" in viewer.message.text
    assert not viewer.export_control.button.disabled and viewer.export_control.link.name == ""


def test_a_link_offers_and_withdraws():
    link = DownloadLink()
    link.offer("a.cif", b"data", "chemical/x-cif")
    assert (link.name, link.content, link.mime) == ("a.cif", b"data", "chemical/x-cif")
    link.withdraw()
    assert (link.name, link.content) == ("", b"")


# ---- species that change ------------------------------------------------------------------------


def test_the_formula_is_that_of_the_frame_and_the_label_that_of_the_last():
    viewer = TrajectoryViewer(changing(), renderer="flat")
    first, last = (frame.formulas[0] for frame in (changing().first, changing().last))
    assert viewer.source.labels == [f"c000000  {last}"]
    assert f">{first} · 3 atoms" in viewer.status.value
    viewer.frame = 3
    assert f">{last} · 3 atoms" in viewer.status.value


def test_what_stands_beside_changing_species_fits_the_end_that_it_belongs_to():
    way = changing()
    source = Source.of(way, prior=way.first, refined=way.last, reference=way.last)
    stills = source.stills(0)
    assert stills["prior (t = 0)"].atomic_numbers.tolist() == [11, 17, 0]
    assert stills["refined (t = 1)"].atomic_numbers.tolist() == [19, 17, 8]
    assert stills["relaxed"].atomic_numbers.tolist() == [19, 17, 8]
    with pytest.raises(InputError, match=r"refined: c000000 is \?, not"):
        Source.of(way, refined=way.first)


def test_frames_with_an_open_species_have_no_energy():
    energy = energy_curve(changing(), potential=Springs())
    assert np.isfinite(energy.energies).all()  # Springs takes anything; CHGNet does not:
    reasons = energy_curve(changing()).reasons
    assert [bool(reason) for reason in reasons] == [True] * 3 + [False] * 3
