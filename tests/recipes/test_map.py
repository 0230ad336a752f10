"""The map of all systems: made in miniature from run folders, stored small, drawn."""

import numpy as np
import pytest

from flowllm.data.shipped import load_shipped
from flowllm.data.system_map import SystemMap
from flowllm.errors import InputError
from flowllm.metrics.symmetry import space_groups
from flowllm.viz.colours import COLOURS, GREY
from flowllm_widgets.embedding.system_map import map_figure
from recipes import map as recipe

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The map of 30 test crystals and of two systems: 24 validation crystals, and those shaken."""
    folder = tmp_path_factory.mktemp("map")
    crystals = load_shipped("mp_20", "val").crystals
    few = crystals[np.flatnonzero(crystals.num_atoms <= 6)[:24]]
    rng = np.random.default_rng(0)
    shaken = few.replace(frac_coords=few.frac_coords + rng.normal(0, 0.03, few.frac_coords.shape))
    few.save(folder / "calm.npz")
    shaken.save(folder / "shaken.npz")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLOWLLM_CACHE_DIR", str(folder / "cache"))
        words = ["--system", f"calm={folder / 'calm.npz'}", "--num", "20", "--data", "30"]
        words += ["--system", f"shaken={folder / 'shaken.npz'}", "--out", str(folder / "map.npz")]
        return recipe.main(words), folder, few


def test_every_crystal_has_a_place_its_formula_and_its_group(made):
    found, _, few = made
    assert found.names == ("MP-20 test", "calm", "shaken")
    assert found.counts == {"MP-20 test": 30, "calm": 20, "shaken": 20}
    rows = found.members("calm")
    drawn = recipe.some(few, 20, 0)
    assert [found.formulas[k] for k in rows] == drawn.formulas
    assert found.space_groups[rows].tolist() == space_groups(drawn, 0.1).tolist()
    assert found.coords.dtype == np.float16 and np.ptp(found.coords, axis=0).min() > 1
    middle = (found.coords.max(0) + found.coords.min(0)) / 2
    assert np.abs(middle.astype(float)).max() < 0.05


def test_the_same_crystals_lie_near_each_other_however_shaken(made):
    found, _, _ = made
    places = found.coords.astype(float)
    calm, shaken = places[found.members("calm")], places[found.members("shaken")]
    own = np.linalg.norm(calm - shaken, axis=1)
    other = np.linalg.norm(calm[:, None] - shaken[None], axis=-1)
    assert np.median(own) < 0.5 * np.median(other)


def test_the_file_is_read_as_it_was_made_and_is_small(made):
    found, folder, _ = made
    again = SystemMap.load(folder / "map.npz")
    assert (again.names, again.formulas) == (found.names, found.formulas)
    for name in ("coords", "system", "space_groups"):
        assert np.array_equal(getattr(again, name), getattr(found, name))


def test_a_map_of_twenty_thousand_is_below_a_megabyte(tmp_path):
    rng, size = np.random.default_rng(0), 20_000
    formulas = tuple(load_shipped("mp_20", "train").crystals[:size].formulas)
    names = tuple(f"system {k}" for k in range(9))
    groups = rng.integers(0, 231, size)
    made = SystemMap(names, rng.normal(0, 6, (size, 2)), rng.integers(0, 9, size), formulas, groups)
    made.save(tmp_path / "map.npz")
    assert (tmp_path / "map.npz").stat().st_size < 1_000_000
    assert SystemMap.load(tmp_path / "map.npz").formulas == formulas


def test_the_figure_has_the_data_behind_and_a_trace_for_each_system(made):
    found, _, _ = made
    figure = map_figure(found, shown="shaken")
    assert [trace.name for trace in figure.data] == [
        "MP-20 test (30)", "calm (20)", "shaken (20)"
    ]  # fmt: skip
    assert [trace.visible for trace in figure.data] == [True, "legendonly", True]
    assert figure.data[0].marker.color == GREY
    row = found.members("calm")[0]
    assert figure.data[1].text[0].startswith(f"<b>{found.formulas[row]}</b> · calm<br>space group")
    assert all(trace.visible for trace in map_figure(found).data)


def test_what_is_no_map_is_refused(made, tmp_path):
    found, _, _ = made
    with pytest.raises(InputError, match="NAME=FOLDER"):
        recipe.main(["--system", "flowmm"])
    with pytest.raises(InputError, match="no system 'cdvae' on the map"):
        map_figure(found, shown="cdvae")
    with pytest.raises(InputError, match="system must be from 0 to 0"):
        SystemMap(("a",), np.zeros((1, 2)), [1], ("NaCl",), [225])
    with pytest.raises(InputError, match="space_groups must be from 0 to 230"):
        SystemMap(("a",), np.zeros((1, 2)), [0], ("NaCl",), [231])
    with pytest.raises(InputError, match="not finite"):
        SystemMap(("a",), [[np.nan, 0]], [0], ("NaCl",), [225])
    many = tuple(f"s{k}" for k in range(len(COLOURS) + 2))
    with pytest.raises(InputError, match="colours for only 9"):
        map_figure(SystemMap(many, np.zeros((1, 2)), [0], ("NaCl",), [225]))
    (tmp_path / "map.npz").write_bytes(b"no archive")
    with pytest.raises(InputError, match="is not a map of systems"):
        SystemMap.load(tmp_path / "map.npz")
