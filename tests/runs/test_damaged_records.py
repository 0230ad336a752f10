"""Records of runs that were changed: each is one line, and none is taken for what it is not."""

import json

import pytest

from flowllm.errors import InputError
from flowllm.runs.files import read_json, read_record
from flowllm.runs.folder import RunFolder

SETTINGS = {"seed": 1}


@pytest.mark.parametrize(
    "content",
    [
        "[" * 100_000,
        '{"a":' * 100_000,
        "[]",
        "null",
        "7",
        "",
        "\x00",
        '{"command": "generate", "settings": null, "status": "running"}',
        '{"command": "generate", "settings": "seed", "status": "running"}',
        '{"command": 5, "settings": {}, "status": "running"}',
        '{"command": "generate", "settings": {}, "status": []}',
        '{"command": "generate", "settings": {}}',
    ],
    ids=lambda text: text[:60],
)
def test_a_record_of_another_form_is_refused(tmp_path, content):
    with RunFolder.open(tmp_path / "out", "generate", SETTINGS):
        pass
    (tmp_path / "out" / "run.json").write_text(content)
    for use in (
        lambda: RunFolder.open(tmp_path / "out", "generate", SETTINGS),
        lambda: RunFolder.is_finished(tmp_path / "out", "generate", SETTINGS),
        lambda: RunFolder.read(tmp_path / "out"),
        lambda: RunFolder.open(tmp_path / "out", "generate", SETTINGS, overwrite=True),
    ):
        with pytest.raises(InputError, match=r"run\.json") as caught:
            use()
        assert len(str(caught.value).splitlines()) == 1
    assert (tmp_path / "out" / "run.json").read_text() == content  # perhaps of another program


def test_bytes_that_are_no_text_are_named(tmp_path):
    (tmp_path / "a.json").write_bytes(b'"\xff\xfe"')
    with pytest.raises(InputError, match=r"a\.json is not readable JSON"):
        read_json(tmp_path / "a.json")


def test_values_without_names_are_no_record(tmp_path):
    for value in ([], "text", 3, None):
        (tmp_path / "a.json").write_text(json.dumps(value))
        with pytest.raises(InputError, match=r"a\.json must be a JSON object"):
            read_record(tmp_path / "a.json")
    (tmp_path / "a.json").write_text('{"a": 1}')
    assert read_record(tmp_path / "a.json") == {"a": 1}
