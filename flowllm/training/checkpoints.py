"""Checkpoints of a training run: `checkpoint-N/`, N the number of steps done."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

CHECKPOINTS = "checkpoints"
"""Folder of the checkpoints inside that of a run."""
_STATE = "trainer_state.json"


def last_checkpoint(folder: Path) -> Path | None:
    """The newest complete checkpoint in a folder; newer, incomplete ones are removed.

    The Trainer writes a checkpoint in place and its `trainer_state.json` last: where that cannot be
    read, the run was killed while it wrote.
    """
    found = {
        int(path.name.removeprefix("checkpoint-")): path
        for path in folder.glob("checkpoint-*")
        if path.name.removeprefix("checkpoint-").isdigit()
    }
    for _, path in sorted(found.items(), reverse=True):
        try:
            json.loads((path / _STATE).read_text(encoding="utf-8"))
            return path
        except (OSError, ValueError):
            shutil.rmtree(path)
    return None
