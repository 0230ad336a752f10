"""A local Dask cluster of four workers, one of them killed on the way, against a process pool."""

import os
import signal

import numpy as np
import pytest

from flowllm import evaluate

pytestmark = [pytest.mark.data, pytest.mark.slow]
ONLY = ["coverage", "diversity", "novelty"]


def test_a_cluster_that_loses_a_worker_gives_the_table_of_a_process_pool(
    parts, reference_folder, tmp_path
):
    from dask.distributed import Client, LocalCluster

    crystals = parts["train"]
    pool = evaluate(crystals, reference_folder, only=ONLY, workers=2)
    killed = []
    with (
        LocalCluster(
            n_workers=4, threads_per_worker=1, processes=True, dashboard_address=None,
            local_directory=str(tmp_path),
        ) as cluster,
        Client(cluster) as client,
    ):  # fmt: skip
        pids = sorted(client.run(os.getpid).values())
        assert len(set(pids)) == 4

        def lose_one(stage: str, done: int, total: int) -> None:
            if stage == "novelty" and not killed:
                killed.append(pids[0])
                os.kill(pids[0], signal.SIGKILL)

        report = evaluate(
            crystals, reference_folder, only=ONLY, executor=client.get_executor(),
            progress=lose_one,
        )  # fmt: skip
    assert killed
    assert report.table() == pool.table()
    for column in pool.rows:
        one, other = report.rows[column], pool.rows[column]
        if one.dtype.kind == "f":
            np.testing.assert_allclose(one, other, rtol=1e-9)
        else:
            assert one.astype(str).tolist() == other.astype(str).tolist(), column


def test_an_address_where_no_scheduler_answers():
    from flowllm.errors import InputError
    from flowllm.parallel.dask import dask_executor

    with dask_executor(None) as executor:
        assert executor is None
    with (
        pytest.raises(InputError, match=r"no Dask scheduler at tcp://127\.0\.0\.1:9"),
        dask_executor("tcp://127.0.0.1:9"),
    ):
        pass
