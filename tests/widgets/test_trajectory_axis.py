"""Trajectories of every system in the viewer: the right axis, species that change, 100 frames."""

from dataclasses import fields, replace

import numpy as np
import pytest

from flowllm.crystals.axis import Axis
from flowllm.data.shipped import load_shipped
from flowllm.methods.base.open_species import DIFFCSP, FLOWMM, OpenPrior
from flowllm.methods.cdvae.model import CDVAEModel
from flowllm.methods.cdvae.prior import CDVAEPrior
from flowllm.methods.cdvae.refiner import CDVAERefiner
from flowllm.methods.cdvae.statistics import CDVAEStatistics
from flowllm.methods.diffcsp.refiner import DiffCSPRefiner
from flowllm.methods.flowmm.refiner import FlowMMRefiner
from flowllm.systems.system import FlowLLM
from flowllm_widgets import TrajectoryViewer
from flowllm_widgets.structure.player import scene
from flowllm_widgets.trajectory.data import make_curves
from flowllm_widgets.trajectory.export import export
from flowllm_widgets.trajectory.figure import layout_changes, trace_changes
from flowllm_widgets.trajectory.source import Source
from tests.methods.diffcsp.conftest import random_network as diffcsp_network
from tests.methods.flowmm.conftest import random_network as flowmm_network
from tests.widgets.trajectory_samples import changing, two_crystals

SIZES = [1.0] * 6


@pytest.fixture(scope="module")
def crystals():
    some = load_shipped("mp_20", "val")
    return some[np.flatnonzero(some.crystals.num_atoms <= 6)[:48]]


@pytest.fixture(scope="module")
def systems(crystals):
    """Name -> a small untrained system, what is asked of it, and the ends of its axis."""
    from flowllm.methods.cdvae.levels import NoiseLevels
    from flowllm.methods.cdvae.train import energies_of
    from flowllm.networks.cdvae.network import CDVAE
    from flowllm.networks.cdvae.settings import CDVAEConfig

    open_flow = OpenPrior.fit(FLOWMM, crystals.crystals)
    flow = FlowMMRefiner({"dng": flowmm_network(crystals.crystals, open_flow.geometry, "dng")})
    open_noise = OpenPrior.fit(DIFFCSP, crystals.crystals)
    noise = DiffCSPRefiner({"dng": diffcsp_network("dng"), "csp": diffcsp_network("csp")})
    small = CDVAEConfig(latent=12, hidden=16, layers=1, basis=6, cutoff=4.0, head_hidden=32)
    model = CDVAEModel.of(
        CDVAE(small), CDVAEStatistics.fit(crystals.crystals, energies_of(crystals)),
        NoiseLevels(noise_levels=8),
    )  # fmt: skip
    heads = CDVAEPrior(model.network.heads, model.statistics)
    return {
        "flowmm": (FlowLLM(open_flow, flow, SIZES), ("t = 0.00", "t = 1.00")),
        "diffcsp": (
            FlowLLM(open_noise, noise, SIZES), ("diffusion step 1000", "diffusion step 0")
        ),
        "halfway": (
            FlowLLM(open_flow, noise, SIZES, start=0.5),
            ("diffusion step 500", "diffusion step 0"),
        ),
        "cdvae": (
            FlowLLM(heads, CDVAERefiner(model), SIZES),
            ("noise level 10 Å", "noise level 0.01 Å"),
        ),
    }  # fmt: skip


@pytest.mark.parametrize("name", ["flowmm", "diffcsp", "halfway", "cdvae"])
def test_the_ways_of_a_system_play_with_its_axis(systems, name):
    system, ends = systems[name]
    asked = {"composition": "Ti1 O2"} if name == "halfway" else {"num_atoms": 3}
    made = system.generate(2, refinement=system.refiner.Settings(record=True), **asked)
    assert 2 < len(made.trajectory) <= 100
    viewer = TrajectoryViewer(made)
    last = len(made.trajectory) - 1
    assert ends[0] in viewer.status.value
    viewer.frame = last
    assert f"{ends[1]}, frame {last + 1} of {last + 1}" in viewer.status.value
    captions = list(viewer.player.display.pictures)
    if name != "flowmm":
        assert captions[1:] == [f"prior ({ends[0]})", f"refined ({ends[1]})"]
        places = viewer.player.display.player.places
        assert (places[0], places[-1], len(places)) == (*ends, last + 1)
    if name in ("flowmm", "diffcsp"):  # from open species to elements
        assert made.trajectory.species_change
        data = scene(viewer.player.display.pictures["trajectory"])
        kinds = np.frombuffer(data["kinds"], np.uint8).reshape(last + 1, -1)
        assert data["elements"][kinds[0, 0]]["symbol"] == "X"
        assert data["elements"][kinds[-1, 0]]["symbol"] != "X"
    if name == "halfway":
        assert not made.trajectory.species_change


def test_at_most_a_hundred_frames_are_kept_however_many_are_asked_for(systems):
    system, _ = systems["flowmm"]
    for record in (True, 500):
        how = system.refiner.Settings(record=record, steps=150)
        assert len(system.generate(1, refinement=how, num_atoms=2).trajectory) == 100
    assert all(f.name != "record" or f.default is False for f in fields(system.refiner.Settings))


def test_plots_name_the_axis_and_put_its_values_along_it():
    way = two_crystals(5).crystal(0)
    curves = make_curves(replace(way, axis=Axis("noise level", [10, 3, 1, 0.1, 0.01], "Å")))
    layout = layout_changes(curves)
    assert layout["xaxis5"]["title"]["text"] == "noise level (Å)" and "title" not in layout["xaxis"]
    assert layout["xaxis"]["ticktext"] == ["10", "3", "1", "0.1", "0.01"]
    assert layout["xaxis"]["tickvals"] == way.times.tolist()
    assert trace_changes(curves)[0]["text"][2].startswith("noise level 1 Å<br>")
    plain = layout_changes(make_curves(way))
    assert plain["xaxis5"]["title"]["text"] == "t" and plain["xaxis5"]["tickvals"] is None


def test_files_use_the_axis(tmp_path):
    way = replace(changing(6), axis=Axis("diffusion step", np.linspace(1000, 0, 6)))
    page = export(way, "html", make_curves(way)).content.decode()
    assert "from the prior (diffusion step 1000) to the refined crystal" in page
    assert "diffusion step 600, frame 3 of 6" in page
    assert export(way, "gif", make_curves(way)).content[:3] == b"GIF"
    assert Source.of(way).stills(0).keys() == {
        "prior (diffusion step 1000)", "refined (diffusion step 0)"
    }  # fmt: skip
