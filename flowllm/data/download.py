"""MP-20 from its official source, verified by git blob id before use."""

from __future__ import annotations

import hashlib
import os
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any

from flowllm.errors import InputError
from flowllm.runs.files import friendly_os_errors, open_unlinked

CACHE_DIR = "FLOWLLM_CACHE_DIR"
MP20_URL = "https://raw.githubusercontent.com/txie-93/cdvae/main/data/mp_20"
MP20_BLOB_IDS = {
    "train": "b1c9d498565ac2fd8d075a51ff2ef5e51ba6c21f",
    "val": "7efe4d7ebeb4f460ceaad35e5326c42111d9c9a1",
    "test": "5dc643041df53f5ce4970a79930ad262b4f07acd",
}
BLOCK = 1 << 18
LARGEST = 500_000_000
"""Bytes that a download may have; the largest split has 60 million."""


def cache_dir() -> Path:
    """The user's cache folder for this package; FLOWLLM_CACHE_DIR overrides it."""
    value = os.environ.get(CACHE_DIR)
    if value:
        return Path(value)
    import platformdirs

    return Path(platformdirs.user_cache_dir("flowllm"))


def git_blob_id(path: Path) -> str:
    """SHA-1 by which git names a file's content: of "blob <size>", a zero byte and the content."""
    digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with open(path, "rb") as handle:
        while block := handle.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def fetch_mp20(
    split: str,
    base_url: str = MP20_URL,
    folder: Path | None = None,
    blob_ids: dict[str, str] | None = None,
    progress: Callable[[int, int], None] | None = None,
    timeout: float = 30.0,
) -> Path:
    """The official CSV of an MP-20 split in the cache, downloaded if it is not there.

    A download that breaks off is kept under another name and continued next time; the file gets
    its name only when its git blob id is the official one.

    Args:
        split: "train", "val" or "test".
        base_url: the folder's address.
        folder: where files are kept; default `mp_20` in the user's cache.
        blob_ids: split -> git blob id.
        progress: called with (bytes there, bytes in all).
        timeout: seconds without an answer before giving up.

    Raises:
        InputError: no network, no such file there, broken off, or other content than the
            official one.
    """
    expected = (blob_ids or MP20_BLOB_IDS)[split]
    folder = folder or cache_dir() / "mp_20"
    target, partial = folder / f"{split}.csv", folder / f"{split}.csv.part"
    url = f"{base_url}/{split}.csv"
    with friendly_os_errors(folder):
        if target.is_file():  # it got its name by passing the check
            return target
        folder.mkdir(parents=True, exist_ok=True)
        if not (partial.is_file() and git_blob_id(partial) == expected):
            _download(url, partial, progress, timeout)
        if git_blob_id(partial) != expected:
            partial.unlink()
            raise InputError(
                f"{url} is not the official MP-20 file (its git blob id is not {expected[:12]}…); "
                "nothing was kept"
            )
        os.replace(partial, target)
    return target


class _StaysSecure(urllib.request.HTTPRedirectHandler):
    """Follow redirects, but never from https to an insecure protocol."""

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Any:
        if req.full_url.startswith("https:") and not newurl.startswith("https:"):
            raise InputError(f"{req.full_url} redirects to {newurl[:200]}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_OPENER = urllib.request.build_opener(_StaysSecure)


def _length(url: str, said: str | None) -> int:
    """The length stated by a response; 0 if it states none."""
    if said is None or not said.strip():
        return 0
    if not re.fullmatch(r"\s*[0-9]{1,18}\s*", said):
        raise InputError(
            f"{url}: the server answered with a length that is not a number: {said[:80]!r}"
        )
    return int(said)


def _check_size(url: str, size: int, partial: Path) -> None:
    if size > LARGEST:
        partial.unlink(missing_ok=True)
        raise InputError(
            f"{url} is larger than {LARGEST / 1e6:.0f} MB, the limit for a file of MP-20; not kept"
        )


def _download(
    url: str, partial: Path, progress: Callable[[int, int], None] | None, timeout: float
) -> None:
    """Download the rest of a file; the part on disk is kept."""
    there = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "flowllm"})
    if there:
        request.add_header("Range", f"bytes={there}-")
    try:
        with _OPENER.open(request, timeout=timeout) as answer:
            if there and answer.status != 206:  # the server starts from the beginning
                there = 0
            total = there + _length(url, answer.headers.get("Content-Length"))
            _check_size(url, total, partial)
            with open_unlinked(partial, "ab" if there else "wb") as handle:
                while block := answer.read(BLOCK):
                    handle.write(block)
                    there += len(block)
                    _check_size(url, there, partial)
                    if progress:
                        progress(there, max(total, there))
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing is left to bring; the check decides
            return
        raise InputError(f"{url}: the server answered {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise InputError(
            f"{url} cannot be reached ({error.reason}); "
            "set FLOWLLM_DATA_DIR to a folder that holds the data"
        ) from error
    except (HTTPException, TimeoutError, ConnectionError) as error:
        raise InputError(
            f"{url}: the download was interrupted ({error}); run again to resume"
        ) from error
    if there < total:
        raise InputError(
            f"{url}: the download was interrupted at {there} of {total} bytes; run again to resume"
        )
