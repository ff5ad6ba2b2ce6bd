"""``genbias mitigate magnet SPEC``: compute the bank of a generator, and write the spec that audits it."""

from pathlib import Path

import click


@click.command("magnet")
@click.argument("spec")
@click.option("--generator", help="Generator of SPEC to mitigate; default: its only baseline.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for bank.npz and spec.yaml; default runs/NAME-magnet.")
@click.option("--latents", type=click.IntRange(min=2), default=4096, show_default=True, help="Latents in the bank.")
@click.option("--top-k", type=click.IntRange(1, 32), default=10, show_default=True, help="Singular values in the volume.")
@click.option("--rho", type=float, default=1.0, show_default=True, help="0: base distribution, 1: MaGNET, negative: towards modes.")
@click.option("--share", type=click.FloatRange(0, 1), default=1.0, show_default=True, help="Share of images drawn by volume.")
@click.option("--prior", type=click.Choice(["keep", "divide"]), default="keep", show_default=True,
              help="divide: divide a normal prior out, for generators that do not normalise z (DCGAN, VAE).")  # fmt: skip
@click.option("--projection", type=click.IntRange(min=1), default=128, show_default=True, help="Rows of the random projection.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the bank's latents.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:0.")
@click.option("--workers", type=int, metavar="N", help="Processes that compute, one a GPU where there are several.")
@click.option("--engine", type=click.Choice(["local", "ray"]), default="local", show_default=True, help="Where the workers are.")
@click.option("--address", metavar="HOST:PORT", help="Of a running Ray cluster, or auto; default: Ray on this machine.  [--engine ray]")
@click.option("--timing", is_flag=True, help="Only measure: seconds a latent, against torch.autograd.functional.jacobian and SVD.")
def command(spec: str, generator: str | None, out: Path | None, latents: int, top_k: int, rho: float, share: float, prior: str,
            projection: int, seed: int, device: str, workers: int | None, engine: str, address: str | None, timing: bool) -> None:  # fmt: skip
    """Draw a generator of SPEC evenly over the volume of its images: MaGNET, no labels and no training.

    Singular values of the generator's Jacobian are computed for --latents latents and kept in OUT/bank.npz; the same
    command again continues an interrupted computation, and one with more latents extends it. Truncation and noise are
    those of the generator in SPEC.
    """
    from audit.audits import choose_device
    from audit.engines import Choice
    from audit.engines.allocator import keep_freed_blocks
    from mitigations.magnet.bank import Workers, compute_bank
    from mitigations.magnet.sampler import sampler
    from mitigations.writing import load_for, open_baseline, say_next, write_spec

    keep_freed_blocks()
    choice = Choice(engine, workers, address)
    loaded, name = load_for(spec, generator)
    source = open_baseline(loaded, name, choose_device(device))
    if timing:
        import numpy as np

        from audit.seeds import image_seeds
        from mitigations.magnet.timing import compare_throughput, in_words
        from mitigations.magnet.volumes import scale_invariant

        z = source.latents(image_seeds(seed, np.arange(min(latents, 4)), stream="magnet"))
        invariant = scale_invariant(source.module, z, call=source.call)
        click.echo(in_words(compare_throughput(source.module, z, call=source.call, projection=projection, normalise_z=invariant)))
        return
    out = out or Path("runs") / f"{loaded.name}-magnet"
    path = out / "bank.npz"
    compute_bank(source, path, latents=latents, seed=seed, projection=projection, workers=Workers(choice, loaded, name))
    options = {"latents": latents, "top_k": top_k, "rho": rho, "share": share, "prior": prior}
    made = sampler(source, bank=str(path), **options)
    for fact in made.method["facts"]:
        click.echo(f"{fact['name']}: {fact['value']} {fact['unit']}".rstrip(), err=True)
    say_next(write_spec(spec, loaded, name, "magnet", {"sampler": {"method": "magnet", "bank": str(path), **options}}, out))
