"""What the front end draws: layers with all their frames."""

import numpy as np
import pytest
import torch

from flowllm.errors import InputError
from flowllm_widgets.torus import layers
from flowllm_widgets.torus.distributions import one_peak, ring
from flowllm_widgets.torus.figure import loss_figure, smoothed
from flowllm_widgets.torus.matching import TORUS, Pairs, draw_pairs, grid


@pytest.fixture
def pairs() -> Pairs:
    return draw_pairs(one_peak, ring, 80, seed=0)


def test_points_keep_their_frames_and_refuse_other_shapes():
    frames = torch.rand(4, 7, 2)
    layer = layers.points("samples", "samples", frames, "#123456")
    assert layer.frames == 4 and layer.values.shape == (4, 7, 2)
    np.testing.assert_array_equal(layer.values, frames.numpy())
    assert layers.points("a", "a", frames[0], "#123456").frames == 1
    with pytest.raises(InputError, match="points are"):
        layers.points("a", "a", torch.rand(4, 7, 3), "#123456")


def test_a_panel_holds_its_layers_as_plain_data(pairs):
    panel = layers.panel("Title", layers.points("a", "A", pairs.start, "#123456"))
    assert panel["title"] == "Title"
    assert isinstance(panel["layers"][0]["data"], bytes)
    assert panel["layers"][0]["label"] == "A"


def test_two_frames_of_a_conditional_path_are_enough_for_the_short_way(pairs):
    first, last = layers.conditional_paths(pairs)
    torch.testing.assert_close(first, pairs.start)
    assert TORUS.squared_distance(last, pairs.end).max() < 1e-10
    # The front end goes from frame to frame by the shortest way, wrapped.
    step = last - first
    step = step - step.round()
    middle = layers.conditional_paths(pairs, 3)[1]
    gap = TORUS.projx(first + step / 2) - middle
    assert (gap - gap.round()).abs().max() < 1e-5


def test_paths_are_lines_in_the_square_longer_without_the_wrap(pairs):
    wrapped = layers.path_lines("p", "p", pairs, "#123456").values[0]
    straight = layers.path_lines("p", "p", pairs, "#123456", wrapped=False).values[0]
    assert len(straight) == len(pairs) < len(wrapped)

    def total(lines: np.ndarray) -> float:
        return float(np.linalg.norm(lines[:, 2:] - lines[:, :2], axis=-1).sum())

    assert total(wrapped) < total(straight)
    distance = TORUS.squared_distance(pairs.start, pairs.end).sqrt().sum()
    assert total(wrapped) == pytest.approx(float(distance), rel=1e-4)


def test_arrows_stand_on_the_grid_point_along_the_velocity_and_none_is_too_long():
    velocity = torch.randn(3, layers.FIELD**2, 2, generator=torch.Generator().manual_seed(0))
    velocity[0, 0] = 0
    values = torch.from_numpy(layers.arrows("v", "v", velocity).values.copy())
    middle, shown = values[..., :2] + values[..., 2:] / 2, values[..., 2:]
    torch.testing.assert_close(middle, grid(layers.FIELD).expand_as(middle), atol=1e-5, rtol=0)
    assert shown.norm(dim=-1).max() <= layers.LONGEST / layers.FIELD + 1e-6
    cosine = torch.nn.functional.cosine_similarity(shown[1:], velocity[1:], dim=-1)
    assert cosine.min() > 0.999
    assert shown[0, 0].norm() == 0


def test_the_conditional_field_points_to_its_end_the_short_way():
    end = torch.tensor([0.97, 0.03])
    values = layers.conditional_field(end, "towards one").values
    assert len(values) == layers.FIELD_FRAMES
    log = TORUS.logmap(grid(layers.FIELD), end.expand(layers.FIELD**2, 2)).numpy()
    assert ((values[..., 2:] * log).sum(-1) >= 0).all()
    assert np.isfinite(values).all()


def test_no_arrow_is_drawn_where_hardly_a_path_passes(pairs):
    velocity, density = layers.marginal_frames(pairs)
    shown = layers.where_paths_pass(velocity, density)
    assert velocity.shape == (layers.FIELD_FRAMES, layers.FIELD**2, 2)
    assert torch.isfinite(velocity).all()
    empty = shown.isnan().any(-1)
    assert torch.equal(empty, density < layers.SPARSE)
    assert 0 < empty.float().mean() < 1


def test_losses_are_shown_as_means_of_blocks():
    steps, means = smoothed([1.0] * 20 + [3.0] * 20 + [9.0] * 5)
    assert steps.tolist() == [20, 40] and means.tolist() == [1.0, 3.0]
    assert smoothed([])[0].size == 0


def test_the_chart_has_a_line_and_a_level_for_each_training():
    figure = loss_figure(("a", "b"), ("#111111", "#222222"), 100)
    names = [trace.name for trace in figure.data]
    assert names == ["a", "b", "best constant, a", "best constant, b", "exact marginal velocity"]
    assert figure.layout.xaxis.range == (0, 100)
