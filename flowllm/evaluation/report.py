"""Report: an evaluation with its charts, its page and its files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.evaluation.charts import charts
from flowllm.evaluation.metric import Metric
from flowllm.evaluation.page import write_page
from flowllm.evaluation.printing import report_html, report_text
from flowllm.evaluation.result import EvaluationResult
from flowllm.evaluation.stages import FLAGS
from flowllm.evaluation.stages.relaxation import relaxed_crystals
from flowllm.runs.files import atomic_write, friendly_os_errors, read_record, whole_file, write_json
from flowllm.runs.reading import open_regular
from flowllm.runs.texts import frame_csv, unguarded_frame

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

TEXTS = ("id", "formula", "reason", "remarks")  # columns that are not numbers
SUMMARY, TABLE, CRYSTALS, PAGE = "summary.json", "per_crystal.csv", "crystals.npz", "report.html"


@dataclass(frozen=True, repr=False)
class Report(EvaluationResult):
    """An evaluation for users: plotted, compared, saved and loaded."""

    def __str__(self) -> str:
        return report_text(self)

    def __repr__(self) -> str:
        readable = f"{len(self.crystals)} of {len(self.rows)} readable"
        return f"<Report of {self.name!r}: {readable}, {len(list(self))} figures>"

    def _repr_html_(self) -> str:
        return report_html(self)

    def compare(self, *others: Report) -> dict[str, go.Figure]:
        """Charts of this and other reports together; also `Report.compare(a, b, c)`.

        Returns:
            Name -> figure: validity, e_above_hull, n_elements, density and closeness, those for
            which at least one report has values.
        """
        return charts((self, *others))

    def comparison(self, *others: Report) -> pd.DataFrame:
        """The metrics of this and other reports side by side, one row per metric."""
        import pandas as pd

        reports = (self, *others)
        names = list(dict.fromkeys(m.name for report in reports for m in report))
        columns = _distinct([report.name for report in reports])
        cells: dict[str, list[str]] = {}
        for label, report in zip(columns, reports, strict=True):
            found = {metric.name: metric.text for metric in report}
            cells[label] = [found.get(name, "") for name in names]
        return pd.DataFrame(cells, index=pd.Index(names, name="figure"))

    # ---- files -----------------------------------------------------------------------------

    def save(self, out: str | Path) -> None:
        """Write summary.json, per_crystal.csv, crystals.npz and report.html, each atomically.

        Raises:
            InputError: the folder cannot be written.
        """
        folder = Path(out)
        with friendly_os_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            atomic_write(folder / TABLE, csv_text(self.rows))
            self.crystals.save(folder / CRYSTALS)
            with whole_file(folder / PAGE) as page:
                write_page(page, self, relaxed_crystals(folder))
            write_json(folder / SUMMARY, self.summary())

    def summary(self) -> dict[str, Any]:
        """Everything but the crystals and their rows, as JSON values."""
        return {
            "name": self.name,
            "inputs": len(self.rows),
            "readable": len(self.crystals),
            "protocol": self.protocol,
            "metrics": {s: [m.to_json() for m in ms] for s, ms in self.metrics.items()},
            "data": self.data,
            "data_name": self.data_name,
        }

    @classmethod
    def load(cls, folder: str | Path) -> Report:
        """Read what `save` wrote.

        Raises:
            InputError: the folder contains no evaluation.
        """
        import pandas as pd

        folder = Path(folder)
        if not (folder / SUMMARY).is_file() or not (folder / TABLE).is_file():
            raise InputError(f"{folder} contains no evaluation: no {SUMMARY} or {TABLE}")
        summary = read_record(folder / SUMMARY)
        try:
            metrics = {
                stage: [Metric.from_json(row) for row in rows]
                for stage, rows in summary["metrics"].items()
            }
            with open_regular(folder / TABLE) as table:
                rows = pd.read_csv(table, dtype=dict.fromkeys(TEXTS, str),
                                   keep_default_na=False, na_values=[""])  # fmt: skip
            rows = unguarded_frame(rows)
            for flag in set(FLAGS) & set(rows):
                known = {"true": True, "false": False, "True": True, "False": False}
                rows[flag] = rows[flag].astype(str).map(known).astype("boolean")
            for text in (set(TEXTS) - {"id"}) & set(rows):
                rows[text] = rows[text].fillna("")
            return cls(
                summary["name"], metrics, summary["protocol"], rows,
                CrystalBatch.load(folder / CRYSTALS), summary["data"], summary["data_name"],
            )  # fmt: skip
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"the evaluation in {folder} is incomplete or damaged: {error}"
            ) from error


def csv_text(rows: pd.DataFrame) -> str:
    """The rows as CSV; flags as true, false or nothing, numbers with six digits."""
    shown = rows.copy()
    for flag in set(FLAGS) & set(shown):
        shown[flag] = [_flag(value) for value in shown[flag]]
    return frame_csv(shown)


def _flag(value: Any) -> str:
    import pandas as pd

    return "" if value is None or pd.isna(value) else "true" if value else "false"


def _distinct(names: Sequence[str]) -> list[str]:
    """The names, repeated ones numbered."""
    seen: dict[str, int] = {}
    result = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        result.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return result
