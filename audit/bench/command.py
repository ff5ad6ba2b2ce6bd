"""``genbias bench``: how much the harness adds to the networks, and how its metrics compare with those of other packages, here."""

import json
from typing import Any

import click


@click.command("bench")
@click.option("--stages", is_flag=True, help="Each stage of a pass against its network alone, and the whole pass over the sum.")
@click.option("--metrics", is_flag=True, help="Frechet distance, KID and neighbour metrics beside clean-fid, torch-fidelity and prdc.")
@click.option("--script", is_flag=True, help="A full audit against the usual script of PNG files and one package a metric.")
@click.option("--growth", is_flag=True, help="Cost against the number of images, up to 100,000.")
@click.option("--chain", is_flag=True, help="Images a second on one device, with CUDA events on a GPU, and the share of the bound.")
@click.option("--quick", is_flag=True, help="Small sizes: a minute or two, and rough.")
@click.option("--images", type=click.IntRange(min=64), help="Images: a source for --stages, in all for --script, a set for --metrics.")
@click.option("--device", default="auto", show_default=True, help="For --chain and --stages: auto, cpu, cuda or cuda:0.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
def bench(stages: bool, metrics: bool, script: bool, growth: bool, chain: bool, quick: bool, images: int | None, device: str, as_json: bool) -> None:
    """Measure speed and memory on this machine. Without a choice: --stages and --metrics.

    Ratios are of processor time on one thread, taken in turn in one process. The full sizes of --metrics (10,000 x 10,000 images of 2,048
    numbers) take minutes and 4 GB.
    """
    from audit.audits import choose_device
    from audit.bench import tables
    from audit.spec import load_spec

    if not any((stages, metrics, script, growth, chain)):
        stages = metrics = True
    found: dict[str, Any] = {}
    said: list[str] = []
    if stages:
        from audit.bench.stages import stage_rows

        spec = load_spec("embedded", {"samples": images or (64 if quick else 512)})
        found["stages"] = stage_rows(spec, generators=("training_data", "stylegan2") if quick else None, device=choose_device(device))
        said.append(tables.stages(found["stages"]))
    if metrics:
        from audit.bench.rivals import hold_against_rivals

        n, d, repeats = (1_000, 256, 3) if quick else (10_000, 2_048, 1)
        found["metrics"] = hold_against_rivals(images or n, d, repeats=repeats)
        said.append(tables.metrics(found["metrics"]))
    if script:
        from audit.bench.script import against_a_script

        found["script"] = against_a_script(images or (200 if quick else 1_000))
        said.append(tables.script(found["script"]))
    if growth:
        from audit.bench.growth import SIZES, growth_rows

        found["growth"] = growth_rows(SIZES[:3] if quick else SIZES)
        said.append(tables.growth(found["growth"]))
    if chain:
        from audit.bench.chain import chain_rows

        chosen = choose_device(device)
        size = {"batch": 64, "batches": 2} if quick or chosen == "cpu" else {}
        found["chain"] = chain_rows(load_spec("embedded"), generator="stylegan2", device=chosen, **size)
        said.append(tables.chain(found["chain"]))
    click.echo(json.dumps(found, indent=1) if as_json else "\n\n".join(said))
