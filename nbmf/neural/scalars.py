"""Types of single numbers in compiled functions: Python's or NumPy's."""

from typing import Any

import numpy as np

Whole = int | np.integer[Any]
Real = float | np.floating[Any]
