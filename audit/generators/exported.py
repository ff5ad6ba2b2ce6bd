"""Generators exported with torch.export (.pt2): opened only when somebody vouches for the file by its sha256.

Such a file is a program: its graph names functions by their path, and torch reads the constants beside it with the pickle reader
that can run code (``weights_only=False`` in torch 2.15). There is no reading it safely, so it is trusted by name or not at all.
"""

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from audit.errors import ManifestError
from audit.generators.onnx_generator import in_portions, latent_shape
from audit.manifests import checksum


class ExportedGenerator(nn.Module):
    """z (n, z_dim) -> (n, 3, h, w), nominal range -1..1.

    Args:
        path: the .pt2 file, written by ``torch.export.save``; it takes one latent, (n, z) or (n, z, 1, 1).
        sha256: its checksum, 64 hex digits, from a source that is trusted.
        z: width of the latent; None = as the program states it.
        span: lowest and highest value of the images.
        device: where it runs.

    Raises:
        ManifestError: the file is missing, is not the one that was vouched for, cannot be opened, or takes something else.
    """

    def __init__(self, path: str | Path, sha256: str | None, z: int | None = None, *, span: tuple[float, float] = (-1.0, 1.0),
                 device: str | torch.device = "cpu") -> None:  # fmt: skip
        super().__init__()
        path = Path(path)
        if not path.is_file():
            raise ManifestError(f"no generator at {path}; expected a file of torch.export (.pt2)")
        got = checksum(path)
        if sha256 is None:
            raise ManifestError(f"{path} is a torch.export file, which is a program, and nobody vouches for it; if you trust where it "
                                f"comes from, state sha256: {got}")  # fmt: skip
        if got != sha256:
            raise ManifestError(f"{path} is not the file that was vouched for: expected sha256 {sha256}, got {got}; refused")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                program = torch.export.load(path)
        except Exception as problem:  # a damaged archive fails in many ways; each means the same to the user
            reason = " ".join(str(problem).split())[:160] or type(problem).__name__
            raise ManifestError(f"{path} cannot be opened as a torch.export file ({reason})") from None
        names = list(program.graph_signature.user_inputs)
        held = {n.name: n.meta.get("val") for n in program.graph.nodes if n.op == "placeholder"}
        entry = held.get(names[0]) if names else None
        shape = [s if isinstance(s, int) else None for s in entry.shape] if isinstance(entry, Tensor) else []
        self.z_dim, self.trailing, self.fixed = latent_shape(shape, z, path, inputs=len(names))
        self.program, self.span = program.module().to(device), span

    def eval(self) -> "ExportedGenerator":
        """Return itself: an exported program has no training mode."""
        self.training = False
        return self

    def forward(self, z: Tensor) -> Tensor:
        """Return (n, 3, h, w) float32 for z (n, z_dim).

        Raises:
            SourceError: the program returns something else.
        """
        return in_portions(self.program, z.reshape(len(z), self.z_dim, *self.trailing), self.fixed, self.span)
