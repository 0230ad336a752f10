"""The site: what its navigation names exists, and what is generated for it is complete and true."""

from __future__ import annotations

import inspect
import re

import pytest
import yaml

from flowllm.commands import COMMANDS
from recipes.docs_commands import section
from recipes.docs_formulas import mathml
from recipes.docs_hooks import IMPORTED, moved, notebook_page, unbroken
from recipes.docs_pictures import ROOMS, house, layers, pipeline
from tests.docs.pages import ROOT


class Loader(yaml.SafeLoader):
    """Reads mkdocs.yml without the packages that it names."""


Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda loader, suffix, node: suffix)


def pages(nav) -> list[str]:
    """The pages that a navigation names."""
    if isinstance(nav, str):
        return [nav]
    parts = nav.values() if isinstance(nav, dict) else nav
    return [page for part in parts for page in pages(part)]


def test_the_navigation_names_every_page_once_and_no_other():
    named = pages(yaml.load((ROOT / "mkdocs.yml").read_text("utf-8"), Loader)["nav"])
    docs = ROOT / "docs"
    written = {path.relative_to(docs).as_posix() for path in docs.rglob("*.md")}
    assert len(named) == len(set(named))
    assert set(named) == written | set(IMPORTED.values())
    assert all((ROOT / source).is_file() for source in IMPORTED)


def test_links_of_an_imported_page_lead_to_pages_of_the_site():
    text = (
        "[a](docs/howto/dft.md#vasp) [b](MODEL_CARD.md) [c](flowllm/cli.py) ![d](docs/images/x)\n"
        "[e](https://example.org) [f](#here) `x`\n```\n[g](MODEL_CARD.md)\n```\n"
    )
    assert moved(text, "CONTRIBUTING.md", "contributing/index.md") == (
        "[a](../howto/dft.md#vasp) [b](../model-card.md) c d\n"
        "[e](https://example.org) [f](#here) `x`\n```\n[g](MODEL_CARD.md)\n```\n"
    )
    assert moved("[a](../notebooks/README.md)", "docs/start.md", "start.md") == (
        "[a](tutorials/index.md)"
    )


def test_a_formula_becomes_mathml():
    drawn = mathml(r"\frac{1}{2} &lt; x", display=True)
    assert drawn.startswith("<math") and 'display="block"' in drawn
    assert "<mfrac>" in drawn and "<mo>&lt;</mo>" in drawn


def test_functions_stand_apart_as_in_tex():
    space = '<mspace width="0.167em" />'
    assert f"<mi>sin</mi>{space}<mi>ω</mi>" in mathml(r"\sin\omega", display=False)
    assert space not in mathml(r"\exp(x) + \log\left(y\right)", display=False)
    assert f"<mi>t</mi>{space}<msub><mi>log</mi>" in mathml(r"t\log_{c}(x)", display=False)
    assert '<mi mathvariant="normal">w</mi>' in mathml(r"\operatorname{wrap} x", display=False)


def test_numbers_stay_beside_their_units():
    page = '<p title="1 %">5 % of 17 MB, 0.1 eV/atom, 3 sets<code>2 Å</code></p><pre>1 %</pre>'
    assert unbroken(page) == (
        '<p title="1 %">5\u00a0% of 17\u00a0MB, 0.1\u00a0eV/atom, 3 sets<code>2\u00a0Å</code></p>'
        "<pre>1 %</pre>"
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_the_reference_has_every_option_of_a_command(name):
    function = COMMANDS[name].flat()
    text = section(name, function)
    assert text.startswith(f"\n## flowllm {name}\n")
    rows = re.findall(r"^\| `([^`]+)` \| (.*) \| (.*) \| (.+) \|$", text, re.MULTILINE)
    assert len(rows) == len(inspect.signature(function).parameters)
    assert all(about.strip() for *_, about in rows)


def test_a_notebook_becomes_a_page():
    text = notebook_page("notebooks/00_quickstart.ipynb")
    assert text.startswith("# ") and "```python\n" in text
    assert "<details>" not in text  # Markdown inside would stay as it is


def test_the_picture_of_the_house_is_the_list_of_layers():
    drawn = (ROOT / "docs" / "images" / "house.svg").read_text("utf-8")
    assert drawn == house(), "python -m recipes.docs_pictures draws it anew"
    names = [name for name, _ in layers()]
    assert re.findall(r'class="head"[^>]*>([a-z]+)</text>', drawn) == [
        name
        for _, first, last in reversed(ROOMS)
        for name in names[names.index(first) : names.index(last) + 1]
    ]
    assert sorted(re.findall(r'class="head"[^>]*>([a-z]+)</text>', drawn)) == sorted(names)


def test_the_picture_of_the_pipeline_is_as_drawn():
    drawn = (ROOT / "docs" / "images" / "pipeline.svg").read_text("utf-8")
    assert drawn == pipeline(), "python -m recipes.docs_pictures draws it anew"
    for command in re.findall(r'class="small"[^>]*>([a-z-]+)</text>', drawn):
        assert command in COMMANDS or command in ("model", "flow"), command
