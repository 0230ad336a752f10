"""Other machines: executors for `flowllm.parallel.map`."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager

from flowllm.errors import InputError, first_line


@contextmanager
def dask_executor(address: str | None) -> Iterator[Executor | None]:
    """The workers of a Dask scheduler as an executor; None without an address.

    Args:
        address: as in "tcp://10.0.0.1:8786"; a scheduler that dask-jobqueue started on a cluster
            does as well.

    Raises:
        InputError: Dask is not installed, or nothing answers there.
    """
    if address is None:
        yield None
        return
    try:
        from dask.distributed import Client
    except ImportError as error:
        raise InputError('Dask is not installed; pip install "dask[distributed]"') from error
    try:
        client = Client(address, timeout="10s")
    except (OSError, ValueError) as error:
        raise InputError(f"no Dask scheduler at {address}: {first_line(error)}") from error
    try:
        yield client.get_executor()
    finally:
        client.close()
