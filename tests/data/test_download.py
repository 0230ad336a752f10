"""The download of MP-20 against a server on this machine that behaves well and badly."""

import contextlib
import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from flowllm.data.download import _StaysSecure, fetch_mp20, git_blob_id
from flowllm.errors import InputError

CONTENT = b"material_id,cif\n" + b"mp-1,some text\n" * 40000
BLOB = hashlib.sha1(b"blob %d\0" % len(CONTENT) + CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves CONTENT under /val.csv; `break_at` ends the answer early, `asked` logs ranges."""

    content, break_at, ranges, length = CONTENT, None, True, None

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path != "/val.csv":
            self.send_error(404)
            return
        asked = self.headers.get("Range")
        self.server.asked.append(asked)
        start = int(asked[6:-1]) if asked and self.server.ranges else 0
        if start and start >= len(self.server.content):
            self.send_error(416)
            return
        body = self.server.content[start:]
        self.send_response(206 if start else 200)
        if self.server.length != "":
            self.send_header("Content-Length", self.server.length or str(len(body)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(body[: self.server.break_at])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    server = Server()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def fetch(server, tmp_path):
    def call(split="val", **options):
        ids = {"val": BLOB, "test": BLOB}
        return fetch_mp20(split, server.url, tmp_path / "mp_20", ids, **options)

    return call


def test_blob_id_is_gits(tmp_path):
    (tmp_path / "a").write_bytes(b"hello\n")
    assert git_blob_id(tmp_path / "a") == "ce013625030ba8dba906f756967f9e9ca394464a"


def test_the_file_is_brought_once_and_verified(fetch, server):
    seen = []
    path = fetch(progress=lambda *a: seen.append(a))
    assert path.read_bytes() == CONTENT and path.name == "val.csv"
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert fetch() == path
    assert len(server.asked) == 1


@pytest.mark.parametrize("ranges", [True, False], ids=["ranges", "no ranges"])
def test_a_download_that_breaks_off_goes_on_next_time(fetch, server, tmp_path, ranges):
    server.break_at, server.ranges = 300000, ranges
    with pytest.raises(InputError, match=r"was interrupted.*run again to resume"):
        fetch()
    assert not (tmp_path / "mp_20" / "val.csv").exists()
    server.break_at = None
    assert fetch().read_bytes() == CONTENT
    assert server.asked[1].startswith("bytes=") and server.asked[1] != "bytes=0-"


def test_other_content_is_refused_and_not_kept(fetch, server, tmp_path):
    server.content = CONTENT.replace(b"some", b"evil", 1)
    with pytest.raises(InputError, match=r"is not the official MP-20 file"):
        fetch()
    assert list((tmp_path / "mp_20").iterdir()) == []


def test_a_complete_part_needs_no_network(fetch, server, tmp_path):
    (tmp_path / "mp_20").mkdir()
    (tmp_path / "mp_20" / "val.csv.part").write_bytes(CONTENT)
    assert fetch().read_bytes() == CONTENT
    assert server.asked == []


def test_a_part_that_is_too_long_is_refused_then_brought_anew(fetch, tmp_path):
    (tmp_path / "mp_20").mkdir()
    (tmp_path / "mp_20" / "val.csv.part").write_bytes(CONTENT + b"more")
    with pytest.raises(InputError, match=r"is not the official MP-20 file"):
        fetch()
    assert fetch().read_bytes() == CONTENT


def test_no_such_file_on_the_server(fetch):
    with pytest.raises(InputError, match=r"test.csv: the server answered 404"):
        fetch("test")


def test_no_network(tmp_path):
    with pytest.raises(InputError, match=r"cannot be reached.*FLOWLLM_DATA_DIR"):
        fetch_mp20("val", "http://127.0.0.1:9", tmp_path)


@pytest.mark.parametrize("length", ["abc", "-5", "1e3", "9" * 40, "12, 13"])
def test_a_length_that_is_no_number_is_one_line(fetch, server, length):
    server.length = length
    with pytest.raises(InputError, match="length that is not a number"):
        fetch()


@pytest.mark.parametrize("length", [None, ""])
def test_what_is_larger_than_any_file_of_the_set_is_not_kept(
    fetch, server, tmp_path, monkeypatch, length
):
    monkeypatch.setattr("flowllm.data.download.LARGEST", 1000)
    server.length = length  # said, or not
    with pytest.raises(InputError, match="val.csv is larger than 0 MB"):
        fetch()
    assert list((tmp_path / "mp_20").iterdir()) == []


@pytest.mark.parametrize("target", ["http://a.org/x", "ftp://a.org/x", "file:///etc/passwd"])
def test_a_redirection_off_https_is_refused(target):
    from urllib.request import Request

    handler, request = _StaysSecure(), Request("https://a.org/val.csv")
    with pytest.raises(InputError, match=r"val.csv redirects to .* not https"):
        handler.redirect_request(request, None, 302, "Found", {}, target)
    followed = handler.redirect_request(request, None, 302, "Found", {}, "https://b.org/val.csv")
    assert followed.full_url == "https://b.org/val.csv"


def test_a_part_that_is_a_link_is_not_written_through(fetch, tmp_path):
    (tmp_path / "mp_20").mkdir()
    (tmp_path / "thesis").write_text("years of work")
    (tmp_path / "mp_20" / "val.csv.part").symlink_to(tmp_path / "thesis")
    with pytest.raises(InputError, match="it is a link"):
        fetch()
    assert (tmp_path / "thesis").read_text() == "years of work"
