"""Elements of one picture are told apart."""

import itertools

import numpy as np
import pytest

from flowllm.viz.element_colours import (
    APART,
    NEUTRAL,
    _lab,
    colour_difference,
    colours_of_paths,
    element_colours,
    jmol_colour,
)


def nearest(colours):
    labs = _lab(colours.values())
    return min(float(colour_difference(a, b)) for a, b in itertools.combinations(labs, 2))


# Sharma, Wu and Dalal (2005), table 1: pairs 1, 4, 7, 10, 13, 17, 20, 25, 34
@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, -1.3802, -84.2814), (50, 0, -82.7485), 1.0000),
        ((50, 0, 0), (50, -1, 2), 2.3669),
        ((50, 2.4900, -0.0010), (50, -2.4900, 0.0010), 7.1792),
        ((50, -0.0010, 2.4900), (50, 0.0009, -2.4900), 4.8045),
        ((50, 2.5, 0), (73, 25, -18), 27.1492),
        ((50, 2.5, 0), (58, 24, 15), 19.4535),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
        ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
    ],
)
def test_the_difference_is_that_of_the_paper(one, other, expected):
    one, other = np.array(one, float), np.array(other, float)
    assert float(colour_difference(one, other)) == pytest.approx(expected, abs=1e-4)
    assert float(colour_difference(other, one)) == pytest.approx(expected, abs=1e-4)


def test_white_and_red_have_the_values_of_the_standard():
    np.testing.assert_allclose(_lab(["#ffffff"]), [[100, 0, 0]], atol=0.02)
    np.testing.assert_allclose(_lab(["#ff0000"]), [[53.24, 80.09, 67.20]], atol=0.02)


@pytest.mark.parametrize("numbers", [(38, 22, 8), (11, 17), (3, 29, 16, 8), (6,), (0, 8)])
def test_elements_that_differ_keep_jmol_s_colours(numbers):
    assert element_colours(numbers) == {n: jmol_colour(n) for n in numbers}


@pytest.mark.parametrize("numbers", [(22, 47, 8), (12, 25, 9), (19, 55, 52, 34), (0, 47, 13, 14)])
def test_of_two_that_are_alike_the_heavier_moves(numbers):
    colours = element_colours(numbers)
    assert nearest({n: jmol_colour(n) for n in numbers}) < APART <= nearest(colours)
    lightest = min(numbers)
    assert colours[lightest] == (jmol_colour(lightest) if lightest else NEUTRAL)


def test_any_order_gives_the_same_colours():
    assert element_colours([47, 8, 22, 8]) == element_colours(np.array([8, 22, 47]))


def test_every_pair_of_elements_is_told_apart():
    for pair in itertools.combinations(range(0, 96, 3), 2):
        assert nearest(element_colours(pair)) >= APART


def test_of_very_many_species_those_of_first_and_last_are_told_apart():
    path = np.array([[22, 8], *np.arange(20, 60).reshape(-1, 2), [47, 8]])
    colours, shown = colours_of_paths([path])
    assert shown == [8, 22, 47] and set(colours) == set(np.unique(path).tolist())
    assert nearest({n: colours[n] for n in shown}) >= APART
    assert colours[30] == jmol_colour(30)
    few, every = colours_of_paths([path[:3], path[:1]])
    assert every == sorted(few) == np.unique(path[:3]).tolist()


def test_many_elements_still_get_a_colour_each():
    assert len(set(element_colours(range(1, 30)).values())) == 29
