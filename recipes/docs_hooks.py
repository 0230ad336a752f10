"""Hooks of `make docs`: pages from files outside docs/, formulas as MathML, options of commands.

MkDocs calls the functions `on_*`. A page that lies elsewhere in the repository (`IMPORTED`) is read
from there, so that it has one source; links between all of them are moved along. Formulas become
MathML, which browsers draw by themselves. Notebooks are pages, too: executed ones from
`pages/executed`, where `make pages` has written them, and otherwise their texts and cells alone.
"""

from __future__ import annotations

import html
import posixpath
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from recipes.docs_formulas import with_formulas

ROOT = Path(__file__).resolve().parents[1]
EXECUTED = ROOT / "pages" / "executed"
NOTEBOOKS = sorted(path.stem for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"))
IMPORTED = {
    "CHANGELOG.md": "changelog.md",
    "CODE_OF_CONDUCT.md": "contributing/conduct.md",
    "CONTRIBUTING.md": "contributing/index.md",
    "MODEL_CARD.md": "model-card.md",
    "README.md": "index.md",
    "SECURITY.md": "contributing/security.md",
    "flowllm/reference/mp_20/README.md": "reference/mp20.md",
    "notebooks/README.md": "tutorials/index.md",
    "recipes/README.md": "reference/recipes.md",
    **{f"notebooks/{name}.ipynb": f"tutorials/{name}.md" for name in NOTEBOOKS},
}
"""File of the repository -> page of the site."""
GENERATED = {"docs/gallery_crystals.html": "gallery_crystals.html"}
"""The same for pages that are made with the site."""
SOURCES = {page: source for source, page in IMPORTED.items()}
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\(([^)\s]+)\)")
FENCE = re.compile(r"(^```.*?^```)", re.MULTILINE | re.DOTALL)
OUTPUT = re.compile(r'<div id="(out-[\w-]+)"></div>')
MARKUP = re.compile(r"(<pre\b.*?</pre>|<[^>]+>)", re.DOTALL)
UNIT = re.compile(r"(?<=\d) (?=%|Å|m?eV\b|[kMG]B\b)")
PLOTLY = "assets/plotly.min.js"
outputs: dict[str, str] = {}
"""Placeholder on a page -> HTML that Markdown must leave alone."""


# ---- called by MkDocs ----------------------------------------------------------------------------


def on_files(files: Any, config: Any) -> Any:
    """Add pages that lie outside docs/, the gallery, and plotly where notebooks were executed."""
    from mkdocs.structure.files import File

    from recipes import gallery

    for source, page in IMPORTED.items():
        if files.get_file_from_path(page) is None and (ROOT / source).exists():
            text = notebook_page(source) if source.endswith(".ipynb") else read(source)
            files.append(File.generated(config, page, content=text))
    if gallery.FRAMES_FILE.exists():
        with TemporaryDirectory() as folder:
            gallery.write_page(Path(folder) / gallery.CRYSTALS)
            text = (Path(folder) / gallery.CRYSTALS).read_text("utf-8")
        files.append(File.generated(config, gallery.CRYSTALS, content=text))
    if any(EXECUTED.glob("*.ipynb")):
        from plotly.offline import get_plotlyjs

        files.append(File.generated(config, PLOTLY, content=get_plotlyjs()))
    return files


def on_post_template(output: str, template_name: str, **_: Any) -> str:
    """Leave out the page for addresses that do not exist: only a server can show it."""
    return "" if template_name == "404.html" else output


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Move links, and write down the commands' options."""
    from recipes.docs_commands import PAGE, sections

    uri = page.file.src_uri
    source = SOURCES.get(uri, f"docs/{uri}")
    if (ROOT / "docs" / uri).exists():
        source = f"docs/{uri}"
    text = moved(markdown, source, uri)
    return f"{text}\n{sections()}" if uri == PAGE else text


def on_page_content(html: str, **_: Any) -> str:
    """Put outputs of notebooks into their places, and formulas as MathML."""
    placed = OUTPUT.sub(lambda m: outputs.get(m[1], ""), unbroken(html))
    return with_formulas(placed)


def unbroken(html: str) -> str:
    """A page on which no line ends between a number and its unit."""
    parts = MARKUP.split(html)
    return "".join(p if p.startswith("<") else UNIT.sub("\u00a0", p) for p in parts)


# ---- links ---------------------------------------------------------------------------------------


def moved(markdown: str, source: str, page: str) -> str:
    """The links of a text that was written for another place; code is left alone.

    Args:
        markdown: the text.
        source: where it lies in the repository; its links start there.
        page: where it lies in the site.
    """

    def change(match: re.Match[str]) -> str:
        image, text, target = match.groups()
        path, hash_, anchor = target.partition("#")
        if not path or re.match(r"[a-z]+:", path):
            return match[0]
        lies = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        there = {**IMPORTED, **GENERATED}.get(lies)
        if there is None and in_docs(lies):
            there = lies.removeprefix("docs/")
        if there is None:
            return text  # a file of the source, which the site does not hold
        here = posixpath.relpath(there, posixpath.dirname(page) or ".")
        return f"{image}[{text}]({here}{hash_}{anchor})"

    parts = FENCE.split(markdown)
    return "".join(p if p.startswith("```") else LINK.sub(change, p) for p in parts)


def in_docs(path: str) -> bool:
    """Whether a path of the repository is a page or a picture of docs/."""
    return path.startswith("docs/") and (ROOT / path).is_file()


def read(source: str) -> str:
    """The text of a file of the repository."""
    return (ROOT / source).read_text("utf-8")


# ---- notebooks -----------------------------------------------------------------------------------


def notebook_page(source: str) -> str:
    """A notebook as Markdown; its outputs are placeholders, filled in when the page is HTML."""
    import nbformat

    name = Path(source).stem
    executed = EXECUTED / f"{name}.ipynb"
    notebook = nbformat.read(executed if executed.exists() else ROOT / source, 4)
    parts = []
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            parts.append(for_markdown(cell.source))
        elif cell.cell_type == "code" and cell.source.strip():
            parts.append(f"```python\n{cell.source}\n```")
            shown = "".join(output_html(output) for output in cell.get("outputs", []))
            if shown:
                key = f"out-{name}-{index}"
                outputs[key] = f'<div class="nb-output">{shown}</div>'
                parts.append(f'<div id="{key}"></div>')
    title, _, rest = parts[0].partition("\n")
    script = f'<script src="../{PLOTLY}"></script>\n' if executed.exists() else ""
    note = "" if executed.exists() else "\n!!! note\n    Without outputs: not executed here.\n"
    return "\n\n".join([f"{title}\n{note}\n{script}{rest}", *parts[1:]])


def for_markdown(text: str) -> str:
    """Text of a cell for Python-Markdown, which wants an empty line before a list."""
    text = re.sub(r"<details>", "<details markdown>", text)
    return re.sub(r"(?m)^(?![-*] |\d+\. |\s|$|[|>#])(.+)\n(?=[-*] |\d+\. )", r"\1\n\n", text)


def output_html(output: Any) -> str:
    """One output of a cell as HTML."""
    if output.output_type == "stream":
        return f"<pre>{html.escape(output.text)}</pre>"
    data = output.get("data", {})
    if "text/html" in data:
        return f'<div class="nb-html">{data["text/html"]}</div>' if data["text/html"] else ""
    if "image/png" in data:
        return f'<img alt="" src="data:image/png;base64,{data["image/png"]}">'
    if "image/svg+xml" in data:
        return data["image/svg+xml"]
    if "text/plain" in data:
        return f"<pre>{html.escape(data['text/plain'])}</pre>"
    return ""
