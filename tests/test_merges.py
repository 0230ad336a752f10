"""No file holds what a merge left open."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
LEFT = re.compile(r"^(<{7} |>{7} |={7}$)", re.MULTILINE)
KINDS = {".md", ".py", ".toml", ".yml", ".ipynb", ".js", ".css", ".html", ".sh", ""}


def test_the_pattern_finds_what_a_merge_leaves():
    assert LEFT.findall("a\n<<<<<<< HEAD\nb\n=======\nc\n>>>>>>> main\n") == [
        "<<<<<<< ",
        "=======",
        ">>>>>>> ",
    ]
    assert not LEFT.search("Heading\n========\n")


def test_no_tracked_text_has_an_open_conflict():
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    texts = [ROOT / name for name in listed.split("\0") if Path(name).suffix in KINDS and name]
    assert len(texts) > 100
    left = [p for p in texts if p.is_file() and LEFT.search(p.read_text("utf-8", errors="replace"))]
    assert left == []
