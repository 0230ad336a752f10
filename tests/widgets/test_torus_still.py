"""Stills of the torus: what stands in them, where, and that they follow t and the switches."""

from __future__ import annotations

import base64
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import torch

from flowllm_widgets.torus.layers import arrows, panel, points
from flowllm_widgets.torus.still import SIDE, geodesic_svg, layer_path, panels_svg
from flowllm_widgets.torus.views import FlowView, GeodesicView

FRAMES = torch.tensor([[[0.9, 0.2], [0.1, 0.5]], [[0.1, 0.2], [0.3, 0.5]]])


def places(path: str) -> np.ndarray:
    """(N, 2) points of a path in units of the square, y upwards."""
    found = np.array(re.findall(r"M(-?[\d.]+) (-?[\d.]+)h0", path), dtype=float) / SIDE
    return np.stack([found[:, 0], 1 - found[:, 1]], -1)


@pytest.mark.parametrize(
    ("t", "wrap", "wanted"),
    [
        (0.0, True, [(0.9, 0.2), (0.1, 0.5)]),
        (0.25, True, [(0.95, 0.2), (0.15, 0.5)]),
        (0.75, True, [(0.05, 0.2), (0.25, 0.5)]),
        (0.5, False, [(0.5, 0.2), (0.2, 0.5)]),
        (1.0, True, [(0.1, 0.2), (0.3, 0.5)]),
    ],
)
def test_points_move_the_short_way(t, wrap, wanted):
    layer = points("moving", "samples", FRAMES, "#2f7bd9", wrap=wrap)
    assert places(layer_path(layer, t)) == pytest.approx(np.array(wanted), abs=1e-3)


def test_arrows_have_heads_and_no_place_without_a_velocity_has_one():
    velocity = torch.zeros(1, 15 * 15, 2)
    velocity[0, 7] = torch.tensor([1.0, 0.0])
    velocity[0, 8] = torch.nan
    path = layer_path(arrows("field", "velocity", velocity), 0.0)
    starts = re.findall(r"M(-?[\d.]+) (-?[\d.]+)L(-?[\d.]+) (-?[\d.]+)", path)
    assert len(starts) == 3  # the shaft, and two sides of the head
    (x, y, a, b), *sides = np.array(starts, dtype=float)
    assert a > x and b == y
    assert all((side[2:] == (a, b)).all() and x < side[0] < a for side in sides)


def test_switched_off_layers_are_left_out_and_titles_are_text():
    held = panel("a < b", points("one", "first", FRAMES, "#112233"),
                 points("two", "second", FRAMES, "#445566"))  # fmt: skip
    root = ET.fromstring(panels_svg([held], ["two"], 0.5))
    said = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert said == ["a < b", "first, t = 0.50"]
    strokes = [element.get("stroke") for element in root.iter("{http://www.w3.org/2000/svg}path")]
    assert strokes == ["#112233"]
    assert panels_svg([], [], 0.0) == ""


def test_a_geodesic_across_the_edge_is_cut_there():
    root = ET.fromstring(geodesic_svg([0.9, 0.5], [0.1, 0.5], [0.0, 0.5]))
    way, *dots = [element.get("d") for element in root.iter("{http://www.w3.org/2000/svg}path")]
    assert way.count("M") == 2 and len(dots) == 3
    assert f"L{SIDE:.1f} {SIDE / 2:.1f}M0.0 {SIDE / 2:.1f}" in way


def test_views_leave_an_image():
    flow = FlowView(panels=[panel("base & target", points("one", "first", FRAMES, "#112233"))])
    for view in (GeodesicView(), flow):
        code = re.fullmatch(r'<img alt="[^"<]+" .*base64,([\w+/=]+)">', view.still())[1]
        assert ET.fromstring(base64.b64decode(code)).tag.endswith("svg")
