import ipywidgets
import plotly.graph_objects as go

from flowllm_widgets.shared.style import COLOURS, GREY, TEXT, Panel, themed

LIGHT, DARK = "#ffffff", "#111111"  # JupyterLab's backgrounds


def luminance(colour: str) -> float:
    """Relative luminance by WCAG 2.2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_luminance_of_known_colours():
    assert luminance("#ffffff") == 1.0
    assert round(contrast("#000000", "#ffffff"), 6) == 21.0


def test_marks_stand_out_from_light_and_from_dark():
    for colour in (*COLOURS, GREY):
        for background in (LIGHT, DARK):
            assert contrast(colour, background) > 2.5, (colour, background)


def test_a_panel_carries_the_class_and_the_sheet_and_can_be_filled_again():
    one, two = ipywidgets.Label("one"), ipywidgets.Label("two")
    panel = Panel([one])
    assert "flowllm" in panel._dom_classes
    assert panel.children[0] is one
    assert "--jp-ui-font-color1" in panel.children[-1].value
    panel.fill([two])
    assert panel.children[0] is two and len(panel.children) == 2


def test_a_themed_figure_paints_no_background_of_its_own():
    figure = themed(go.Figure(go.Bar(y=[1, 2])), height=210)
    assert figure.layout.paper_bgcolor == figure.layout.plot_bgcolor == "rgba(0,0,0,0)"
    assert figure.layout.height == 210


def test_text_and_toolbar_of_a_chart_are_legible_in_both_themes():
    layout = themed(go.Figure(go.Bar(y=[1, 2]))).layout
    assert layout.font.color == layout.modebar.color == TEXT
    assert layout.modebar.bgcolor == "rgba(0,0,0,0)"
    assert contrast(TEXT, LIGHT) >= 4.5 and contrast(TEXT, DARK) >= 4
    assert contrast(layout.modebar.activecolor, LIGHT) > 3
    assert contrast(layout.modebar.activecolor, DARK) > 3
