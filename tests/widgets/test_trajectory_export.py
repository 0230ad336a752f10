"""Files of a trajectory, read back by the programs that people use."""

from __future__ import annotations

import io
import json
import re

import ase.io
import numpy as np
import pytest
from PIL import Image, ImageSequence

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.trajectory import Trajectory
from flowllm.errors import InputError
from flowllm.viz.structure3d import draw
from flowllm_widgets.shared.background import Cancelled
from flowllm_widgets.trajectory.data import EnergyCurve, make_curves
from flowllm_widgets.trajectory.export import FORMATS, MIME, export, file_stem
from flowllm_widgets.trajectory.gif import MAX_FRAMES, make_gif, view_axes, view_box
from flowllm_widgets.trajectory.page import make_page, player_data
from tests.widgets.trajectory_samples import changing, straight, triclinic


@pytest.fixture(scope="module")
def way():
    return triclinic()


@pytest.fixture(scope="module")
def curves(way):
    return make_curves(way)


def pictures(content: bytes) -> list[np.ndarray]:
    image = Image.open(io.BytesIO(content))
    return [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(image)]


# ---- files ---------------------------------------------------------------------------------------


def test_ase_reads_every_frame_of_the_extended_xyz(way, curves, tmp_path):
    path = export(way, "extxyz", curves).write(tmp_path)
    assert path.name == "tri_NaClO.extxyz"
    images = ase.io.read(path, index=":")
    assert [atoms.info["t"] for atoms in images] == pytest.approx(way.times)
    for atoms, frame in zip(images, way, strict=True):
        assert atoms.cell.array == pytest.approx(frame.lattices[0], abs=1e-6)
        difference = atoms.get_scaled_positions() - frame.frac_coords
        assert difference - np.round(difference) == pytest.approx(0, abs=1e-6)


def test_the_cif_is_that_of_the_frame(way, curves, tmp_path):
    file = export(way, "cif", curves, frame=5)
    assert file.name == f"tri_NaClO-t{way.times[5]:.3f}.cif"
    crystal = CrystalBatch.from_cif([file.write(tmp_path).read_text()])
    assert crystal.lengths == pytest.approx(way.frame(5).lengths, abs=1e-4)
    assert crystal.volumes[0] == pytest.approx(curves.volume[5], rel=1e-4)


def test_the_cif_holds_the_symmetry_of_its_frame():
    moving = straight(
        [[0, 0, 0], [0.5, 0.5, 0.45]], [[0, 0, 0], [0, 0, 0.05]], (4.0,) * 3, frames=3,
        numbers=[55, 17], name="salt",
    )  # fmt: skip
    curves = make_curves(moving)
    first, last = (export(moving, "cif", curves, frame=k) for k in (0, 2))
    assert last.name == "salt_CsCl-t1.000.cif"
    assert b"_space_group_IT_number 221\n" in last.content  # Pm-3m, caesium chloride
    assert b"_space_group_IT_number 99\n" in first.content  # P4mm: chlorine is off the middle
    again = CrystalBatch.from_cif([last.content.decode()])
    assert again.formulas == ["CsCl"] and again.volumes == pytest.approx(64, rel=1e-5)


def test_a_cell_without_volume_has_no_cif():
    way = straight([[0, 0, 0], [0.5, 0.5, 0.5]], np.zeros((2, 3)), frames=1)
    flat = Trajectory(
        way.times, way.frac_coords, way.lengths, [[[40, 40, 100]]], [11, 17], [2], ["flat"]
    )
    with pytest.raises(InputError, match="frame 1 has no CIF: .*volume"):
        export(flat, "cif", make_curves(way))


def test_names_of_frames_differ(way, curves):
    names = {export(way, "cif", curves, frame=k).name for k in range(len(way))}
    assert len(names) == len(way)


def test_the_folder_is_made_and_nothing_else_is_left_in_it(way, curves, tmp_path):
    export(way, "cif", curves).write(tmp_path / "new" / "folder")
    assert [p.name for p in (tmp_path / "new" / "folder").iterdir()] == ["tri_NaClO-t0.000.cif"]


def test_an_older_file_of_that_name_is_replaced(way, curves, tmp_path):
    (tmp_path / "tri_NaClO.extxyz").write_text("old")
    export(way, "extxyz", curves).write(tmp_path)
    assert len(ase.io.read(tmp_path / "tri_NaClO.extxyz", index=":")) == len(way)


def test_a_file_in_the_way_of_the_folder_is_named(way, curves, tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(InputError, match="taken: a file is where a folder is needed"):
        export(way, "cif", curves).write(tmp_path / "taken")


def test_an_unknown_format_is_named(way, curves):
    with pytest.raises(InputError, match="unknown format 'mp4'; choose from extxyz"):
        export(way, "mp4", curves)


def test_every_format_has_a_media_type():
    assert set(FORMATS) == set(MIME)


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("c000001", "c000001"),
        ("mp-19017", "mp-19017"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("a b/c\\d", "a_b_c_d"),
        ("...", "crystal"),
        ("", "crystal"),
        ("Σ5", "_5"),
    ],
)
def test_ids_become_names_of_files_that_stay_in_their_folder(name, stem):
    assert file_stem(name) == stem


def test_a_cell_without_volume_cannot_be_drawn_and_the_error_says_why(tmp_path):
    way = straight([[0, 0, 0], [0.5, 0.5, 0.5]], np.zeros((2, 3)), frames=3)
    angles = way.angles.copy()
    angles[1] = [40.0, 40.0, 100.0]
    flat = Trajectory(way.times, way.frac_coords, way.lengths, angles, [11, 17], [2], ["flat"])
    for kind in ("html", "gif"):
        with pytest.raises(InputError, match="zero volume"):
            export(flat, kind, make_curves(flat))


# ---- GIF -----------------------------------------------------------------------------------------


def test_atoms_and_cell_move_in_the_gif(way, curves):
    frames = pictures(export(way, "gif", curves).content)
    assert len(frames) == len(way)
    assert len({frame.tobytes() for frame in frames}) == len(way)
    assert len({frame.shape for frame in frames}) == 1


def test_the_cell_moves_in_the_gif_even_where_no_atom_does():
    still = [[0.25, 0.25, 0.25], [0.6, 0.6, 0.6]]
    growing = straight(still, np.zeros((2, 3)), frames=3, growth=0.3)
    first, last = (pictures(make_gif(growing))[k] for k in (0, -1))
    grey = (np.abs(np.stack([first, last]).astype(int) - [138, 148, 166]) < 12).all(-1)
    assert grey[0].sum() > 100 and (grey[0] != grey[1]).sum() > 100


def test_a_crystal_at_rest_has_the_same_picture_but_for_its_time():
    rest = straight([[0, 0, 0], [0.5, 0.5, 0.5]], np.zeros((2, 3)), frames=3)
    first, last = (pictures(make_gif(rest))[k] for k in (0, -1))
    changed = np.argwhere((np.abs(first.astype(int) - last) > 40).any(-1))
    assert len(changed) and changed[:, 0].max() < 40  # the title only


def test_every_frame_lies_inside_the_box_of_the_gif(way):
    drawings = [draw(frame) for frame in way]
    box = view_box(drawings)
    for drawing in drawings:
        for points in (drawing.positions, drawing.edges.reshape(-1, 3)):
            seen = points @ view_axes()[:2].T
            assert (seen > box[:, 0] + 1).all() and (seen < box[:, 1] - 1).all()
    assert np.ptp(box[0]) == pytest.approx(np.ptp(box[1]))


def test_the_axes_of_the_view_are_right_handed():
    assert np.linalg.det(view_axes()) == pytest.approx(1)
    assert view_axes()[1, 2] > 0.8  # c is up


def test_long_trajectories_are_thinned_and_keep_both_ends():
    long = straight([[0.2, 0.3, 0.4]], [[0.5, 0, 0]], numbers=[29], frames=2 * MAX_FRAMES)
    ticks = []
    frames = pictures(make_gif(long, tick=lambda done, total: ticks.append((done, total))))
    assert len(frames) == MAX_FRAMES and ticks[-1] == (MAX_FRAMES, MAX_FRAMES)
    ends = pictures(make_gif(Trajectory.from_frames([0, 1], [long.first, long.last])))
    box = frames[0].shape
    assert ends[0].shape == box


def test_a_gif_can_be_given_up(way):
    def stop(done, total):
        raise Cancelled

    with pytest.raises(Cancelled):
        make_gif(way, tick=stop)


# ---- page ----------------------------------------------------------------------------------------


def test_the_page_loads_nothing(way, curves):
    page = make_page(way, curves)
    own = page[: page.index("<script>")] + page[page.rindex("</header>") :]
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", own)
    assert "<script src" not in page and "<link" not in page


def test_the_page_holds_every_frame_with_its_cell(way, curves):
    page = make_page(way, curves, EnergyCurve(np.full(12, -3.0), ("",) * 12))
    text = re.search(r'id="trajectory">(.*?)</script>', page, re.DOTALL).group(1)
    data = json.loads(text.replace("<\\/", "</"))
    assert len(data["frames"]) == len(data["says"]) == len(way)
    for k, frame in enumerate(data["frames"]):
        drawing = draw(way.frame(k))
        assert np.array(frame["atoms"]) == pytest.approx(drawing.positions, abs=1e-3)
        assert np.array(frame["edges"]) == pytest.approx(drawing.edges, abs=1e-3)
    assert data["frames"][0]["edges"] != data["frames"][-1]["edges"]
    assert data["marks"]["plots"][-1]["values"][0] == -3.0


def test_every_atom_of_the_page_has_its_element(way, curves):
    data = player_data(way, curves, None)
    drawing = draw(way.first)
    names = [data["elements"][kind]["symbol"] for kind in data["frames"][0]["kinds"]]
    expected = {8: "O", 11: "Na", 17: "Cl"}
    assert names == [expected[int(n)] for n in drawing.numbers]


def test_nothing_leaves_the_page_s_view_when_it_is_turned(way, curves):
    data = player_data(way, curves, None)
    low, high = np.array(data["ranges"]).T
    middle, half = (low + high) / 2, (high - low) / 2
    assert half == pytest.approx(half[0])
    for frame in data["frames"]:
        far = np.linalg.norm(np.array(frame["atoms"]) - middle, axis=1)
        assert (far < half[0]).all()


def test_an_id_that_is_code_stays_text():
    bad = straight([[0, 0, 0]], [[0, 0, 0]], numbers=[29], name="</script><b>")
    page = make_page(bad, make_curves(bad))
    assert "</script><b>" not in page and "&lt;b&gt;" in page


# ---- species that change ------------------------------------------------------------------------


def test_extended_xyz_of_changing_species_reads_back(tmp_path):
    path = changing()
    file = export(path, "extxyz", make_curves(path)).write(tmp_path)
    images = ase.io.read(file, index=":")
    assert [image.get_chemical_formula() for image in images] == ["ClNaX"] * 3 + ["ClKO"] * 3
    assert np.array_equal([image.numbers for image in images], path.atomic_numbers)


def test_the_cif_of_a_frame_with_an_open_species_is_refused_and_the_frame_named():
    path = changing()
    curves = make_curves(path)
    with pytest.raises(InputError, match=r"frame 3 has no CIF: c000000: the species of atom 3"):
        export(path, "cif", curves, frame=2)
    text = export(path, "cif", curves, frame=3).content.decode()
    assert CrystalBatch.from_cif([text]).formulas == path.last.formulas


def test_the_page_has_the_species_of_each_frame():
    path = changing()
    curves = make_curves(path)
    data = player_data(path, curves, None)
    symbols = [element["symbol"] for element in data["elements"]]
    assert symbols == ["X", "O", "Na", "Cl", "K"]
    named = [[symbols[kind] for kind in frame["kinds"]] for frame in data["frames"]]
    assert named == [["Na", "Cl", "X"]] * 3 + [["K", "Cl", "O"]] * 3
    assert [len(frame["bonds"]) for frame in data["frames"]] == [1] * 3 + [2] * 3
    formulas = [line.split(" · ")[0] for line in data["says"]]
    assert formulas == [path.first.formulas[0]] * 3 + [path.last.formulas[0]] * 3
    assert f"{path.first.formulas[0]} → {path.last.formulas[0]}" in make_page(path, curves)


def test_the_gif_shows_the_colours_of_its_frames_over_one_legend():
    first, *_, last = pictures(make_gif(changing()))
    legend = slice(-30, None)
    assert np.abs(first[legend].astype(int) - last[legend]).mean() < 1
    assert (first[40:-40] != last[40:-40]).any()
