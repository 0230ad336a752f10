"""The notebooks as web pages: executed, with charts that stay alive and stills of the widgets.

Usage: python recipes/pages.py [--out pages] [NOTEBOOK ...]

Without names all notebooks are executed (some minutes; fewer with FLOWLLM_SMOKE=1). A page needs
no kernel: plotly's charts can be zoomed, by one `plotly.min.js` beside the pages; a widget is
written down as it stands at the end, with its charts, tables and texts, and a projection of each
3-D view. Only formulas ask the network, for MathJax. `executed/` holds the notebooks with these
outputs, which `make docs` makes its tutorials of; there formulas need no network.
"""

from __future__ import annotations

import argparse
import html
import json
import re
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PLOTLY, EXECUTED = "plotly.min.js", "executed"
CHART, WIDGET = "application/vnd.plotly.v1+json", "application/vnd.jupyter.widget-view+json"
STILL = '<div class="flowllm-still'
TIMEOUT = 600  # seconds for a cell
PATIENCE = 120  # seconds for what widgets do in the background
NOTE = '<p class="still">As it stood at the end; in JupyterLab it moves and answers.</p>'
STYLE = """
body { max-width: 68rem; margin: 0 auto !important; }
.still { color: #6b7686; font-size: 0.85em; }
.control { margin: 2px 10px 2px 0; white-space: nowrap; }
.still-box svg { max-width: 100%; height: auto; }
"""
INDEX = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>FlowLLM notebooks</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.55 system-ui, sans-serif; }}
body {{ max-width: 44rem; margin: 3rem auto; padding: 0 1rem; }}
li {{ margin: 0 0 1.1rem; list-style: none; }} ul {{ padding: 0; }}
p {{ margin: 0.2rem 0; }} small {{ color: #8a94a6; }}
</style>
<h1>FlowLLM notebooks</h1>
<p>Executed on {when}. To change things and to see the widgets move, run <code>make lab</code>.</p>
<ul>{entries}</ul></html>
"""


# ---- in the kernel -------------------------------------------------------------------------------


def static_widgets(model_ids: list[str]) -> dict[str, str]:
    """HTML of displayed widgets as they stand, once their work in the background has ended."""
    import threading

    from ipywidgets.widgets.widget import _instances

    limit = time.monotonic() + PATIENCE
    while time.monotonic() < limit and any("(_run)" in t.name for t in threading.enumerate()):
        time.sleep(0.2)
    return {key: static_html(_instances[key]) for key in model_ids if key in _instances}


def static_html(widget: Any) -> str:
    """One widget and all that it holds, its charts alive; nothing that only a browser can draw."""
    from flowllm_widgets.shared.still import still_html

    return still_html(widget, chart_html, lambda svg: svg)


def chart_html(figure: Any) -> str:
    """A live chart out of a figure or its JSON; the page brings plotly.js."""
    import plotly.graph_objects as go
    import plotly.io

    values = figure if isinstance(figure, dict) else figure.to_plotly_json()
    parts = {name: values[name] for name in ("data", "layout", "frames") if values.get(name)}
    parts.get("layout", {}).pop("width", None)
    return plotly.io.to_html(
        go.Figure(parts, skip_invalid=True),
        full_html=False,
        include_plotlyjs=False,
        config={"responsive": True, "displaylogo": False},
    )


# ---- beside the kernel ---------------------------------------------------------------------------


def execute(notebook: Any, folder: Path) -> dict[str, str]:
    """Run all cells of a notebook in a clean kernel; gives its widgets as HTML, by model id."""
    import nbformat
    from nbclient import NotebookClient

    asking = nbformat.v4.new_code_cell()
    client = NotebookClient(notebook, timeout=TIMEOUT, resources={"metadata": {"path": folder}})
    with client.setup_kernel():
        for index, cell in enumerate(notebook.cells):
            client.execute_cell(cell, index)
        shown = [bundle[WIDGET]["model_id"] for bundle in bundles(notebook) if WIDGET in bundle]
        asking.source = (
            "import json, runpy\n"
            f"_pages = runpy.run_path({str(Path(__file__).resolve())!r}, run_name='kernel')\n"
            f"print(json.dumps(_pages['static_widgets']({shown!r})))"
        )
        notebook.cells.append(asking)
        client.execute_cell(asking, len(notebook.cells) - 1)
    notebook.cells.pop()
    texts = [output.text for output in asking.outputs if output.get("name") == "stdout"]
    return json.loads("".join(texts).strip().splitlines()[-1])


def bundles(notebook: Any) -> list[dict[str, Any]]:
    """All mime bundles among the outputs."""
    return [
        output.data
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "data" in output
    ]


def make_static(notebook: Any, widgets: dict[str, str]) -> None:
    """Exchange what needs a kernel or an extension for HTML that does not."""
    for bundle in bundles(notebook):
        if STILL in bundle.get("text/html", ""):
            bundle.clear()  # the widget before it is written down as it stands at the end
            bundle["text/html"] = ""
        elif WIDGET in bundle:
            content = widgets.get(bundle[WIDGET]["model_id"], "")
            bundle.clear()
            bundle["text/html"] = content + NOTE if content else ""
        elif CHART in bundle:
            content = chart_html(bundle[CHART])
            bundle.clear()
            bundle["text/html"] = content
    for cell in notebook.cells:  # warnings and progress that people need not read
        if "outputs" in cell:
            cell.outputs = [o for o in cell.outputs if o.get("name") != "stderr"]
    notebook.metadata.pop("widgets", None)


def page(notebook: Any, name: str) -> str:
    """The HTML of an executed notebook."""
    from nbconvert import HTMLExporter

    # plotly.js takes the place of require.js
    exporter = HTMLExporter(template_name="lab", require_js_url=PLOTLY)
    text, _ = exporter.from_notebook_node(notebook, {"metadata": {"name": name}})
    text = re.sub(r'(href="[\w./-]+)\.ipynb', r"\1.html", text)
    return text.replace("</head>", f"<style>{STYLE}</style></head>", 1)


def summary(notebook: Any) -> tuple[str, str]:
    """Title and first paragraph of a notebook."""
    title, _, rest = notebook.cells[0].source.partition("\n")
    paragraph = re.sub(r"\$([^$]*)\$", r"\1", rest.strip().split("\n\n")[0]).replace("_", "")
    return title.lstrip("# "), re.sub(r"[*`]|\[([^]]*)\]\([^)]*\)", r"\1", paragraph)


def write(paths: list[Path], out: Path) -> list[str]:
    """Write the pages and their index; gives what went wrong."""
    import nbformat
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
    from plotly.offline import get_plotlyjs

    (out / EXECUTED).mkdir(parents=True, exist_ok=True)
    (out / PLOTLY).write_text(get_plotlyjs(), encoding="utf-8")
    entries, failed = [], []
    for path in paths:
        began = time.monotonic()
        notebook = nbformat.read(path, 4)
        title, paragraph = map(html.escape, summary(notebook))
        try:
            make_static(notebook, execute(notebook, path.parent))
        except CellExecutionError as error:
            failed.append(f"{path.name}: {error.ename}: {error.evalue}")
            continue
        except (CellTimeoutError, DeadKernelError) as error:
            failed.append(f"{path.name}: {str(error).splitlines()[0]}")
            continue
        nbformat.write(notebook, out / EXECUTED / path.name)
        (out / f"{path.stem}.html").write_text(page(notebook, path.stem), encoding="utf-8")
        seconds = time.monotonic() - began
        print(f"{path.name}: {seconds:.0f} s")
        entries.append(
            f'<li><a href="{path.stem}.html">{title}</a><p>{paragraph}</p>'
            f"<small>{seconds:.0f} s to execute</small></li>"
        )
    when = time.strftime("%Y-%m-%d")
    index = INDEX.format(when=when, entries="\n".join(entries))
    (out / "index.html").write_text(index, encoding="utf-8")
    return failed


def main() -> None:
    """Read the command line and write the pages."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="*", type=Path)
    parser.add_argument("--out", type=Path, default=ROOT / "pages")
    arguments = parser.parse_args()
    paths = arguments.notebooks or sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
    failed = write([path.resolve() for path in paths], arguments.out)
    print(f"pages are in {arguments.out}")
    if failed:
        sys.exit("\n".join(failed))


if __name__ == "__main__":
    main()
