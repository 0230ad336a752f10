"""The only ways in which a browser test reads a page: each waits for what is asked.

A page is in motion: the kernel answers late, plotly takes a label out and draws it again, a camera
comes to rest. A value that is read once, after an action, is right only on a fast machine. So:

- `expect(locator)` of Playwright, for what one element shows, has or is;
- `until(read, wanted)`, for everything else that can be read: it reads again until it is wanted;
- `settled(read)`, for what has no known goal, as a place to point at, a picture or a number that
  must not change: it reads until nothing changes any more. What is to happen before must have been
  waited for: nothing changes either while a busy machine has not yet begun.

`OpenNotebook.until` asks the kernel in the same way. `test_waiting.py` finds every other reading.
"""

from __future__ import annotations

import inspect
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from playwright.sync_api import Error as PageError
from playwright.sync_api import expect

PATIENCE = 60.0  # seconds that a busy machine may take
AGAIN = 0.05  # seconds between two readings
# After a second of waiting they are rarer: a reading costs the page and the tests' own process time
# that a kernel which starts, or a page which loads, needs on two cores.
PATIENT, LATER = 1.0, 0.3
STILL = 0.5  # seconds in which nothing changes
Value = TypeVar("Value")
expect.set_options(timeout=1000 * PATIENCE)


def until(
    read: Callable[[], Value],
    wanted: object = bool,
    timeout: float = PATIENCE,
    what: Callable[[], str] | None = None,
) -> Value:
    """Read again and again until the value is the wanted one; returns it.

    A reading that fails in the page, as one of an element that is just drawn anew, is repeated.

    Args:
        read: reads the page, without changing it.
        wanted: a value, or a function that says whether a value is wanted; default: any that is
            true.
        timeout: seconds.
        what: what is read, for the message; default the source of `read`.

    Raises:
        AssertionError: it is not in time; names what was read last.
    """
    holds = wanted if callable(wanted) else lambda value: value == wanted
    start = time.monotonic()
    limit = start + timeout
    while True:
        last: object
        try:
            last = value = read()
            if holds(value):
                return value
        except PageError as error:
            last = error
        if time.monotonic() > limit:
            name = what() if what else _source(read)
            goal = "true" if wanted is bool else _source(wanted)
            raise AssertionError(f"after {timeout:g} s not {goal} but {last!r:.2000}: {name}")
        time.sleep(AGAIN if time.monotonic() - start < PATIENT else LATER)


def settled(read: Callable[[], Value], *, still: float = STILL, timeout: float = PATIENCE) -> Value:
    """Read again and again until the value stays what it is; returns it.

    Args:
        read: reads the page, without changing it.
        still: seconds in which at least three readings give the same value.
        timeout: seconds.

    Raises:
        AssertionError: it changes all the time; names what was read last.
    """
    limit = time.monotonic() + timeout
    last: object = None  # in a list, or the error of the page
    since, same = time.monotonic(), 0
    while True:
        try:
            now: object = [read()]
        except PageError as error:
            now = error
        if isinstance(now, list) and now == last:
            same += 1
            if same >= 2 and time.monotonic() - since >= still:
                return now[0]
        else:
            last, since, same = now, time.monotonic(), 0
        if time.monotonic() > limit:
            raise AssertionError(
                f"after {timeout:g} s not at rest but {last!r:.500}: {_source(read)}"
            )
        time.sleep(AGAIN)


def box(locator: Any) -> dict[str, float]:
    """Where an element has come to rest: x, y, width and height in pixels of the page."""
    return settled(lambda: _present(locator.bounding_box()))


def middle(locator: Any) -> tuple[float, float]:
    """The middle of an element that has come to rest, in pixels of the page."""
    at = box(locator)
    return at["x"] + at["width"] / 2, at["y"] + at["height"] / 2


def picture_of(locator: Any, path: Path | None = None) -> bytes:
    """A PNG of an element that has come to rest.

    Args:
        locator: of the element, or a page.
        path: where it is written too.
    """
    shot = settled(lambda: locator.screenshot(), timeout=3 * PATIENCE)
    if path is not None:
        path.write_bytes(shot)
    return shot


def brightness(locator: Any, kind: str = "color") -> float:
    """How light an element's colour is, 0 to 255; to be read by `until`.

    Args:
        locator: of the element.
        kind: the property of its style: "color", "fill" or "backgroundColor".

    Raises:
        playwright.sync_api.Error: it has none, as a label that is just drawn anew.
    """
    colour = locator.evaluate("(node, kind) => getComputedStyle(node)[kind]", kind)
    numbers = [float(number) for number in re.findall(r"[\d.]+", colour)]
    if len(numbers) < 3 or numbers[3:] == [0.0]:
        raise PageError(f"{kind} is {colour!r}")
    return sum(numbers[:3]) / 3


def _present(place: dict[str, float] | None) -> dict[str, float]:
    if place is None:
        raise PageError("not on the page")
    return place


def _source(asked: object) -> str:
    """How a reading is written in the test."""
    if not inspect.isfunction(asked):
        return repr(asked)
    try:
        return " ".join(inspect.getsource(asked).split())
    except OSError:
        return asked.__name__
