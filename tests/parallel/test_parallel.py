"""map_crystals on several kinds of executors."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Executor, Future, ThreadPoolExecutor

import pytest

from flowllm.errors import InputError
from flowllm.parallel import pool as worker_pool
from flowllm.parallel.map import Failure, iterate_crystals, map_crystals, map_parts


def inverse(number: float) -> float:
    """1 / number; defined in a module, so that processes can be sent it."""
    return 1 / number


def threads_of_worker(_: int) -> tuple[str | None, int]:
    return os.environ.get("OMP_NUM_THREADS"), os.getpid()


def troublesome(word: str) -> str:
    """Answers, or does what the word says."""
    if word == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if word == "sleep":
        time.sleep(60)
    if word == "count":
        sum(1 for _ in iter(int, 1))  # never ends
    if word == "hang":  # as compiled code that does not come back: deaf to the alarm
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
        time.sleep(60)
    return word.upper()


class Foreign(Executor):
    """The least that speaks the interface: it only submits, and runs at once."""

    def __init__(self):
        self.chunks = 0

    def submit(self, fn, /, *args, **kwargs):
        self.chunks += 1
        future = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def check(results: list) -> None:
    assert results[:2] == [1.0, 0.5]
    assert results[3:] == [0.25, 0.2]
    failure = results[2]
    assert isinstance(failure, Failure)
    assert (failure.name, failure.kind) == ("zero", "ZeroDivisionError")
    assert str(failure) == "zero: division by zero"
    assert "inverse" in failure.details


ITEMS, NAMES = [1, 2, 0, 4, 5], ["one", "two", "zero", "four", "five"]


def test_in_this_process():
    check(map_crystals(inverse, ITEMS, workers=1, names=NAMES))


def test_on_threads_which_stay_open():
    with ThreadPoolExecutor(3) as pool:
        check(map_crystals(inverse, ITEMS, pool, chunk_size=2, names=NAMES))
        check(map_crystals(inverse, ITEMS, pool, names=NAMES))


def test_on_spawned_processes_of_one_thread_each():
    check(map_crystals(inverse, ITEMS, workers=2, chunk_size=2, names=NAMES))
    before = os.environ.get("OMP_NUM_THREADS")
    seen = map_crystals(threads_of_worker, range(4), workers=2)
    assert {threads for threads, _ in seen} == {"1"}
    assert os.getpid() not in {pid for _, pid in seen}
    assert os.environ.get("OMP_NUM_THREADS") == before


def test_on_a_foreign_executor():
    executor = Foreign()
    check(map_crystals(inverse, ITEMS, executor, chunk_size=2, names=NAMES))
    assert executor.chunks == 3


def test_order_is_kept_when_later_items_finish_first():
    def slow_first(number: int) -> int:
        time.sleep(0.2 if number == 0 else 0)
        return number

    with ThreadPoolExecutor(4) as pool:
        assert map_crystals(slow_first, range(8), pool) == list(range(8))


def test_progress_counts_items_up_to_all():
    seen = []
    map_crystals(inverse, ITEMS, workers=1, chunk_size=2, progress=lambda *a: seen.append(a))
    assert seen == [(2, 5), (4, 5), (5, 5)]


def test_names_default_to_places_and_nothing_gives_nothing():
    assert map_crystals(inverse, [1, 0], workers=1)[1].name == "1"
    assert map_crystals(inverse, []) == []


@pytest.mark.parametrize(
    "wrong",
    [{"workers": 0}, {"chunk_size": 0}, {"seconds": 0}, {"names": ["only one"]}],
    ids=str,
)
def test_settings_that_cannot_be(wrong):
    with pytest.raises(InputError):
        map_crystals(inverse, ITEMS, **wrong)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_item_that_takes_too_long_is_given_up_and_the_others_are_not(workers):
    results = map_crystals(
        troublesome, ["a", "sleep", "b", "count"], workers=workers, chunk_size=2, seconds=0.5,
        names=["first", "second", "third", "fourth"],
    )  # fmt: skip
    assert [results[0], results[2]] == ["A", "B"]
    assert str(results[1]) == "second: took longer than 0.5 s"
    assert (results[3].name, results[3].kind) == ("fourth", "TimeLimitError")


def test_threads_of_a_foreign_executor_keep_the_time_too():
    with ThreadPoolExecutor(2) as pool:
        results = map_crystals(troublesome, ["count", "a", "count"], pool, seconds=0.5)
    assert results[1] == "A"
    assert [str(results[0]), str(results[2])] == [
        "0: took longer than 0.5 s",
        "2: took longer than 0.5 s",
    ]


def test_a_process_that_dies_or_hangs_costs_its_own_item_only(monkeypatch):
    monkeypatch.setattr(worker_pool, "GRACE", 4.0)
    words = ["a", "die", "b", "c", "hang", "d", "e"]
    results = map_crystals(troublesome, words, workers=2, chunk_size=3, seconds=1.0, names=words)
    assert [r for r in results if isinstance(r, str)] == ["A", "B", "C", "D", "E"]
    assert str(results[1]) == "die: its worker process died, perhaps for lack of memory"
    assert str(results[4]) == "hang: took longer than 1 s; its process was killed"


def louder(words: list[str]) -> list[str]:
    """`troublesome` of several words together."""
    return [troublesome(word) for word in words]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_part_that_fails_is_done_again_item_by_item(workers):
    words, seen = ["a", "b", "sleep", "c", "d", "e", "f"], []
    found = map_parts(
        louder, words, 3, workers=workers, seconds=0.5, progress=lambda *a: seen.append(a)
    )
    assert [part for part, _ in found] == [["a"], ["b"], ["sleep"], ["c", "d", "e"], ["f"]]
    results = [result for _, result in found]
    assert isinstance(results.pop(2), Failure)
    assert results == [["A"], ["B"], ["C", "D", "E"], ["F"]]
    assert seen == [(3, 7), (6, 7), (7, 7)]


def test_an_alarm_of_the_caller_is_back_in_place_afterwards():
    rung = []
    before = signal.signal(signal.SIGALRM, lambda *_: rung.append(True))
    try:
        map_crystals(troublesome, ["a"], workers=1, seconds=5)
        signal.raise_signal(signal.SIGALRM)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert rung == [True]


def test_closing_early_cancels_what_has_not_begun():
    started = []

    def note(number: int) -> int:
        started.append(number)
        time.sleep(0.05)
        return number

    with ThreadPoolExecutor(1) as pool:
        results = iterate_crystals(note, range(50), pool)
        assert next(results) == 0
        results.close()
    assert len(started) < 10


SCRIPT = """
import time
from flowllm.parallel.map import map_crystals

if __name__ == "__main__":
    try:
        map_crystals(time.sleep, [0.2] * 3000, workers=2,
                     progress=lambda done, total: print(done, flush=True))
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""


def test_ctrl_c_stops_a_process_pool_without_its_workers_complaining(tmp_path, script_environment):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    process = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # a shell starts its background jobs, and so this suite perhaps, with SIGINT ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        env=script_environment,
    )
    assert process.stdout.readline() == "1\n"
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: parent and workers alike
    output, errors = process.communicate(timeout=240)
    assert output.splitlines()[-1] == "interrupted"
    assert process.returncode == 0
    assert errors == ""
