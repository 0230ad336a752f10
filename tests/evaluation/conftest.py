"""A reference of a few real crystals, and a folder of inputs whose faults are known."""

from __future__ import annotations

import numpy as np
import pytest

from flowllm.crystals.batch import CrystalBatch
from flowllm.evaluation.build import build_reference
from flowllm.evaluation.settings import EvaluateSettings
from flowllm.relax import RelaxSettings

# sound crystals pass at once by this, a badly distorted one does not within two steps
FAST = EvaluateSettings(relaxation=RelaxSettings(fmax=1.0, steps=2), hull="mp_20")


@pytest.fixture(scope="session")
def fast():
    """Settings by which tests relax in seconds."""
    return FAST


@pytest.fixture(scope="session")
def reference_folder(prepared, tmp_path_factory):
    """What `flowllm reference` makes of 60 real crystals."""
    folder = tmp_path_factory.mktemp("reference") / "tiny"
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("FLOWLLM_DATA_DIR", raising=False)  # no hull of its own
        build_reference(prepared, folder, "tiny", workers=1)
    return folder


@pytest.fixture(scope="session")
def parts(prepared):
    """Training and test crystals of that reference."""
    from flowllm.data import load_dataset

    return {split: load_dataset(prepared, split).crystals for split in ("train", "test")}


@pytest.fixture(scope="session")
def known_faults(parts, tmp_path_factory):
    """A folder of CIF files, one of each kind, and what each of them is."""
    folder = tmp_path_factory.mktemp("faults") / "cifs"
    folder.mkdir()
    train, test = parts["train"], parts["test"]
    good = test[0]
    distorted = train[int(train.num_atoms.argmax())]
    rng = np.random.default_rng(0)
    shaken = distorted.frac_coords + 0.07 * rng.standard_normal(distorted.frac_coords.shape)
    on_top = good.replace(
        frac_coords=np.tile(good.frac_coords[:1], (int(good.num_atoms[0]), 1)),
    )
    thin = CrystalBatch([11], [[0, 0, 0]], [[0.4, 6, 6]], [[90, 90, 90]], [1], ["x"])
    uncharged = CrystalBatch(
        [11, 9, 9, 9], [[0, 0, 0], [0.5, 0, 0], [0, 0.5, 0], [0, 0, 0.5]], [[5, 5, 5]],
        [[90, 90, 90]], [4], ["x"],
    )  # fmt: skip
    kinds = {
        "good": good,
        "twin": good,
        "training": train[0],
        "on-top": on_top,
        "thin": thin,
        "uncharged": uncharged,
        "restless": distorted.replace(frac_coords=shaken),
    }
    for name, crystal in kinds.items():
        (folder / f"{name}.cif").write_text(crystal.replace(ids=["x"]).to_cif()[0])
    (folder / "garbage.cif").write_text("this is not a CIF\n")
    (folder / "empty.cif").write_text("")
    return folder
