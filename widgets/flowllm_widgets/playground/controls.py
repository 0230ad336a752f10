"""SettingsForm: how crystals are drawn and refined, as sliders and fields."""

from __future__ import annotations

import ipywidgets

from flowllm_widgets.playground.tries import Settings

LAST_SEED = 2**31 - 1
MOST = 32  # samples, unless more are asked for at the beginning
STYLE = {"description_width": "130px"}
WIDE = {"width": "auto"}


class SettingsForm(ipywidgets.VBox):
    """Temperature, nucleus, noise, steps, symmetry, number of samples and seed.

    Args:
        num: samples at first.
        seed: at first.
    """

    def __init__(self, num: int = 4, seed: int = 0) -> None:
        first = Settings("")
        self.temperature = ipywidgets.FloatSlider(
            first.temperature, min=0.05, max=2.0, step=0.05, description="Temperature τ",
            style=STYLE, layout=WIDE,
        )  # fmt: skip
        self.top_p = ipywidgets.FloatSlider(
            first.top_p, min=0.05, max=1.0, step=0.05, description="Nucleus P",
            style=STYLE, layout=WIDE,
        )  # fmt: skip
        self.noise = ipywidgets.FloatSlider(
            first.noise, min=0.0, max=0.2, step=0.005, readout_format=".3f", description="Noise σ",
            style=STYLE, layout=WIDE,
        )  # fmt: skip
        self.steps = ipywidgets.IntSlider(
            first.steps, min=1, max=100, description="Integration steps", style=STYLE, layout=WIDE
        )
        self.symprec = ipywidgets.FloatSlider(
            first.symprec, min=0.0, max=0.5, step=0.01, description="Symprec (Å)",
            tooltip="Keep the space group that a crystal has within this tolerance before it is "
            "refined; at 0 the flow may break it", style=STYLE, layout=WIDE,
        )  # fmt: skip
        self.num = ipywidgets.IntSlider(
            num, min=1, max=max(MOST, num), description="Samples", style=STYLE, layout=WIDE
        )
        self.seed = ipywidgets.BoundedIntText(
            seed, min=0, max=LAST_SEED, description="Seed", style=STYLE, layout={"width": "260px"}
        )
        super().__init__(
            [
                self.temperature, self.top_p, self.noise, self.steps, self.symprec, self.num,
                self.seed,
            ]
        )  # fmt: skip

    def read(self, prompt: str) -> Settings:
        """The settings as they stand, for a prompt."""
        return Settings(
            prompt, self.temperature.value, self.top_p.value, self.noise.value, self.steps.value,
            self.num.value, self.seed.value, self.symprec.value,
        )  # fmt: skip

    def write(self, settings: Settings) -> None:
        """Set all controls."""
        for name in ("temperature", "top_p", "noise", "steps", "num", "seed", "symprec"):
            getattr(self, name).value = getattr(settings, name)
