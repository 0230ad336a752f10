"""Settings of training the flow."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from flowllm.errors import InputError
from flowllm.networks.cspnet import VelocityConfig

FREE = ("device", "log_steps", "half")
"""Settings that may differ when a run is taken up again; the others change the result."""


@dataclass(frozen=True)
class FlowTrainSettings:
    """How the flow is trained; checks itself.

    Attributes:
        network: size and inputs of the network.
        epochs: passes over the pairs.
        batch_size: pairs per step and device.
        learning_rate: highest rate, after the warm-up; a cosine brings it to 0.
        warmup_share: share of the steps in which the rate rises.
        weight_decay: decoupled.
        optimizer: "muon" (matrices by Muon, the rest by AdamW) or "adamw".
        max_grad_norm: gradients longer than this are cut.
        coord_weight: lambda_f on coordinates in fractional units, as in the paper.
        cell_weight: lambda_l on the standardised cell.
        max_distance: pairs with a larger mean squared torus distance per atom are left out; 0.25 is
            what uniform noise has, so the default leaves out those that aligning could not help.
        max_strain: pairs whose cells differ by a larger strain are left out (`close_pairs`).
        coord_noise: Gaussian noise on c0's coordinates, fractional, anew at each step.
        cell_noise: Gaussian noise on c0's flat cell, in standard deviations.
        ema_decay: of the moving average of the weights, which is what is kept in the end.
        validation_share: share of the pairs held out (never of a target that is trained on).
        eval_steps: steps between validations.
        save_steps: steps between checkpoints.
        log_steps: steps between lines of the log.
        seed: of weights, order, times and noise.
        device: "auto", "cpu", "cuda" or "mps".
        bf16: mixed precision, on CUDA only (on CPUs bf16 was measured 400 times slower).
        half: final weights in float16 on disk.

    Raises:
        InputError: a value is out of range.
    """

    network: VelocityConfig = field(default_factory=VelocityConfig)
    epochs: int = 20
    batch_size: int = 64
    learning_rate: float = 1e-3
    warmup_share: float = 0.03
    weight_decay: float = 0.0
    optimizer: str = "muon"
    max_grad_norm: float = 1.0
    coord_weight: float = 200.0
    cell_weight: float = 1.0
    max_distance: float = 0.25
    max_strain: float = 10.0
    coord_noise: float = 0.0
    cell_noise: float = 0.0
    ema_decay: float = 0.999
    validation_share: float = 0.02
    eval_steps: int = 500
    save_steps: int = 500
    log_steps: int = 50
    seed: int = 0
    device: str = "auto"
    bf16: bool = False
    half: bool = True

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "eval_steps", "save_steps", "log_steps"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InputError(f"{name} must be a whole number above 0, not {value!r}")
        for name in ("weight_decay", "coord_weight", "cell_weight", "coord_noise", "cell_noise"):
            if not getattr(self, name) >= 0:
                raise InputError(f"{name} must be 0 or more, not {getattr(self, name)!r}")
        for name in ("warmup_share", "ema_decay", "validation_share"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name} must be in [0, 1), not {getattr(self, name)!r}")
        for name in ("learning_rate", "max_grad_norm", "max_distance", "max_strain"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} must be above 0, not {getattr(self, name)!r}")
        if self.optimizer not in ("muon", "adamw"):
            raise InputError(f"optimizer {self.optimizer!r} is neither muon nor adamw")
        if self.bf16 and self.device in ("cpu", "mps"):
            raise InputError("bf16 is for CUDA only; on a CPU it is hundreds of times slower")
        if self.seed < 0:
            raise InputError(f"seed must be 0 or more, not {self.seed}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    def binding(self) -> dict[str, Any]:
        """The values that a run may not change half-way."""
        return {name: value for name, value in self.to_dict().items() if name not in FREE}
