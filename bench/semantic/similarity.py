"""How near values are to those that decoding gives, by the measure of their kind. 1, or an error of 0, where equal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nbmf.extras import require


def of_vectors(pairs: Sequence[tuple[Any, Any]]) -> dict[str, float]:
    """Cosines: mean, 5th percentile and least. A vector of zeros has 1 with itself, else 0."""
    cosines = [_cosine(np.asarray(a, np.float64), np.asarray(b, np.float64)) for a, b in pairs]
    return {
        "cosine_mean": float(np.mean(cosines)),
        "cosine_p5": float(np.percentile(cosines, 5)),
        "cosine_min": min(cosines),
    }


def _cosine(a: Any, b: Any) -> float:
    if np.array_equal(a, b, equal_nan=True):
        return 1.0
    with np.errstate(all="ignore"):
        cosine = float(a @ b / np.sqrt((a @ a) * (b @ b)))
    return cosine if np.isfinite(cosine) else 0.0


def of_text(pairs: Sequence[tuple[str, str]]) -> dict[str, float]:
    """BLEU (of sentences) and ROUGE-L (F1), 0 to 1, in the mean. Raises MissingExtra if a text differs and sacrebleu or
    rouge-score, which are needed only then, are not installed."""
    differing = [(given, found) for given, found in pairs if given != found]
    if not differing:
        return {"bleu": 1.0, "rouge_l": 1.0}
    require("comparing text that differs", "sacrebleu", "rouge_score")
    import sacrebleu
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"])
    equal = len(pairs) - len(differing)
    bleu = sum(sacrebleu.sentence_bleu(found, [given]).score / 100 for given, found in differing)
    rouge_l = sum(scorer.score(given, found)["rougeL"].fmeasure for given, found in differing)
    return {"bleu": (equal + bleu) / len(pairs), "rouge_l": (equal + rouge_l) / len(pairs)}


def of_numbers(pairs: Sequence[tuple[Any, Any]]) -> dict[str, float]:
    """Relative errors: mean and largest; infinite where another number stands for 0."""
    errors = [0.0 if repr(a) == repr(b) else _relative_error(float(a), float(b)) for a, b in pairs]
    return {"relative_error_mean": float(np.mean(errors)), "relative_error_max": max(errors)}


def _relative_error(a: float, b: float) -> float:
    if a == b:
        return 0.0
    return abs(b - a) / abs(a) if a else float("inf")
