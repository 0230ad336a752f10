"""SettingsForm: sampling and refinement settings, as sliders and fields."""

from __future__ import annotations

from dataclasses import Field, fields, replace
from typing import Any, get_args

import ipywidgets

from flowllm.methods.flow.settings import RefineSettings
from flowllm.methods.language_model.settings import SamplingSettings
from flowllm.settings import shown_fields
from flowllm_widgets.playground.tries import Settings, in_words

LAST_SEED = 2**31 - 1
MOST = 32  # samples, unless more are asked for at the beginning
STYLE = {"description_width": "165px"}
WIDE = {"width": "auto"}
NARROW = {"width": "260px"}


class SettingsForm(ipywidgets.VBox):
    """The settings of a prior and a refiner, the number of samples and the seed.

    A control for each field of both classes of settings that a form can show; those of the shipped
    model are temperature, nucleus, noise, steps and symmetry. The control of a field is an
    attribute of the form under the field's name, too.

    Args:
        num: samples at first.
        seed: at first.
        sampling: class of the prior's settings.
        refinement: class of the refiner's settings; None where there is none.

    Attributes:
        controls: ("sampling" or "refinement", name of the field) -> control.
    """

    def __init__(
        self,
        num: int = 4,
        seed: int = 0,
        sampling: type[Any] = SamplingSettings,
        refinement: type[Any] | None = RefineSettings,
    ) -> None:
        self._usual = {"sampling": sampling(), "refinement": refinement and refinement()}
        self.controls: dict[tuple[str, str], ipywidgets.ValueWidget] = {}
        for part, usual in self._usual.items():
            for one, kind in shown_fields(type(usual)) if usual is not None else ():
                control = control_of(one, kind, getattr(usual, one.name))
                self.controls[part, one.name] = control
                if not hasattr(self, one.name):
                    setattr(self, one.name, control)
        self.num = ipywidgets.IntSlider(
            num, min=1, max=max(MOST, num), description="Samples", style=STYLE, layout=WIDE
        )
        self.seed = ipywidgets.BoundedIntText(
            seed, min=0, max=LAST_SEED, description="Seed", style=STYLE, layout=NARROW
        )
        super().__init__([*self.controls.values(), self.num, self.seed])

    def read(self, prompt: str) -> Settings:
        """The current settings, for a prompt; every step of the refiner is recorded.

        Raises:
            InputError: a value that the settings refuse.
        """
        parts = {part: self._read(part) for part in self._usual}
        return Settings(prompt, **parts, num=self.num.value, seed=self.seed.value)

    def _read(self, part: str) -> Any:
        usual = self._usual[part]
        if usual is None:
            return None
        values = {name: c.value for (of, name), c in self.controls.items() if of == part}
        if part == "refinement" and any(one.name == "record" for one in fields(usual)):
            values["record"] = True
        return replace(usual, **values)

    def write(self, settings: Settings) -> None:
        """Set all controls."""
        for (part, name), control in self.controls.items():
            control.value = getattr(getattr(settings, part), name)
        self.num.value, self.seed.value = settings.num, settings.seed


def control_of(one: Field[Any], kind: Any, value: Any) -> ipywidgets.ValueWidget:
    """The control of a field: a slider where its range is known, else a field, switch or list.

    Args:
        one: the field.
        kind: its type: bool, int, float or a Literal.
        value: at first.
    """
    about = one.metadata
    named = {"description": about.get("label") or in_words(one), "style": STYLE}
    if kind is bool:
        return ipywidgets.Checkbox(value, indent=True, layout=WIDE, **named)
    if kind not in (int, float):
        return ipywidgets.Dropdown(value=value, options=get_args(kind), layout=NARROW, **named)
    low, high = about.get("low"), about.get("high")
    if low is None or high is None:
        text = ipywidgets.IntText if kind is int else ipywidgets.FloatText
        return text(value, layout=NARROW, **named)
    ends = {"min": min(low, value), "max": max(high, value), "layout": WIDE, **named}
    if kind is int:
        return ipywidgets.IntSlider(value, step=int(about.get("step") or 1), **ends)
    step = about.get("step") or (high - low) / 100
    decimals = max(2, len(f"{step:g}".partition(".")[2]))
    return ipywidgets.FloatSlider(value, step=step, readout_format=f".{decimals}f", **ends)
