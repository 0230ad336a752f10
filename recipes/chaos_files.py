"""What `recipes.chaos` does to files: compare what they hold, and tear one."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import random
import re
from pathlib import Path
from typing import Any

import numpy as np

MEASURED = re.compile(r"second|speed|time|per_s|date|started|finished|memory|workers|host|out$")
"""Keys and columns that hold what differs from run to run: how long something took, and where."""


def fingerprint(folder: Path, names: list[str] | tuple[str, ...]) -> dict[str, str]:
    """Name -> hash of what the file, or each file of the folder of that name, says."""
    found = {}
    for name in names:
        place = folder / name
        files = sorted(p for p in place.rglob("*") if p.is_file()) if place.is_dir() else [place]
        total = hashlib.sha256()
        for file in files:
            if not file.is_file():
                break
            total.update(str(file.relative_to(folder)).encode())
            total.update(_content(file))
        else:
            found[name] = total.hexdigest()[:16]
    return found


def size_of(folder: Path) -> int:
    """Bytes of all files."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def is_finished(folder: Path) -> bool:
    """Whether the run in a folder says that it is finished."""
    try:
        return bool(json.loads((folder / "run.json").read_text())["status"] == "finished")
    except (OSError, ValueError, KeyError):
        return False


def tear(folder: Path, rng: random.Random) -> str:
    """Cut one file, fill its end with zeros, or empty it, as a power loss would; says which."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.stat().st_size)
    if not files:
        return "there was no file yet"
    file = rng.choice(files)
    content = file.read_bytes()
    kept = rng.randrange(len(content))
    how = rng.choice(("cut", "zeros", "empty"))
    torn = {"cut": content[:kept], "empty": b""}.get(
        how, content[:kept] + bytes(len(content) - kept)
    )
    file.write_bytes(torn)
    return f"{file.relative_to(folder)}: {how} at {kept} of {len(content)}"


def _content(file: Path) -> bytes:
    if file.suffix == ".npz":
        with np.load(file) as archive:
            parts = [name.encode() + archive[name].tobytes() for name in sorted(archive.files)]
        return b"".join(parts)
    if file.suffix == ".json":
        return json.dumps(_steady(json.loads(file.read_text())), sort_keys=True).encode()
    if file.suffix == ".jsonl":
        lines = [_steady(json.loads(line)) for line in file.read_text().splitlines()]
        return json.dumps(lines, sort_keys=True).encode()
    if file.suffix == ".csv":
        rows = csv.DictReader(io.StringIO(file.read_text()))
        return json.dumps([_steady(row) for row in rows], sort_keys=True).encode()
    return file.read_bytes()


def _steady(value: Any) -> Any:
    """JSON without what is measured anew in each run."""
    if isinstance(value, dict):
        if "name" in value and MEASURED.search(str(value["name"])):
            return value["name"]  # a figure that is a time
        return {k: _steady(v) for k, v in value.items() if not MEASURED.search(str(k))}
    if isinstance(value, list):
        return [_steady(each) for each in value]
    return value
