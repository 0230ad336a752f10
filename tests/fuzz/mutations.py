"""Break bytes, text, JSON, arrays and folders in the ways in which they really break."""

from __future__ import annotations

import gzip
import io
import json
import random
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

WORDS = (
    "", "?", ".", "''", '"', ";", "0", "-1", "1e309", "-0.0", "NaN", "inf", "1e-308", "9" * 30,
    "²", "٣", "½", "é", "\x00", "\x1a", "\ufeff", "[/x]", "[red]", "=1+1", "../../x", "A" * 3000,
    "(" * 200, "{" * 200, "[" * 200, "loop_", "data_", "data_x", "_cell_length_a",
    "_atom_site_label", "x,y,z", "-x,y+1/0,z", "F m -3 m", "P 21/c", "225", "H2O", "Xx", "D",
    "Vac", "1.0(5)", "1/3", "0.333", "Lattice=\"1 0 0 0 1 0 0 0 1\"",
    "Properties=species:S:1:pos:R:3", "Direct", "Cartesian", "\t", "\r\n", "null", "true", "{}",
    "[]", "1e1", "SrTiO3", "·", "₃", "#", "$", "\\", "<!--<script>", "\x1b[31m",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 1, 3, 10**6, 10**30, 1e308, -1e-308, float("nan"), float("inf"), "", "x",
    "1", "\x1b[2J", [], {}, [[]], [None], {"": None}, [1, 2, 3], "A" * 2000, ["x"] * 50,
)  # fmt: skip
LONGEST = 200_000  # characters that are mutated further
TOKEN = re.compile(r"\s+|[A-Za-z_]+|[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?|.", re.DOTALL)


def mutated_bytes(content: bytes, rng: random.Random) -> bytes:
    """Cut, emptied, with other, doubled or missing bytes."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        if not data:
            break
        place = rng.randrange(len(data))
        match rng.randrange(6):
            case 0:
                data[place] ^= 1 << rng.randrange(8)
            case 1:
                data[place] = rng.choice((0, 10, 13, 26, 34, 39, 255, rng.randrange(256)))
            case 2:
                del data[place:]
            case 3:
                del data[place : place + rng.choice((1, 4, 64))]
            case 4:
                data[place:place] = data[place : place + rng.choice((1, 16, 256))]
            case _:
                data[place:] = bytes(min(len(data) - place, 1 << 16))
    return bytes(data)


def mutated_text(text: str, other: str, rng: random.Random) -> str:
    """With other tokens, lines of another file, many equal lines, in another order."""
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        text = text[:LONGEST]
        tokens, lines = TOKEN.findall(text), text.splitlines(keepends=True)
        if not lines:
            return rng.choice(WORDS)
        place, line = rng.randrange(len(tokens)), rng.randrange(len(lines))
        match rng.randrange(9):
            case 0 | 1 | 2:
                solid = [i for i, token in enumerate(tokens) if not token.isspace()] or [place]
                tokens[rng.choice(solid)] = rng.choice(WORDS)
                text = "".join(tokens)
            case 3:
                del tokens[place]
                text = "".join(tokens)
            case 4:
                second = rng.randrange(len(tokens))
                tokens[place], tokens[second] = tokens[second], tokens[place]
                text = "".join(tokens)
            case 5:
                del lines[line]
                text = "".join(lines)
            case 6:
                lines[line:line] = [lines[line]] * rng.choice((1, 2, 2000))
                text = "".join(lines)
            case 7:
                foreign = other.splitlines(keepends=True) or [""]
                start = rng.randrange(len(foreign))
                lines[line:line] = foreign[start : start + rng.choice((1, 5, 50))]
                text = "".join(lines)
            case _:
                text = text[: rng.randrange(len(text))]
    return text


def mutated_file(name: str, content: bytes, other: bytes, rng: random.Random) -> bytes:
    """A file of any kind, by its name: text mostly as text, archives mostly as arrays."""
    if name.endswith(".gz"):
        try:
            plain = gzip.decompress(content)
        except (OSError, EOFError):
            return mutated_bytes(content, rng)
        changed = mutated_file(name[:-3], plain, other, rng)
        return gzip.compress(changed) if rng.random() < 0.8 else mutated_bytes(content, rng)
    if name.endswith(".npz"):
        return mutated_npz(content, rng)
    if name.endswith(".json") and rng.random() < 0.6:
        try:
            return mutated_json(content, rng)
        except (ValueError, RecursionError):  # it is damaged already
            pass
    if rng.random() < 0.15:
        return mutated_bytes(content, rng)
    text = mutated_text(content.decode("utf-8", "replace"), other.decode("utf-8", "replace"), rng)
    encoding = rng.choice(("utf-8",) * 8 + ("utf-16", "latin-1"))
    return text.encode(encoding, "replace")


def mutated_json(content: bytes, rng: random.Random) -> bytes:
    """Another value, a missing key or a doubled one, anywhere in the tree; or far too deep."""
    if rng.random() < 0.03:
        return b"[" * 100_000
    tree = {"root": json.loads(content)}
    for _ in range(rng.choice((1, 1, 2, 4))):
        places: list[tuple[Any, Any]] = []
        _collect(tree, places)
        holder, key = rng.choice(places)
        match rng.randrange(4):
            case 0 if holder is not tree:
                del holder[key]
            case 1:
                _, elsewhere = rng.choice(places), rng.choice(places)
                holder[key] = json.loads(json.dumps(elsewhere[0][elsewhere[1]]))
            case _:
                holder[key] = rng.choice(VALUES)
    return json.dumps(tree["root"]).encode()


def _collect(node: Any, places: list[tuple[Any, Any]]) -> None:
    keys = list(node) if isinstance(node, dict) else range(len(node))
    for key in keys:
        places.append((node, key))
        if isinstance(node[key], (dict, list)):
            _collect(node[key], places)


def mutated_npz(content: bytes, rng: random.Random) -> bytes:
    """Other values, shapes, types and names of arrays; headers that promise too much; flags."""
    try:
        with np.load(io.BytesIO(content)) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except Exception:  # a corpus file that is damaged already
        return mutated_bytes(content, rng)
    kind = rng.randrange(8)
    if kind == 0:
        return mutated_bytes(content, rng)
    name = rng.choice(sorted(arrays))
    if kind == 1:
        shape = rng.choice(("(1000000000000,)", "(-1,)", "(18446744073709551616,)", "(3, 0)", "()"))
        header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
        return _zipped(
            arrays, {name: b"\x93NUMPY\x01\x00" + b"\x76\x00" + header.encode() + bytes(64)}
        )
    changes: tuple[Callable[[np.ndarray], np.ndarray], ...] = (
        lambda a: a[:-1] if a.ndim and len(a) else a,
        lambda a: np.concatenate([a, a]) if a.ndim else np.array([a, a]),
        lambda a: a.reshape(-1),
        lambda a: np.zeros((0, *a.shape[1:]), a.dtype),
        lambda a: a.astype("U20"),
        lambda a: a.astype(complex) if a.dtype.kind in "if" else a.astype("S3"),
        lambda a: np.full(a.shape, rng.choice((np.nan, np.inf, -1, 0, 1e300, 2**62, 119, 0.5))),
        lambda a: np.full(a.shape, rng.choice(WORDS)[: max(1, 10**7 // (a.size + 1))]),
        lambda a: a[None] if a.ndim < 20 else a,
    )
    if kind == 2:
        del arrays[name]
    elif kind == 3:
        arrays["times"] = np.array([rng.choice((0.0, np.nan, 1.0))] * rng.choice((0, 1, 3)))
    else:
        arrays[name] = rng.choice(changes)(arrays[name])
    result = _zipped(arrays, {})
    if kind == 4:  # the flag that says "encrypted", in the central directory
        data = bytearray(result)
        place = data.find(b"PK\x01\x02")
        data[place + 8] |= 1
        return bytes(data)
    return result


def _zipped(arrays: dict[str, np.ndarray], raw: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            part = io.BytesIO()
            np.lib.format.write_array(part, np.asarray(array), allow_pickle=False)
            archive.writestr(f"{name}.npy", raw.get(name, part.getvalue()))
    return buffer.getvalue()


def mutated_folder(source: Path, target: Path, rng: random.Random) -> None:
    """A copy in which one file is broken, missing, a folder, or joined by a stranger."""
    shutil.copytree(source, target, symlinks=True)
    files = sorted(path for path in target.rglob("*") if path.is_file())
    for _ in range(rng.choice((1, 1, 2))):
        file = rng.choice(files)
        if not file.is_file():
            continue
        match rng.randrange(8):
            case 0:
                file.unlink()
            case 1:
                file.unlink()
                file.mkdir()
            case 2:
                file.with_name(
                    rng.choice(("000000.npz", "x.cif", "POSCAR", "\x1b[2J.cif"))
                ).write_text("x")
            case _:
                content = file.read_bytes()
                file.write_bytes(mutated_file(file.name, content, content, rng))
