"""Which steps of a refinement are kept as frames of its trajectory."""

from __future__ import annotations

from flowllm.errors import InputError


def check_record(record: bool | int) -> None:
    """Refuse a number of frames too small for the first and the last.

    Raises:
        InputError: it is below 2.
    """
    if not isinstance(record, bool) and record < 2:
        raise InputError(f"record must be true, false or at least 2 frames, not {record!r}")


def kept_frames(record: bool | int, steps: int) -> list[int]:
    """The steps after which a frame is kept, from 0 to `steps`.

    Args:
        record: all of them, or only the first and the last; or a number of frames, spread evenly.
        steps: of the refinement.
    """
    if record is True:
        return list(range(steps + 1))
    count = 2 if record is False else min(int(record), steps + 1)
    return sorted({round(k * steps / (count - 1)) for k in range(count)})
