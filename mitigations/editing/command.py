"""``genbias mitigate editing SPEC``: fit the edits of a spec's StyleGAN2, and write the spec that compares them."""

from pathlib import Path

import click

STRENGTHS = (-2, -1, 1, 2)
"""Strengths in the spec that is written."""


@click.command("editing")
@click.argument("spec")
@click.option("--generator", help="Generator of SPEC to edit; default: its only baseline.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("runs/editing-fit"), show_default=True, help="fit.npz and spec.yaml go here."
)
@click.option("--attribute", "attributes", multiple=True, help="What can be edited; may be repeated.  [default: smile, age, gender]")
@click.option("--classifier", default="portraits_b", show_default=True, help="What scores images; not the one that judges.")
@click.option("--codes", type=click.IntRange(min=8), help="Codes drawn and scored.  [default: 4000]")
@click.option("--steps", type=click.IntRange(min=0), help="Training steps of each learned edit; 0 = none.  [default: 1500]")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of everything drawn.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:0.")
@click.option("--install", is_flag=True, help="Replace the shipped fit, portraits/GENERATOR_editing, with the one just made.")
def command(spec: str, generator: str | None, out: Path, attributes: tuple[str, ...], classifier: str, codes: int | None, steps: int | None,
            seed: int, device: str, install: bool) -> None:  # fmt: skip
    """Fit hyperplanes, components and learned moves that edit the people a StyleGAN2 of SPEC draws.

    Nothing is trained again. OUT/spec.yaml compares the edits with one another; `genbias run editing` does so for the built-in generators.
    """
    from audit.audits import choose_device
    from audit.engines.allocator import keep_freed_blocks
    from audit.portraits.models import FOLDER
    from mitigations.editing.codes import mapped_source
    from mitigations.editing.fits import make_fit, settings_of
    from mitigations.editing.rating import Rater
    from mitigations.writing import load_for, open_baseline, say_next, write_spec

    keep_freed_blocks()
    given = {"attributes": attributes or None, "classifier": classifier, "codes": codes, "steps": steps, "seed": seed}
    settings = settings_of({k: v for k, v in given.items() if v is not None})
    loaded, name = load_for(spec, generator)
    source = mapped_source(open_baseline(loaded, name, choose_device(device)))
    fit = make_fit(source, Rater(classifier, device=source.device, assets=(loaded.assets,) if loaded.assets else ()), settings)
    path = out / "fit.npz"
    fit.save(path)
    for by, lines in fit.lines.items():
        for attribute, line in lines.items():
            click.echo(f"{by}, {attribute}: {line.note}", err=True)
    click.echo(f"fitted in {fit.seconds:.0f} s", err=True)
    if install:
        fit.save(FOLDER / f"{name}_editing.npz")
    changes = {"sweep": {"by": [by for by, lines in fit.lines.items() if lines], "attribute": list(settings.attributes), "strength": list(STRENGTHS)},
               "name": "{by}_{attribute}_{strength}",
               "sampler": {"method": "edit", "by": "{by}", "attribute": "{attribute}", "strength": "{strength}", "fit": str(path)}}  # fmt: skip
    say_next(write_spec(spec, loaded.model_copy(update={"study": {"kind": "editing"}}), name, "edited", changes, out))
