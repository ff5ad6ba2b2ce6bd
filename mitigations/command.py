"""``genbias mitigate METHOD SPEC``: make the mitigated source of a spec's generator, and a spec that audits it."""

from importlib import import_module

import click

METHODS = {
    "self-conditioning": "mitigations.self_conditioning.command:command",
    "rebalancing": "mitigations.rebalancing.command:command",
    "magnet": "mitigations.magnet.command:command",
    "gmm-diffusion": "mitigations.gmm_diffusion.command:command",
    "reject": "mitigations.reject_command:command",
    "editing": "mitigations.editing.command:command",
}
"""Where each method's command lives; imported when it is called, so that help stays quick."""


class Methods(click.Group):
    """A group whose commands are imported only when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(METHODS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in METHODS:
            return None
        module, _, attribute = METHODS[name].partition(":")
        return getattr(import_module(module), attribute)


@click.group("mitigate", cls=Methods)
def mitigate_command() -> None:
    """Make the mitigated source of a generator in SPEC.

    Writes what the method needs to the folder given by --out, and OUT/spec.yaml, in which the mitigated generator stands
    beside its baseline: `genbias run OUT/spec.yaml` then audits both on the same ids. The same command again continues
    an interrupted one.
    """
