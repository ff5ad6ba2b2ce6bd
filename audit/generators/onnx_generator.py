"""Generators as ONNX graphs, run by onnxruntime: data that a fixed set of operators reads, not a program of one's own."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from audit.errors import ManifestError, SourceError


class OnnxGenerator(nn.Module):
    """z (n, z_dim) -> (n, 3, h, w), nominal range -1..1.

    Args:
        path: the .onnx file; its first input is the latent, (n, z) or (n, z, 1, 1), and its first output the images.
        z: width of the latent; None = as the graph states it.
        span: lowest and highest value of the images.
        device: "cuda" is used where onnxruntime can.

    Raises:
        ManifestError: onnxruntime is not installed, the file cannot be opened, or the graph's input is no latent of that width.
    """

    def __init__(self, path: str | Path, z: int | None = None, *, span: tuple[float, float] = (-1.0, 1.0), device: str = "cpu") -> None:
        super().__init__()
        try:
            import onnxruntime
        except ImportError:
            raise ManifestError(f"{path} is an ONNX file and onnxruntime is not installed; install genbias[onnx]") from None
        if not Path(path).is_file():
            raise ManifestError(f"no generator at {path}; expected an ONNX file")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 4  # what goes wrong is told by the exception
        wanted = ["CUDAExecutionProvider"] if device.startswith("cuda") else []
        known = onnxruntime.get_available_providers()
        try:
            self.session = onnxruntime.InferenceSession(str(path), options,
                                                        providers=[*(p for p in wanted if p in known), "CPUExecutionProvider"])  # fmt: skip
        except Exception as problem:  # onnxruntime's errors share no base class of their own
            reason = " ".join(str(problem).split())[:160]
            raise ManifestError(f"{path} cannot be opened as ONNX ({reason}); expected a graph from a latent to images") from None
        entries = [e for e in self.session.get_inputs() if e.name not in {i.name for i in self.session.get_overridable_initializers()}]
        self.z_dim, self.trailing, self.fixed = latent_shape([_size(d) for d in entries[0].shape], z, path, inputs=len(entries))
        self.entry, self.span = entries[0].name, span

    def forward(self, z: Tensor) -> Tensor:
        """Return (n, 3, h, w) float32 for z (n, z_dim).

        Raises:
            SourceError: the graph fails or returns something else.
        """

        def run(part: Tensor) -> Tensor:
            try:
                return torch.from_numpy(np.asarray(self.session.run(None, {self.entry: part.cpu().numpy()})[0]))
            except Exception as problem:  # as above
                raise SourceError(f"the ONNX generator failed on {len(part)} latents ({' '.join(str(problem).split())[:160]})") from None

        return in_portions(run, z.reshape(len(z), self.z_dim, *self.trailing), self.fixed, self.span)


def _size(dimension: object) -> int | None:
    return dimension if isinstance(dimension, int) and dimension > 0 else None


def latent_shape(shape: list[int | None], z: int | None, path: str | Path, *, inputs: int = 1) -> tuple[int, tuple[int, ...], int | None]:
    """Return a program's width of the latent, its trailing dimensions of 1, and its number of images where that is fixed.

    Args:
        shape: of the program's input; None for a size that may vary.
        z: what the user says; None = what the program says.
        path: for the errors.
        inputs: how many inputs the program has.

    Raises:
        ManifestError: the input is no latent, or of another width than the user says.

    Example:
        >>> latent_shape([None, 100, 1, 1], None, "g.onnx")
        (100, (1, 1), None)
    """
    if inputs != 1 or len(shape) < 2 or any(s not in (None, 1) for s in shape[2:]):
        named = ", ".join("n" if s is None else str(s) for s in shape)
        raise ManifestError(f"{path} takes {inputs} inputs, the first ({named}); expected one latent (n, z) or (n, z, 1, 1)")
    width = shape[1] if z is None else z
    if width is None:
        raise ManifestError(f"{path} does not say how wide its latent is; say it in the spec: latent: {{size: 100}}")
    if shape[1] not in (None, width):
        raise ManifestError(f"{path} takes latents of {shape[1]} numbers; the spec or manifest says {width}")
    return width, (1,) * (len(shape) - 2), shape[0]


def in_portions(run: Callable[[Tensor], Tensor], z: Tensor, fixed: int | None, span: tuple[float, float]) -> Tensor:
    """Return the images of ``z``, asked for ``fixed`` at a time where the program takes no other number, brought from ``span`` to -1..1.

    Raises:
        SourceError: the program returns something else than (n, 3, h, w), or values far outside ``span``.
    """
    images = []
    for part in z.split(fixed or max(len(z), 1)):
        missing = (fixed or len(part)) - len(part)
        padded = torch.cat([part, part[-1:].expand(missing, *part.shape[1:])]) if missing else part
        drawn = run(padded)
        if not isinstance(drawn, Tensor) or drawn.ndim != 4 or drawn.shape[:2] != (len(padded), 3):
            got = tuple(drawn.shape) if isinstance(drawn, Tensor) else type(drawn).__name__
            raise SourceError(f"the generator returned {got} for {len(padded)} latents; expected ({len(padded)}, 3, height, width)")
        images.append(drawn[: len(part)].float())
    low, high = span
    joined = torch.cat(images)
    if (low, high) == (-1.0, 1.0):
        return joined
    good = joined[torch.isfinite(joined)]
    if len(good) and (float(good.min()) < low - (high - low) / 2 or float(good.max()) > high + (high - low) / 2):
        raise SourceError(f"the generator gave values in {float(good.min()):.4g}..{float(good.max()):.4g}, but its range is stated as "
                          f"{low:g}..{high:g}; state the range it really has")  # fmt: skip
    return (joined - low) * (2 / (high - low)) - 1
