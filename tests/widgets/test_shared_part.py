"""Parts of widgets: their module begins at once, and says what to do where it cannot."""

import pytest

from flowllm_widgets.browser.table import CrystalTable
from flowllm_widgets.shared.part import CLASS, Part, late_start
from flowllm_widgets.shared.plot import Plot
from flowllm_widgets.structure.player import Player
from flowllm_widgets.torus.views import FlowView, GeodesicView
from flowllm_widgets.trajectory.marks import PlotMarks


@pytest.mark.parametrize("kind", [CrystalTable, Player, FlowView, GeodesicView, PlotMarks, Plot])
def test_every_module_exports_one_part_that_may_start_late(kind):
    text = str(kind._esm)
    assert text.count("export default") == 1
    assert text.rstrip().endswith("export default part(exported);")


def test_a_class_that_is_derived_keeps_the_module():
    class Derived(Player):
        pass

    assert Derived._esm == Player._esm and CLASS in Derived()._dom_classes


def test_several_files_are_one_module(tmp_path):
    (tmp_path / "a.js").write_text("const a = 1;")
    (tmp_path / "b.js").write_text("export default { render: () => a };")

    class Both(Part):
        _esm = (tmp_path / "a.js", tmp_path / "b.js")

    assert "const a = 1;\nconst exported = { render: () => a };" in str(Both._esm)


@pytest.mark.parametrize("text", ["", "export default 1;\nexport default 2;"])
def test_a_module_without_one_export_is_refused(tmp_path, text):
    (tmp_path / "a.js").write_text(text)
    with pytest.raises(ValueError, match=r"a\.js has not exactly one"):
        late_start(tmp_path / "a.js")
