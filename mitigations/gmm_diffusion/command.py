"""``genbias mitigate gmm-diffusion SPEC``: fit the mixtures of a spec's generator, and a spec that audits it."""

from pathlib import Path
from typing import Any

import click


@click.command("gmm-diffusion")
@click.argument("spec")
@click.option("--generator", help="Which generator of SPEC; needed when several could be meant.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/gmm"), show_default=True, help="fit.npz and spec.yaml go here.")
@click.option("--attribute", default="gender*skin_tone", show_default=True, help="Whose groups should come equally often.")
@click.option(
    "--tap",
    type=click.Choice(["x_T", "x_t", "h"]),
    default="x_t",
    show_default=True,
    help="Starting noise, state on the way, or UNet middle.",
)
@click.option("--start", type=click.IntRange(min=0), help="Sampling step of the tap.  [default: 5]")
@click.option("--stop", type=click.IntRange(min=1), help="With --tap h, the step at which the shift ends.  [default: 12]")
@click.option("--pool", type=click.IntRange(min=2), help="Images labelled at least.  [default: 6000]")
@click.option("--budget", type=click.IntRange(min=2), help="Images labelled at most, for groups that are rare.  [default: 40000]")
@click.option("--tau", type=float, help="Factor on the spread of the mixtures; below 1 gives up variety.  [default: 1]")
@click.option("--classifier", default="portraits_b", show_default=True, help="What labels images; not the one that judges.")
@click.option("--verifier", help="What labels the verification draws.  [default: the classifier]")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the pool.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:0.")
def command(spec: str, generator: str | None, out: Path, device: str, **given: Any) -> None:
    """Draw a diffusion of SPEC from Gaussian mixtures of its labelled latents, so that every group comes equally often.

    Nothing is trained again. The labelled pool is kept in OUT/pool: the same command continues an interrupted one.
    """
    from audit.audits import choose_device
    from mitigations.gmm_diffusion.fit import load_fit
    from mitigations.gmm_diffusion.making import make_fit
    from mitigations.gmm_diffusion.settings import settings_of
    from mitigations.writing import load_for, open_baseline, say_next, write_spec

    settings = settings_of({k: v for k, v in given.items() if v is not None})
    loaded, baseline = load_for(spec, generator, ("diffusion",) if settings.tap != "x_T" else None)
    source, path = open_baseline(loaded, baseline, choose_device(device)), out / "fit.npz"
    known = load_fit(path) if path.is_file() else None
    if known is None or (known.source_digest, known.settings) != (source.digest, settings):
        known = make_fit(source, settings, out / "pool", assets=(loaded.assets,) if loaded.assets else ())
        known.save(path)
    for fact in known.report["facts"]:
        if fact["name"].startswith(("share after", "distance")):
            click.echo(f"{fact['name']}: {fact['value']}", err=True)
    changes = {"sampler": {"method": "gmm", "fit": str(path)}, "title": known.report["title"]}
    say_next(write_spec(spec, loaded, baseline, f"{baseline}_gmm", changes, out))
