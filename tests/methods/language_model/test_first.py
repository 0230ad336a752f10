"""Of several draws the first that can stay, in whatever order they end."""

from itertools import permutations

import pytest

from flowllm.methods.language_model.decoding.first import FirstDraw


@pytest.mark.parametrize("order", list(permutations([1, 2, 3])))
@pytest.mark.parametrize("staying", [{2}, {1, 3}, {2, 3}, {3}, {1, 2, 3}])
def test_the_first_that_stays_is_chosen_once_it_is_known(order, staying):
    chosen = []
    first = FirstDraw([1, 2, 3], lambda *found: chosen.append(found))
    ended = set()
    for draw in order:
        first.end("a", draw, f"text {draw}", draw in staying)
        ended.add(draw)
        known = set(range(1, min(staying) + 1)) <= ended  # all before it have ended
        assert chosen == ([("a", min(staying), f"text {min(staying)}")] if known else [])
    assert first.without() == []


def test_texts_without_a_draw_that_stays_are_named():
    chosen = []
    first = FirstDraw([0, 1], lambda name, *_: chosen.append(name))
    for name, stays in (("a", False), ("b", True), ("a", False), ("c", False)):
        first.end(name, int(name == "a" and "a" in first.without()), None, stays)
    assert chosen == ["b"] and first.without() == ["a", "c"]
