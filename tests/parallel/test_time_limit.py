"""A time limit ends work, but never leaves half a module behind."""

import importlib
import sys
import threading
import time

import pytest

from flowllm.parallel.time_limit import TimeLimitError, time_limit

SLOW = """import time
began = time.monotonic()
while time.monotonic() < began + 0.5:
    pass
whole = True
"""


def in_main_thread(work):
    work()


def in_another_thread(work):
    errors = []

    def run():
        try:
            work()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]


anywhere = pytest.mark.parametrize("where", [in_main_thread, in_another_thread])


def wait(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


@anywhere
def test_what_takes_too_long_is_ended(where):
    def work():
        with time_limit(0.05):
            wait(30)

    began = time.monotonic()
    with pytest.raises(TimeLimitError, match=r"longer than 0\.05 s"):
        where(work)
    assert time.monotonic() - began < 20


@anywhere
def test_what_is_done_in_time_is_left_alone(where):
    def work():
        with time_limit(0.2):
            pass
        wait(0.4)

    where(work)


@anywhere
def test_an_import_is_finished_before_the_limit_ends_the_work(where, tmp_path, monkeypatch):
    (tmp_path / "a_slow_module.py").write_text(SLOW)
    monkeypatch.syspath_prepend(tmp_path)

    def work():
        with time_limit(0.1):
            importlib.import_module("a_slow_module")
            wait(30)

    try:
        with pytest.raises(TimeLimitError):
            where(work)
        assert sys.modules["a_slow_module"].whole
    finally:
        sys.modules.pop("a_slow_module", None)


def test_work_that_is_itself_part_of_an_import_is_ended(tmp_path, monkeypatch):
    (tmp_path / "a_working_module.py").write_text(
        "import time\nfrom flowllm.parallel.time_limit import time_limit\n"
        "with time_limit(0.05):\n    time.sleep(30)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(TimeLimitError):
        importlib.import_module("a_working_module")
