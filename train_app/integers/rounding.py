"""Rounding of a product's weights that looks at what goes into the product, not at the weights alone.

GPTQ (Frantar et al. 2022, arXiv:2210.17323): column after column, and what rounding one does to the outputs is made
good by those not yet rounded.

Shape suffixes: N inputs, O rows of the weights (outputs), K columns, B of them in a block.
"""

import numpy as np
from numpy.typing import NDArray

from nbmf._core import INT8_LIMIT

DAMPING = 0.01  # of the mean square of inputs, added to each: columns hardly ever used are rounded by themselves
_BLOCK = 64  # columns between two updates of all that are left


def round_rows(
    weight_OK: NDArray[np.float64], moments_KK: NDArray[np.float64]
) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """int8 [O, K] and the float that one step is worth in each row, for least squares of the outputs' errors.

    `moments_KK`: sums of products of inputs, as rounded, in their own steps. They may be of any rank.
    """
    damping = max(DAMPING * float(np.diag(moments_KK).mean()), 1e-12)
    damped_KK = moments_KK + damping * np.eye(len(moments_KK))
    order_K = np.argsort(-np.diag(damped_KK), kind="stable")
    back_K = np.argsort(order_K, kind="stable")
    inverse_KK = np.linalg.inv(damped_KK[np.ix_(order_K, order_K)])
    feedback_KK = np.linalg.cholesky((inverse_KK + inverse_KK.T) / 2).T.astype(np.float64)
    step_O = np.maximum(np.abs(weight_OK).max(axis=1), 1e-12) / INT8_LIMIT
    rounded_OK = _with_feedback(weight_OK[:, order_K] / step_O[:, None], feedback_KK)[:, back_K]
    return np.ascontiguousarray(rounded_OK, dtype=np.int8), step_O


def _with_feedback(weight_OK: NDArray[np.float64], feedback_KK: NDArray[np.float64]) -> NDArray[np.float64]:
    """Whole numbers; `feedback_KK` is the upper Cholesky factor of the inverse of the moments."""
    left_KO = np.ascontiguousarray(weight_OK.T)
    for begin in range(0, len(left_KO), _BLOCK):
        end = min(begin + _BLOCK, len(left_KO))
        error_BO = np.zeros((end - begin, left_KO.shape[1]))
        for column in range(begin, end):
            exact_O = left_KO[column].copy()
            left_KO[column] = np.clip(np.rint(exact_O), -INT8_LIMIT, INT8_LIMIT)
            error_O = (exact_O - left_KO[column]) / feedback_KK[column, column]
            error_BO[column - begin] = error_O
            left_KO[column + 1 : end] -= feedback_KK[column, column + 1 : end, None] * error_O
        left_KO[end:] -= feedback_KK[begin:end, end:].T @ error_BO
    return left_KO.T
