"""What axe-core finds wrong with a page for people who use a keyboard or a screen reader."""

from __future__ import annotations

from typing import Any

GRAVE = ("serious", "critical")


def faults(page: Any, inside: str | None = None) -> list[str]:
    """The serious and critical faults of a page, each with the element that has it.

    Args:
        page: Playwright's.
        inside: a selector; only what is in there is looked at, as in a notebook of JupyterLab.
    """
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page, context=inside, options={"resultTypes": ["violations"]})
    return [
        f"{rule['id']} at {node['target'][-1]}: {node['failureSummary']}"
        for rule in found.response["violations"]
        if rule["impact"] in GRAVE
        for node in rule["nodes"]
    ]
