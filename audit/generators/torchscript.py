"""Generators that were exported as TorchScript: opened only when somebody vouches for the file by its sha256."""

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from audit.errors import ManifestError, SourceError
from audit.manifests import checksum


class TorchScriptGenerator(nn.Module):
    """A latent module from a TorchScript file: z (n, z) -> (n, 3, h, w), nominal range -1..1.

    Args:
        path: the file.
        sha256: its checksum, 64 hex digits, from a source that is trusted. A TorchScript file is a program.
        z: width of the latent.
        device: where it runs.

    Raises:
        ManifestError: the file is missing, or is not the one that was vouched for.
    """

    def __init__(self, path: str | Path, sha256: str, z: int, *, device: str | torch.device = "cpu") -> None:
        super().__init__()
        path = Path(path)
        if not path.is_file():
            raise ManifestError(f"no generator at {path}; expected a TorchScript file")
        got = checksum(path)
        if got != sha256:
            raise ManifestError(
                f"{path} is not the file that was vouched for: expected sha256 {sha256}, got {got}; refused"
            )
        self.z_dim = z
        with warnings.catch_warnings():
            # torch announces that torch.export will replace the format; the files people have are still in it.
            warnings.filterwarnings("ignore", message=".*torch.jit.load.*", category=FutureWarning)
            warnings.filterwarnings("ignore", message=".*torch.jit.load.*", category=DeprecationWarning)
            try:
                self.program = torch.jit.load(path, map_location=device).eval()
            except RuntimeError as problem:
                raise ManifestError(
                    f"{path} cannot be opened as TorchScript ({str(problem).strip().splitlines()[0][:120]})"
                ) from None

    def forward(self, z: Tensor) -> Tensor:
        """Return images for z (n, z).

        Raises:
            SourceError: z has another width, or the program returns something else than (n, 3, h, w).
        """
        if z.ndim != 2 or z.shape[1] != self.z_dim:
            raise SourceError(f"the generator takes latents (n, {self.z_dim}); got {tuple(z.shape)}")
        images = self.program(z)
        if not isinstance(images, Tensor) or images.ndim != 4 or images.shape[:2] != (len(z), 3):
            shape = tuple(images.shape) if isinstance(images, Tensor) else type(images).__name__
            raise SourceError(
                f"the generator returned {shape} for {len(z)} latents; expected ({len(z)}, 3, height, width)"
            )
        return images
