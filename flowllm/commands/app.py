"""The command that opens the workbench as one page."""

from __future__ import annotations

from pathlib import Path


def app(
    run: Path | None = None, port: int = 8866, browser: bool = True, dark: bool = False
) -> None:
    """Open playground, browser, phase diagram, viewer and Bring as one page, without code.

    The page is served by Voilà, to this computer only and with a token; it opens in the browser.

    Args:
        run: folder of a run, an evaluation or crystals; shown in the browser, the viewer and the
            table of elements. MP-20 without it.
        port: port of the server; the next free one if it is taken.
        browser: open the page in the browser; its address is printed in any case.
        dark: use the dark theme.
    """
    from flowllm.workflows.app import plan_app, serve_app

    serve_app(plan_app(run, port, dark), browser)
