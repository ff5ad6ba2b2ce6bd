"""Checkpoints of facebookresearch's pytorch_GAN_zoo: networks beside a configuration object, read without its code.

The file is a dictionary of "netG" (the generator), "avgG" (its running average over training, which the zoo advises to use),
"netD" and "config", an object without code whose attributes describe the network.
"""

from pathlib import Path
from typing import Any

from audit.errors import ManifestError
from audit.generators.state_dicts import read_checkpoint

BaseConfig = type("BaseConfig", (), {"__module__": "models.utils.config", "__doc__": "The zoo's configuration: attributes only."})
"""Stands for the class of that name in the zoo, so that the reader of tensors accepts it."""

NETWORKS = ("avgG", "netG")

LINEAR_LOSSES = ("WGANGP", "WGANGP2", "Logistic")
"""Losses whose generators end without an activation; those of the others ("DCGAN", "MSE") end with tanh."""


def network_of(path: str | Path, *, network: str | None = None) -> tuple[Any, dict[str, Any]]:
    """Return the generator's part of a checkpoint and its configuration; the whole content and {} where it is no zoo checkpoint.

    Args:
        path: the file.
        network: "avgG" or "netG"; None = the first that is there.

    Raises:
        ManifestError: not readable, or without the network asked for.
    """
    content = read_checkpoint(path, known=[BaseConfig])
    if not isinstance(content, dict) or not set(content) & {*NETWORKS, "netD"}:
        return content, {}
    wanted = NETWORKS if network is None else (network,)
    found = [n for n in wanted if n in content]
    if not found:
        raise ManifestError(f"{path} holds {', '.join(map(str, content))}; expected {' or '.join(wanted)}, the generator")
    config = content.get("config")
    return content[found[0]], dict(config) if isinstance(config, dict) else dict(vars(config)) if config is not None else {}
