"""Populations of the built-in world: a joint table of attributes, from which the truth of every portrait is drawn."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from audit.attributes import AGE, GENDER, SKIN_TONE, SMILE
from audit.errors import SourceError
from audit.seeds import uniforms

MONK_OF_GROUP = {"light": (1, 2, 3), "medium": (4, 5, 6), "dark": (7, 8, 9, 10)}
"""Monk tones in each reported group."""

YEARS_OF_GROUP = {"young": (18.0, 32.0), "middle": (40.0, 54.0), "old": (64.0, 86.0)}
"""Years drawn within each age group. The gaps are deliberate: a group must be readable from the image alone."""

ORDER = (GENDER, SKIN_TONE, AGE, SMILE)
"""Axes of a population's table, in this order."""


@dataclass(frozen=True)
class Population:
    """A joint distribution of gender presentation, skin tone group, age group and smile.

    Attributes:
        name: what specs call it.
        table: (2, 3, 3, 2) probabilities that sum to 1, axes as in :data:`ORDER`.
    """

    name: str
    table: np.ndarray

    def shares(self, attribute: str) -> np.ndarray:
        """Return the true class shares of one attribute, or of an intersection, as a flat array."""
        names = [a.name for a in ORDER]
        keep = [names.index(p) for p in attribute.split("*")]
        joint = self.table.sum(axis=tuple(i for i in range(len(ORDER)) if i not in keep))
        order = np.argsort(np.argsort(keep))  # marginal axes come sorted; put them in the order asked for
        return joint.transpose(order).reshape(-1)

    def sample(self, n: int, *, rng: np.random.Generator) -> pd.DataFrame:
        """Return the attributes of ``n`` portraits; see :meth:`for_seeds` for the columns."""
        return self.for_seeds(rng.integers(0, 2**63, size=n, dtype=np.uint64))

    def for_seeds(self, seeds: np.ndarray) -> pd.DataFrame:
        """Return the attributes of the portraits with these seeds; a row depends on its seed alone.

        Returns:
            A frame with ``gender``, ``skin_tone``, ``age``, ``smile`` (class names) and, underneath them,
            ``monk`` (1..10) and ``years`` (float).
        """
        u = uniforms(seeds, "population", 3)
        edges = np.cumsum(self.table.reshape(-1))
        cell = np.minimum(np.searchsorted(edges, u[:, 0] * edges[-1], side="right"), edges.size - 1)
        index = np.unravel_index(cell, self.table.shape)
        frame = {a.name: np.array(a.classes)[i] for a, i in zip(ORDER, index, strict=True)}
        tones = [MONK_OF_GROUP[g] for g in SKIN_TONE.classes]
        spans = np.array([YEARS_OF_GROUP[g] for g in AGE.classes])[index[2]]
        frame["monk"] = np.array([tones[g][int(v * len(tones[g]))] for g, v in zip(index[1], u[:, 1], strict=True)],
                                 dtype=np.int64)  # fmt: skip
        frame["years"] = spans[:, 0] + u[:, 2] * (spans[:, 1] - spans[:, 0])
        return pd.DataFrame(frame)


def _celeb_like() -> np.ndarray:
    """Skewed and correlated the way the face sets of the papers are: younger and smiling among feminine faces."""
    gender = {"feminine": 0.62, "masculine": 0.38}
    tone = {"light": 0.70, "medium": 0.20, "dark": 0.10}
    age = {"feminine": (0.68, 0.25, 0.07), "masculine": (0.40, 0.41, 0.19)}
    smile = {"feminine": 0.56, "masculine": 0.38}
    table = np.zeros(tuple(a.k for a in ORDER))
    for i, g in enumerate(GENDER.classes):
        for j, t in enumerate(SKIN_TONE.classes):
            for k in range(AGE.k):
                # Darker tones are rarer among feminine faces, as in CelebA.
                lean = {"light": 1.0, "medium": 1.0, "dark": 0.8 if g == "feminine" else 1.33}[t]
                table[i, j, k, 1] = gender[g] * tone[t] * lean * age[g][k] * smile[g]
                table[i, j, k, 0] = gender[g] * tone[t] * lean * age[g][k] * (1 - smile[g])
    return table / table.sum()


def _professors() -> np.ndarray:
    """Heavily masculine and light, as the faculty pages of "Imperfect ImaGANation" were."""
    table = np.einsum("i,j,k,l->ijkl", (0.20, 0.80), (0.76, 0.17, 0.07), (0.15, 0.50, 0.35), (0.50, 0.50))
    return table / table.sum()


POPULATIONS = {
    "balanced": Population("balanced", np.full((2, 3, 3, 2), 1 / 36)),
    "celeb_like": Population("celeb_like", _celeb_like()),
    "professors": Population("professors", _professors()),
}


SHARED = "professors"
"""The population of the amplification study, whose feminine share can be set: ``professors:0.05``."""


def known_population(name: str | None) -> bool:
    """Return whether :func:`population` knows this name."""
    try:
        population(name or "")
    except SourceError:
        return False
    return True


def population(name: str) -> Population:
    """Return a named population; ``professors:0.05`` is "professors" with a feminine share of 0.05, all else as it is.

    Raises:
        SourceError: no population has this name, or the share is not between 0 and 1.

    Example:
        >>> population("balanced").shares("skin_tone").round(3).tolist()
        [0.333, 0.333, 0.333]
    """
    base, colon, share = name.partition(":")
    if colon and base == SHARED:
        return _with_feminine_share(name, share)
    if name not in POPULATIONS:
        raise SourceError(f"no population is called {name!r}; there are {', '.join(sorted(POPULATIONS))}")
    return POPULATIONS[name]


def _with_feminine_share(name: str, share: str) -> Population:
    try:
        p = float(share)
    except ValueError:
        p = -1.0
    if not 0 < p < 1:
        raise SourceError(f"population {name!r}: {share!r} is no share; expected a number between 0 and 1, e.g. {SHARED}:0.05")
    table = POPULATIONS[SHARED].table
    return Population(name, table / table.sum(axis=(1, 2, 3), keepdims=True) * np.array([p, 1 - p]).reshape(2, 1, 1, 1))
