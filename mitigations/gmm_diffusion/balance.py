"""How often to ask for each cell so that the cells come out as wanted, though asking for one sometimes gives another.

Formula: with R[k, j] the share of images labelled j among those asked for as k, the mixture weights are

    pi = argmin over the simplex of ||R^T pi - u||^2 + ridge ||pi - u||^2,

a quadratic programme, with u = 1/K for equal shares. Weights of u itself are right only where nothing leaks: in the toy of methods.md, section 4, asking half the time for
a minority of .10 gives .458 of it, and parity needs .551.
Solver: on the simplex ||A pi - b||^2 = ||M pi||^2 with M = A - b 1^T, and the pi of min ||M v||^2 + (1^T v - 1)^2 over v >= 0 is v / sum(v):
for fixed pi the best length s of v = s pi leaves f / (1 + f), which grows with f = ||M pi||^2. So nonnegative least squares (Lawson and
Hanson 1974, an active-set method) solves it exactly.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.optimize import nnls

from audit.errors import SourceError, SpecError

RIDGE = 1e-3
"""Pull towards the shares wanted; keeps noise in R out of the weights where cells are hardly told apart."""


def leakage(asked: np.ndarray, said: np.ndarray, k: int) -> np.ndarray:
    """Return (K, K) counts of images asked for as the row's cell and labelled as the column's; unread images (-1) are left out."""
    read = said >= 0
    counts = np.zeros((k, k))
    np.add.at(counts, (asked[read], said[read]), 1)
    return counts


def mixing_weights(leaks: np.ndarray, target: np.ndarray, *, ridge: float = RIDGE) -> np.ndarray:
    """Return (K,) shares to ask for.

    Args:
        leaks: (K, K) counts or shares; row k is what came of asking for cell k. Rows of cells that are not wanted may be empty.
        target: (K,) shares wanted.
        ridge: weight of the pull towards ``target``, >= 0.

    Raises:
        SourceError: a wanted cell without a single labelled image in its row.

    Example:
        >>> mixing_weights(np.array([[0.96, 0.04], [0.125, 0.875]]), np.array([0.5, 0.5]), ridge=0).round(3).tolist()
        [0.449, 0.551]
    """
    wanted = np.flatnonzero(target > 0)
    total = leaks.sum(axis=1)
    if not (total[wanted] > 0).all():
        raise SourceError(f"no image asked for as cell {wanted[np.argmin(total[wanted])]} could be labelled; expected some of every cell")
    r = leaks[wanted] / total[wanted, None]
    a = np.concatenate([r.T, np.sqrt(ridge) * np.eye(len(wanted))])
    b = np.concatenate([target, np.sqrt(ridge) * target[wanted]])
    v, _ = nnls(np.concatenate([a - b[:, None], np.ones((1, len(wanted)))]), np.append(np.zeros(len(b)), 1.0))
    weights = np.zeros(len(target))
    weights[wanted] = v / v.sum()
    return weights


def expected_shares(leaks: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return (K,) shares that asking with ``weights`` gives, R^T pi."""
    asked = weights > 0
    return (leaks[asked] / leaks[asked].sum(axis=1, keepdims=True)).T @ weights[asked]


def target_shares(target: str | Mapping[str, float], cells: Sequence[str], method: str) -> np.ndarray:
    """Return (K,) shares of a target: "uniform", or a share for each cell.

    Raises:
        SpecError: other cells, or shares that do not add up to 1.
    """
    if target == "uniform":
        return np.full(len(cells), 1 / len(cells))
    if not isinstance(target, Mapping) or set(target) != set(cells):
        raise SpecError(f"sampler {method}: target is {target!r}; expected 'uniform', or a share for each of {', '.join(cells)}")
    shares = np.array([float(target[c]) for c in cells])
    if not (shares >= 0).all() or abs(shares.sum() - 1) > 1e-6:
        raise SpecError(f"sampler {method}: the shares of target add up to {shares.sum():g}; expected shares of 0 or more that add up to 1")
    return shares
