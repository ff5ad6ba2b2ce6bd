"""``genbias mitigate reject SPEC``: the yardstick of every mitigation, as a spec that audits it beside its baseline."""

from pathlib import Path

import click


@click.command("reject")
@click.argument("spec")
@click.option("--generator", help="Which generator of SPEC; needed when several could be meant.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/reject"), show_default=True, help="spec.yaml goes here.")
@click.option("--attribute", default="gender*skin_tone", show_default=True, help="Whose shares should match.")
@click.option("--classifier", default="portraits_b", show_default=True, help="What accepts images; not the one that judges.")
@click.option("--pool", type=click.IntRange(min=1), default=10_000, show_default=True, help="Images labelled to learn the shares.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the pool.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:0.")
def command(spec: str, generator: str | None, out: Path, attribute: str, classifier: str, pool: int, seed: int, device: str) -> None:
    """Draw a generator of SPEC again and again until every group of an attribute comes equally often.

    Needs no training; an image costs as many draws as the rarest group is rarer than asked for.
    """
    from audit.audits import choose_device
    from mitigations.reject import sampler
    from mitigations.writing import load_for, open_baseline, say_next, write_spec

    loaded, baseline = load_for(spec, generator)
    options = {"attribute": attribute, "classifier": classifier, "pool": pool, "seed": seed}
    if loaded.assets:
        options["assets"] = loaded.assets
    made = sampler(open_baseline(loaded, baseline, choose_device(device)), **options)  # labels the pool, which is kept
    path = write_spec(
        spec, loaded, baseline, f"{baseline}_reject", {"sampler": {"method": "reject", **options}, "title": "Rejection sampling"}, out
    )
    click.echo(f"an image will take {made.calls_per_image:.2f} draws on average", err=True)
    say_next(path)
