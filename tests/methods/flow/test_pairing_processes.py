"""Pairs on several processes: the same to the bit, whatever dies, breaks or is started again."""

from __future__ import annotations

import json
import signal
import tracemalloc
import zipfile
from concurrent.futures import Executor, Future

import numpy as np
import pytest

from flowllm.errors import InputError
from flowllm.methods.flow import PairSet
from flowllm.methods.flow.couplings import sample as pairing
from flowllm.methods.flow.couplings.chunk import PairPlan, PairTask, make_chunk
from flowllm.methods.flow.couplings.files import (
    join_pairs,
    kept_chunks,
    wanted_chunk,
    write_perturbed,
)
from flowllm.methods.flow.couplings.perturbed import perturbed_pairs
from flowllm.methods.flow.couplings.sample import chunk_files, sample_pairs, target_order
from flowllm.runs.folder import RunFolder
from tests.methods.flow.noisy_prior import (
    FatalPrior,
    NoisyPrior,
    RefusingPrior,
    noisy_prior,
)

pytestmark = pytest.mark.slow

PLAN = PairPlan(num_pairs=23, seed=3, chunk_size=5, samples_per_target=2)


class Here(Executor):
    """The least that speaks the interface: it runs at once, in this process."""

    def __init__(self):
        self.tasks = 0

    def submit(self, fn, /, *args, **kwargs):
        self.tasks += 1
        future = Future()
        future.set_result(fn(*args, **kwargs))
        return future


@pytest.fixture
def targets(real_crystals):
    return real_crystals[:12]


def make(targets, out, prior=noisy_prior, plan=PLAN, **options):
    return sample_pairs(targets, prior, "settings", out, plan, **options)


def pairs_in(out, plan=PLAN) -> PairSet:
    return PairSet.concatenate(PairSet.load(file) for file in chunk_files(out, plan))


def assert_same(a: PairSet, b: PairSet) -> None:
    for name, values in a.arrays().items():
        assert np.array_equal(values, b.arrays()[name]), name


@pytest.fixture
def alone(targets, tmp_path):
    """What one process makes: (pairs, summary)."""
    summary = make(targets, tmp_path / "alone")
    return pairs_in(tmp_path / "alone"), summary


def without_speed(summary):
    return {name: value for name, value in summary.items() if name != "speed"}


# ---- the same pairs wherever they are made


def test_two_processes_make_the_pairs_of_one(targets, alone, tmp_path):
    seen = []
    summary = make(targets, tmp_path / "two", processes=2, progress=lambda *step: seen.append(step))
    assert_same(pairs_in(tmp_path / "two"), alone[0])
    assert without_speed(summary) == without_speed(alone[1])
    assert summary["failed"] > 0 and summary["mismatched"] > 0  # so redraws are among them
    assert summary["speed"]["processes"] == 2
    assert seen == [(5, 23), (10, 23), (15, 23), (20, 23), (23, 23)]


def test_any_executor_makes_them_too(targets, alone, tmp_path, monkeypatch):
    monkeypatch.setattr(pairing, "WAVE", 2)
    executor = Here()
    make(targets, tmp_path / "here", NoisyPrior(0.2, 0.2), executor=executor)
    assert executor.tasks == 5
    assert_same(pairs_in(tmp_path / "here"), alone[0])


def test_a_dask_cluster_makes_them_too(targets, alone, tmp_path):
    from dask.distributed import LocalCluster

    from flowllm.parallel.dask import dask_executor

    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None,
            local_directory=str(tmp_path),
        ) as cluster,
        dask_executor(cluster.scheduler_address) as executor,
    ):  # fmt: skip
        make(targets, tmp_path / "dask", executor=executor)
    assert_same(pairs_in(tmp_path / "dask"), alone[0])


def test_a_chunk_depends_on_nothing_but_its_task(targets, alone, tmp_path):
    order = target_order(len(targets), 23, PLAN.seed)
    run = RunFolder(tmp_path / "alone", RunFolder.read(tmp_path / "alone"))
    for number in (3, 0):  # in any order
        chosen = order[5 * number : 5 * number + 5]
        prior = NoisyPrior(0.2, 0.2)
        chunk = make_chunk(PairTask(prior, targets[chosen], 5 * number, "", PLAN))
        wanted = wanted_chunk(number, chosen, run.digest)
        found = kept_chunks(tmp_path / "alone").read(wanted)
        assert_same(chunk.pairs, found.pairs)
        assert np.array_equal(chunk.tally, found.tally)


# ---- what goes wrong


def marks(folder, count):
    folder.mkdir()
    for number in range(count):
        (folder / str(number)).touch()
    return folder


def test_a_chunk_whose_process_dies_is_made_again(targets, tmp_path):
    plan = PairPlan(num_pairs=12, seed=3, chunk_size=3)
    make(targets, tmp_path / "alone", NoisyPrior(), plan)
    fatal = FatalPrior(targets.compositions[4], marks(tmp_path / "marks", 1))
    make(targets, tmp_path / "out", fatal, plan, processes=2)
    assert not list((tmp_path / "marks").iterdir())
    assert_same(pairs_in(tmp_path / "out", plan), pairs_in(tmp_path / "alone", plan))


def test_a_chunk_that_kills_twice_is_named_and_the_others_stay(targets, tmp_path):
    plan = PairPlan(num_pairs=12, seed=3, chunk_size=3)
    order = target_order(12, 12, 3)
    fatal = FatalPrior(targets.compositions[order[4]], marks(tmp_path / "marks", 2))
    bad = [n for n in range(4) if fatal.fatal in _compositions(targets, order[3 * n : 3 * n + 3])]
    with pytest.raises(InputError, match=rf"chunk {bad[0]} of the pairs failed twice.*to resume"):
        make(targets, tmp_path / "out", fatal, plan, processes=2)
    kept = {path.name for path in (tmp_path / "out").glob("chunk-*.npz")}
    assert kept == {f"chunk-{n:05d}.npz" for n in range(4) if n not in bad}
    assert not (tmp_path / "out" / "summary.json").exists()
    summary = make(targets, tmp_path / "out", NoisyPrior(), plan)
    assert summary["pairs"] == 12 and summary["speed"]["new_pairs"] == 3 * len(bad)


def _compositions(targets, chosen):
    return targets[chosen].compositions


def test_bad_input_is_told_as_such_and_not_tried_again(targets, tmp_path):
    prior = RefusingPrior(InputError("the prompt contradicts itself"))
    executor = Here()
    for number, options in enumerate(({}, {"executor": executor})):
        with pytest.raises(InputError, match="^the prompt contradicts itself$"):
            make(targets, tmp_path / str(number), prior, **options)
    assert executor.tasks == 5
    with pytest.raises(ZeroDivisionError):  # an error of the program keeps its traceback
        make(targets, tmp_path / "2", RefusingPrior(ZeroDivisionError()))


@pytest.mark.parametrize("damage", ["cut", "empty", "no archive", "flipped", "of other targets"])
def test_a_damaged_chunk_is_made_again(targets, alone, tmp_path, damage):
    out = tmp_path / "alone"
    path = out / "chunk-00002.npz"
    content = bytearray(path.read_bytes())
    if damage == "flipped":  # in the middle of the coordinates
        member = zipfile.ZipFile(path).getinfo("c0_frac_coords.npy")
        content[member.header_offset + member.compress_size // 2] ^= 0xFF
    broken = {
        "cut": content[: len(content) // 2], "empty": b"", "no archive": b"PK nothing",
        "flipped": content, "of other targets": (out / "chunk-00001.npz").read_bytes(),
    }[damage]  # fmt: skip
    path.write_bytes(bytes(broken))
    prior = NoisyPrior(0.2, 0.2)
    summary = make(targets, out, prior)
    assert prior.calls > 0 and summary["speed"]["new_pairs"] <= 5
    assert_same(pairs_in(out), alone[0])


KILL = """
import os, signal
import flowllm.methods.flow.couplings.sample as pairing
from flowllm.runs.parts import Parts
from tests.methods.flow.noisy_prior import noisy_prior
from tests.methods.flow.noisy_prior import noisy_prior

write = Parts.write
def kill(self, wanted, part):
    if wanted.name == "chunk-00003":
        os.kill(os.getpid(), signal.SIGKILL)
    write(self, wanted, part)
Parts.write = kill
options = {"processes": 2}
pairing.sample_pairs(targets, noisy_prior, "settings", out, plan, **options)
"""


def test_a_run_killed_amid_its_chunks_ends_as_one_that_was_not(
    targets, alone, tmp_path, in_process
):
    out = tmp_path / "cut"
    assert in_process(KILL, targets=targets, out=out, plan=PLAN) == -signal.SIGKILL
    before = {path: path.stat().st_mtime_ns for path in out.glob("chunk-*.npz")}
    assert sorted(path.name for path in before) == [f"chunk-{n:05d}.npz" for n in range(3)]
    summary = make(targets, out)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert_same(pairs_in(out), alone[0])
    assert without_speed(summary) == without_speed(alone[1])


@pytest.mark.parametrize(
    ("options", "message"),
    [({"processes": 0}, "processes"), ({"plan": PairPlan(23, 4, 5)}, "seed is 3 there and 4 now")],
)
def test_what_cannot_be_is_refused(targets, alone, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        make(targets, tmp_path / "alone", **options)
    with pytest.raises(InputError, match="need targets"):
        make(targets[:0], tmp_path / "none")


# ---- what it takes


def test_the_speed_adds_up_over_runs(targets, tmp_path):
    out, short = tmp_path / "out", PairPlan(10, 3, 5, 2)
    first = make(targets, out, plan=short)["speed"]
    whole = make(targets, out)
    speed = whole["speed"]
    assert json.loads((out / "summary.json").read_text()) == whole
    assert speed["core_seconds"] > first["core_seconds"] > 0
    assert first["new_pairs"] + speed["new_pairs"] == whole["pairs"]
    rate = whole["pairs"] / speed["core_seconds"]
    assert speed["pairs_per_core_second"] == pytest.approx(rate, rel=0.05)
    again = make(targets, out)["speed"]  # nothing was left to do
    assert again["core_seconds"] == speed["core_seconds"] and "new_pairs" not in again


def test_memory_does_not_grow_with_the_pairs(real_crystals, tmp_path):
    def peak(num_pairs):
        plan = PairPlan(num_pairs, 3, chunk_size=20)
        out = tmp_path / str(num_pairs)
        tracemalloc.start()
        try:
            make(targets, out, NoisyPrior(), plan)
            with open(tmp_path / "pairs.npz", "wb") as handle:
                join_pairs(chunk_files(out, plan), handle)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    targets = real_crystals[:20]
    peak(20)  # what the first call imports stays
    assert peak(300) < 1.3 * peak(60)


# ---- files


def test_joined_files_are_the_pairs_of_all(targets, alone, tmp_path):
    files = chunk_files(tmp_path / "alone", PLAN)
    with open(tmp_path / "pairs.npz", "wb") as handle:
        join_pairs(files, handle)
    joined = PairSet.load(tmp_path / "pairs.npz")
    assert_same(joined, alone[0])
    with np.load(tmp_path / "pairs.npz", allow_pickle=False) as archive:
        kinds = {name: archive[name].dtype for name in archive}
    assert kinds == {name: values.dtype for name, values in alone[0].arrays().items()}


def test_noisy_pairs_written_in_parts_are_those_made_at_once(targets, tmp_path, monkeypatch):
    monkeypatch.setattr("flowllm.methods.flow.couplings.files.NOISY_PART", 7)
    files = write_perturbed(targets, 30, 5, tmp_path)
    whole = perturbed_pairs(targets[target_order(12, 30, 5)], 30, 5)
    assert len(files) == 5
    assert_same(PairSet.concatenate(PairSet.load(file) for file in files), whole)
    assert write_perturbed(targets, 0, 5, tmp_path) == []
