"""Training recipes: one YAML file pins everything that made a shipped model, and its log is kept beside the weights."""

import json
import time
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from audit.errors import SpecError


@dataclass(frozen=True)
class Recipe:
    """How one model is made.

    Attributes:
        name: the model's name under ``audit/portraits/models``.
        kind: which training loop: a key of :data:`mitigations.training.train.LOOPS`.
        population: training population of the built-in world, or what the images of ``options.images`` are called.
        seed: seed of the initial weights and of the training images.
        network: keyword arguments of the network.
        schedule: pairs of (image side, images to show at that size).
        options: the loop's own numbers (learning rate, batch, ...).
    """

    name: str
    kind: str
    population: str
    seed: int
    network: dict
    schedule: list[tuple[int, int]]
    options: dict

    def stage(self, images_seen: int) -> int:
        """Return the image side to train at."""
        start = 0
        for size, images in self.schedule:
            if images_seen < start + images:
                return size
            start += images
        return self.schedule[-1][0]


def load_recipe(name: str, changes: dict[str, Any] | None = None) -> Recipe:
    """Read a recipe by shipped name or by path.

    Args:
        name: which.
        changes: keys to set on top, with dots, e.g. ``{"options.images.path": "cifar/"}``.

    Raises:
        SpecError: there is no such recipe, it lacks a key, or a change does not fit it.
    """
    shipped = resources.files("mitigations.training") / "recipes" / f"{name}.yaml"
    path = Path(name) if name.endswith((".yaml", ".yml")) else Path(str(shipped))
    if not path.is_file():
        known = sorted(p.name[:-5] for p in (resources.files("mitigations.training") / "recipes").iterdir())
        raise SpecError(f"no recipe {name!r}; shipped recipes: {', '.join(known)}; or give the path of a YAML file")
    raw = yaml.safe_load(path.read_text())
    expected = {"name", "kind", "population", "seed", "network", "schedule", "options"}
    if not isinstance(raw, dict) or set(raw) != expected:
        found = sorted(raw) if isinstance(raw, dict) else type(raw).__name__
        raise SpecError(f"recipe {path} must have exactly the keys {sorted(expected)}; found {found}")
    for dotted, value in (changes or {}).items():
        *above, last = dotted.split(".")
        inner = raw
        for key in above:
            inner = inner.setdefault(key, {}) if isinstance(inner, dict) else None
        if not isinstance(inner, dict) or [*above, last][0] not in expected:
            raise SpecError(f"--set {dotted}: the recipe {raw['name']!r} has no such key; its keys are {', '.join(sorted(expected))}")
        inner[last] = value
    raw["schedule"] = [(int(size), int(images)) for size, images in raw["schedule"]]
    return Recipe(**raw)


class TrainingLog:
    """Appends JSON lines to ``log.jsonl``; what ships beside the weights."""

    def __init__(self, out: Path) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self.path, self.began = out / "log.jsonl", time.monotonic()

    def write(self, **values: float) -> None:
        """Append one line with the seconds since this process began."""
        row = {"seconds": round(time.monotonic() - self.began, 1)}
        row |= {k: round(v, 5) if isinstance(v, float) else v for k, v in values.items()}
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")
