"""Crystal structure prediction: crystals made for the compositions of the test split."""

from __future__ import annotations

import numpy as np

from flowllm.errors import InputError
from flowllm.evaluation.metric import SHARE, Metric
from flowllm.evaluation.stages.base import StageResult, Work
from flowllm.metrics.prediction import score_predictions, targets_from_ids

UNSEEN = "match rate, 1 try, without test crystals that match a training crystal"
PUBLISHED = (
    "published on MP-20-ps, another split, which keeps the polymorphs of a composition together: "
    "MaskGXT 79.06 %, OMatG-flash-RAM 71.10 %, Crystalite 70.87 %; a split of that kind is written "
    "by `python -m recipes.polymorph_split`"
)


def prediction(work: Work) -> StageResult:
    """Match rate and RMSE for one and all tries, METRe and cRMSE.

    Raises:
        InputError: the test split is not at hand, or ids name no test crystals.
    """
    truth = work.reference.crystals("test", work.workers)
    if truth is None:
        raise InputError(
            f"the prediction of structures needs the test split of {work.reference.name} itself "
            "(set FLOWLLM_DATA_DIR)"
        )
    of_rows, attempts = targets_from_ids(work.inputs.ids, truth.ids)
    asked = np.unique(of_rows)  # an unreadable input is a try that failed
    target = of_rows[work.inputs.position >= 0]
    some = truth[asked]
    result = score_predictions(
        work.crystals, some, np.searchsorted(asked, target), work.settings.prediction,
        attempt=attempts[work.inputs.position >= 0],
        executor=work.executor, workers=work.workers or 1, progress=work.report,
    )  # fmt: skip
    tries = int(attempts.max(initial=0)) + 1
    metrics = []
    for k in sorted({1, tries}):
        best, name = result.best_of(k), f"{k} {'try' if k == 1 else 'tries'}"
        metrics += [
            Metric.of(f"match rate, {name}, all pairs", best.match_rate, SHARE),
            Metric.of(f"match rate, {name}, valid pairs only", best.match_rate_valid_pairs, SHARE),
            Metric.of(f"RMSE, {name}", best.rmse),
            Metric.of(f"RMSE, {name}, valid pairs only", best.rmse_valid_pairs),
        ]
    seen = work.reference.is_in_training(some.ids)
    if seen is not None and not seen.all():
        matched = ~np.isnan(result.best_of(1).rms)
        metrics.append(Metric.rate(UNSEEN, matched[~seen], note=f"{seen.sum()} left out"))
    metrics += [
        Metric.of("METRe, 1 try", result.first.metre, SHARE),
        Metric.of("cRMSE, 1 try", result.first.crmse),
    ]
    if tries > 1:
        metrics += [
            Metric.of(f"METRe, {tries} tries", result.everyone.metre, SHARE),
            Metric.of(f"cRMSE, {tries} tries", result.everyone.crmse),
        ]
    s = work.settings.prediction
    protocol = {
        "matcher": f"StructureMatcher, stol {s.stol:g}, angle_tol {s.angle_tol:g}°, "
        f"ltol {s.ltol:g}; RMS over (V/n)^(1/3)",
        "test structures": f"{len(some)} of {work.reference.describe('test')}: those that the ids "
        "name",
        "METRe": "each test structure with its best prediction of equal composition; cRMSE counts "
        f"{s.stol:g} where nothing matches (Martirossyan et al., 2025)",
    }
    if work.reference.name.startswith("MP-20"):
        protocol["METRe elsewhere"] = PUBLISHED
    columns = {
        "matched": (~np.isnan(result.rms)).tolist(),
        "rms": result.rms.tolist(),
    }
    return StageResult(columns, metrics, protocol)
