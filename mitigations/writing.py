"""The spec a mitigation leaves behind: the one it was given, and the mitigated generator beside its baseline."""

from pathlib import Path
from typing import Any

import click
import yaml

from audit.errors import SpecError
from audit.sources import open_source
from audit.sources.latent import LatentSource
from audit.spec import Spec, load_spec
from mitigations.base import latent_source


def baseline_of(spec: Spec, generator: str | None, families: tuple[str, ...] | None = None) -> str:
    """Return the generator to mitigate: the one named, or the only baseline of the right family.

    Raises:
        SpecError: it is not there, of another family, or several could be meant.
    """
    fits = [n for n, g in spec.generators.items() if g.sampler is None and (families is None or g.source in families)]
    if generator is None:
        fits = [n for n in fits if spec.generators[n].baseline] or fits
        if len(fits) != 1:
            raise SpecError(f"{len(fits)} generators could be meant ({', '.join(fits) or 'none'}); say which with --generator NAME")
        return fits[0]
    if generator not in spec.generators:
        raise SpecError(f"there is no generator {generator!r}; the spec has {', '.join(spec.generators)}")
    if generator not in fits:
        wanted = " or ".join(families) if families else "one without a sampler"
        raise SpecError(f"generator {generator!r} is drawn from {spec.generators[generator].source!r}; this method needs {wanted}")
    return generator


def open_baseline(spec: Spec, name: str, device: str) -> LatentSource:
    """Return the source of generator ``name``, which must be drawn from latents."""
    assets = (spec.assets,) if spec.assets else ()
    return latent_source(open_source(name, spec.generators[name], device=device, assets=assets), "this mitigation")


def write_spec(given: str, spec: Spec, baseline: str, name: str, changes: dict[str, Any], out: Path) -> Path:
    """Write ``out/spec.yaml``: baseline and mitigated generator with everything else of the given spec.

    Args:
        given: how the user named the spec.
        spec: the loaded spec.
        baseline: generator that was mitigated.
        name: what the mitigated one is called.
        changes: keys of its entry that differ from the baseline's, e.g. ``{"sampler": {...}}``.
        out: folder.
    """
    whole = spec.model_dump(mode="json", exclude_defaults=True)
    before = dict(whole["generators"][baseline])
    entry = {k: v for k, v in before.items() if k not in ("baseline", "title", "compare_to")} | {"compare_to": baseline} | changes
    whole |= {"name": f"{spec.name}-{name}", "generators": {baseline: {**before, "baseline": True}, name: entry}}
    whole["limits"] = [limit for limit in whole.get("limits", []) if limit.get("generator") in (None, baseline, name)]
    out.mkdir(parents=True, exist_ok=True)
    path, temporary = out / "spec.yaml", out / "spec.yaml.tmp"
    temporary.write_text(f"# {name} beside its baseline; made from {given}\n" + yaml.safe_dump(whole, sort_keys=False), encoding="utf-8")
    temporary.replace(path)
    return path


def load_for(spec: str, generator: str | None, families: tuple[str, ...] | None = None) -> tuple[Spec, str]:
    """Return the loaded spec and the name of the generator to mitigate."""
    loaded = load_spec(spec)
    return loaded, baseline_of(loaded, generator, families)


def say_next(path: Path) -> None:
    """Tell the user what to type next."""
    click.echo(f"genbias run {path}")
