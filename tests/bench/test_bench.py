"""The bench: what it counts, and how its figures hang together."""

from __future__ import annotations

import pytest
import torch

from flowllm.bench.generation import (
    bench_model,
    count_operations,
    matmul_rate,
    print_bench,
    used_threads,
)
from flowllm.errors import InputError
from flowllm.methods.flow.settings import RefineSettings


@pytest.fixture(scope="module")
def bench(system):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("flowllm.bench.generation.SIZES", (32, 64))
        patch.setattr("flowllm.bench.generation.SECONDS", 0.01)
        return bench_model(system, num=3, steps=2, threads=1)


def test_figures_hang_together(bench):
    assert bench.threads == 1 and bench.crystals == 3 and bench.steps == 2
    assert bench.device == "cpu"
    assert [size for size, _ in bench.matmul] == [32, 64]
    best = max(rate for _, rate in bench.matmul)
    written, refined = bench.stages
    assert (written.name, written.unit) == ("language model", "tokens")
    assert (refined.name, refined.unit) == ("Riemannian flow", "evaluations")
    for stage in bench.stages:
        assert stage.crystals_per_second * stage.seconds == pytest.approx(3)
        operations = stage.mflop_per_unit * stage.units_per_second / 1e3
        assert stage.gflops == pytest.approx(operations)
        assert stage.share == pytest.approx(stage.gflops / best)
    assert refined.units_per_second * refined.seconds == pytest.approx(3 * 2)
    assert bench.seconds == pytest.approx(written.seconds + refined.seconds)
    # the sentences of the outline are written too, but the draws take no more than the stage
    assert bench.decoding.tokens > written.units_per_second * written.seconds - 1
    assert 0 < bench.decoding.seconds < written.seconds


def test_operations_of_the_language_model_are_at_least_its_matrices(system):
    counted = count_operations(system, 3, RefineSettings(steps=1))
    matrices = sum(p.numel() for n, p in system.prior.model.named_parameters() if "layers" in n)
    assert counted["language model"] > 2 * matrices


def test_operations_of_the_flow_are_counted_for_one_evaluation(system):
    few, many = (count_operations(system, 2, RefineSettings(steps=n)) for n in (1, 4))
    assert few["Riemannian flow"] == pytest.approx(many["Riemannian flow"], rel=0.02)
    hidden = system.refiner.config.hidden
    assert few["Riemannian flow"] > 2 * hidden * hidden


def test_a_crystal_has_ten_tokens_and_four_for_each_atom(system):
    result = system.generate(3, num_atoms=4, refinement=RefineSettings(steps=1))
    assert system.prior.units(result.prior, None) == ("tokens", 3 * (10 + 4 * 4))


def test_the_rate_of_a_product_follows_its_time(monkeypatch):
    clock = iter(range(1000))
    monkeypatch.setattr("time.perf_counter", lambda: next(clock) * 1e-3)
    assert matmul_rate(100, seconds=0.01) == pytest.approx(2 * 100**3 / 1e-3 / 1e9)


def test_reading_is_timed_on_texts_that_read_back(system, bench):
    from flowllm.bench.reading import bench_reading, cif_text
    from flowllm.inputs.cif import crystal_from_cif

    assert bench.reading.texts == 1_000
    crystals = system.generate(2, refinement=RefineSettings(steps=1)).refined
    found = bench_reading(crystals, texts=5)
    assert found.texts == 5 and found.per_second == pytest.approx(5 / found.seconds)
    read = crystal_from_cif(cif_text(crystals[1])).crystal
    assert read.formulas == crystals[1].formulas
    assert read.lengths == pytest.approx(crystals[1].lengths, abs=1e-5)


def test_threads_are_set_for_a_while():
    before = torch.get_num_threads()
    with used_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_the_bench_is_printed(bench, capsys):
    print_bench(bench)
    shown = capsys.readouterr().out
    words_shown = ("language model", "Riemannian flow", "tokens/s", "64 x 64", "peak memory")
    for words in (*words_shown, "padding", "idle rows"):
        assert words in shown


@pytest.mark.parametrize(("name", "value"), [("num", 0), ("steps", 0), ("threads", -1)])
def test_bad_counts_are_refused(system, name, value):
    with pytest.raises(InputError, match=f"not {value}"):
        bench_model(system, **{name: value})
