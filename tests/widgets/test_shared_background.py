import threading

import pytest

from flowllm_widgets.shared.background import Background, Stop

WAIT = 30  # seconds; far more than any of these needs


class Record:
    """A background whose callbacks are written down."""

    def __init__(self):
        self.failures, self.ends = [], []
        self.background = Background(self.failures.append, self.ends.append)

    def ended(self):
        assert self.background.wait(WAIT)
        return self.ends


def test_work_runs_beside_the_caller():
    record, go_on, seen = Record(), threading.Event(), []

    def work(stop: Stop) -> None:
        assert go_on.wait(WAIT)  # would never come, did the work block its caller
        seen.append(threading.current_thread() is threading.main_thread())

    record.background.start(work)
    assert record.background.running
    go_on.set()
    assert record.ended() == [False]
    assert seen == [False]
    assert not record.background.running


def test_cancelled_work_ends_at_its_next_check():
    record, begun, steps = Record(), threading.Event(), []

    def work(stop: Stop) -> None:
        begun.set()
        while True:
            stop.check()
            steps.append(1)

    record.background.start(work)
    assert begun.wait(WAIT)
    record.background.cancel()
    assert record.ended() == [True]
    assert record.failures == []


def test_an_exception_reaches_the_widget():
    record = Record()

    def work(stop: Stop) -> None:
        raise ValueError("no such element")

    record.background.start(work)
    assert record.ended() == [False]
    assert [str(error) for error in record.failures] == ["no such element"]


def test_new_work_replaces_the_old_and_only_the_new_is_heard_of():
    record, begun, order = Record(), threading.Event(), []

    def old(stop: Stop) -> None:
        begun.set()
        while not stop.wanted:
            pass
        order.append("old")
        raise ValueError("the old one's failure")

    record.background.start(old)
    assert begun.wait(WAIT)
    record.background.start(lambda stop: order.append("new"))
    assert record.ended() == [False]
    assert order == ["old", "new"]  # never both at once
    assert record.failures == []


def test_work_that_was_replaced_before_it_began_never_begins():
    record, begun, release, order = Record(), threading.Event(), threading.Event(), []

    def first(stop: Stop) -> None:
        begun.set()
        release.wait(WAIT)

    record.background.start(first)
    assert begun.wait(WAIT)
    for name in ("second", "third"):
        record.background.start(lambda stop, name=name: order.append(name))
    release.set()
    record.ended()
    assert order == ["third"]


def test_waiting_gives_up_after_its_timeout():
    record, release = Record(), threading.Event()
    record.background.start(lambda stop: release.wait(WAIT))
    assert record.background.wait(0.01) is False
    release.set()
    assert record.background.wait(WAIT) is True


@pytest.mark.parametrize("calls", [1, 3])
def test_cancelling_what_does_not_run_does_nothing(calls):
    record = Record()
    for _ in range(calls):
        record.background.cancel()
    assert record.background.wait(WAIT)
    record.background.start(lambda stop: None)
    assert record.ended() == [False]
