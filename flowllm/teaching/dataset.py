"""MP-20 if it can be had without waiting, else the textbooks' crystals: what notebooks work on."""

from __future__ import annotations

import threading
import time
import urllib.request
from http.client import HTTPException

from flowllm.data.dataset import CrystalSet
from flowllm.data.download import MP20_URL, fetch_mp20
from flowllm.data.prepare import prepare_folder
from flowllm.data.sources import is_at_hand
from flowllm.errors import InputError, first_line
from flowllm.runs.progress import ItemProgress
from flowllm.teaching.textbook import SPLITS, textbook_structures

LONGEST = 120  # seconds that a download may take before the work goes on without it


def mp20_or_textbook(
    split: str = "train",
    limit: int | None = None,
    patience: float = 5.0,
    workers: int | None = None,
    progress: ItemProgress | None = None,
) -> tuple[CrystalSet, str]:
    """MP-20 where it can be had, else `textbook_structures`; and a sentence that says which.

    MP-20 comes from the folder that FLOWLLM_DATA_DIR names, from the user's cache, or from its
    official place. Only the wanted rows are prepared, once, into the cache.

    Args:
        split: "train", "val" or "test".
        limit: the first rows only; None for all.
        patience: seconds that its official place may take to answer; then without it.
        workers: processes for the preparation.
        progress: called with (rows done, rows in all) while it is prepared.

    Raises:
        InputError: no such split, a limit below 1, or MP-20 is there and cannot be read.
    """
    if split not in SPLITS:
        raise InputError(f"no split {split}; there are {', '.join(SPLITS)}")
    if limit is not None and limit < 1:
        raise InputError(f"limit must be at least 1, not {limit}")
    missing = "" if is_at_hand("mp_20", split) else _fetch(split, patience)
    if not missing:
        folder = prepare_folder(
            "mp_20", splits=(split,), limit=limit, workers=workers, progress=progress
        )
        crystals = CrystalSet.load(folder / f"{split}.npz")
        which = "the first " if limit else ""
        return crystals, f"MP-20: {which}{len(crystals):,} crystals of its {split} split."
    crystals = textbook_structures(split)[:limit]
    return crystals, (
        f"Textbook structures: {len(crystals)} crystals of the {split} split (rock salt, "
        f"perovskite, spinel …), because MP-20 is not at hand: {missing}"
    )


def _fetch(split: str, patience: float) -> str:
    """Download a split of MP-20 into the cache; gives what went wrong, or nothing."""
    url = f"{MP20_URL}/{split}.csv"
    began = time.monotonic()

    def check(done: int, total: int) -> None:
        if time.monotonic() - began > LONGEST:
            raise InputError(
                f"{url}: {done} of {total} bytes came in {LONGEST} s; they are kept, next time "
                "goes on from there"
            )

    problem = _problem(url, patience)
    if problem:
        return f"{url} cannot be reached ({problem})."
    try:
        fetch_mp20(split, progress=check, timeout=patience)
    except InputError as error:
        return f"{error}."
    return ""


def _problem(url: str, patience: float) -> str:
    """Why a server does not answer in time, or nothing; the look-up of its name counts too."""
    found: list[str] = []

    def ask() -> None:
        request = urllib.request.Request(url, method="HEAD", headers={"User-Agent": "flowllm"})
        try:
            with urllib.request.urlopen(request, timeout=patience):
                found.append("")
        except (OSError, HTTPException) as error:
            found.append(str(getattr(error, "reason", "")) or first_line(error))

    thread = threading.Thread(target=ask, daemon=True)  # a look-up cannot be given a time limit
    thread.start()
    thread.join(patience)
    return found[0] if found else f"no answer in {patience:g} s"
