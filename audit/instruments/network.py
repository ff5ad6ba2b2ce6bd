"""A network behind its contract: opened safely, fed with crops of a batch, asked in fixed portions."""

import hashlib
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from audit.errors import InstrumentError
from audit.instruments.alignment import aligned
from audit.instruments.architectures import build, read_probe
from audit.manifests import DataFile, ImageInput, Manifest, checksum, load_manifest, resolve, verify
from audit.pixels import crop, normalise, resize, to_device
from audit.sources.base import OK, Batch

Forward = Callable[[Tensor], Tensor]

PROBE = "probe"
"""Architecture of a linear classifier on an encoder's features, as `genbias probe fit` writes it."""


class Network(NamedTuple):
    """A function on pixels and what identifies it."""

    forward: Forward  # (n, 3, size, size) float32 -> (n, k) float32
    digest: str  # changes whenever its answers could


def open_network(
    manifest: Manifest,
    *,
    file: str | None = None,
    path: str | Path | None = None,
    module: nn.Module | None = None,
    search: Sequence[str | Path] = (),
    device: str | torch.device = "cpu",
) -> Network:
    """Open the network a manifest describes.

    Args:
        manifest: its contract and checksums.
        file: which file of the manifest; None = the first.
        path: the file on this machine; None = look for it (:func:`audit.manifests.resolve`).
        module: a torch module to use instead of a file.
        search: folders to look in.
        device: where it runs.

    Raises:
        InstrumentError: the format cannot be opened here, or it is a program that the manifest does not vouch for.
        ManifestError: the file is missing or is not the one described.
    """
    if module is not None:
        return Network(module.eval().to(device), _module_digest(module))
    described = manifest.file(file)
    found = (
        resolve(manifest, file=file, search=search) if path is None else verify(Path(path), described, manifest.name)
    )
    kind = described.format or manifest.format
    if kind == "torchscript":
        forward = _torchscript(found, described, manifest, device)
    elif kind == "onnx":
        forward = _onnx(found, device)
    elif manifest.architecture == PROBE:
        return _probe(found, manifest, search, device)
    elif kind in ("state_dict", "safetensors"):
        forward = build(found, kind, manifest).eval().to(device)
    else:
        raise InstrumentError(
            f"manifest {manifest.name!r} describes a file of format {kind!r}, which cannot be opened "
            "here; expected torchscript, onnx, state_dict or safetensors"
        )
    return Network(forward, checksum(found))


def load_torchscript(path: Path, *, vouched: bool, owner: str, device: str | torch.device = "cpu") -> nn.Module:
    """Open a TorchScript file that somebody vouched for by its whole sha256.

    Raises:
        InstrumentError: nobody did; a TorchScript file is a program.
    """
    if not vouched:
        raise InstrumentError(
            f"{path.name} is a TorchScript file, which is a program, and {owner} states no sha256 "
            f"for it; if you trust it, state sha256 {checksum(path)}"
        )
    with warnings.catch_warnings():
        # torch announces that torch.export will replace the format; the files people have are still in it.
        warnings.filterwarnings("ignore", message=".*torch.jit.load.*", category=FutureWarning)
        warnings.filterwarnings("ignore", message=".*torch.jit.load.*", category=DeprecationWarning)
        return torch.jit.load(path, map_location=device).eval()


def _torchscript(path: Path, file: DataFile, manifest: Manifest, device: str | torch.device) -> nn.Module:
    return load_torchscript(path, vouched=file.vouched, owner=f"manifest {manifest.name!r}", device=device)


def _onnx(path: Path, device: str | torch.device) -> Forward:
    try:
        import onnxruntime
    except ImportError:
        raise InstrumentError(
            f"{path.name} is an ONNX file and onnxruntime is not installed; install genbias[onnx]"
        ) from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    providers = ["CPUExecutionProvider"]
    if torch.device(device).type == "cuda" and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        providers.insert(0, "CUDAExecutionProvider")
    session = onnxruntime.InferenceSession(str(path), options, providers=providers)
    entry = session.get_inputs()[0].name

    def forward(x: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {entry: x.cpu().numpy()})[0])

    return forward


def _probe(path: Path, manifest: Manifest, search: Sequence[str | Path], device: str | torch.device) -> Network:
    """A linear probe and the encoder it stands on, which must be the one it was fitted on."""
    from audit.instruments.encoders import open_encoder

    named = manifest.parameters.get("encoder")
    if not isinstance(named, str):
        raise InstrumentError(f"manifest {manifest.name!r} is a probe without parameters.encoder, the manifest of its encoder")
    own = (manifest.folder or Path()) / named
    encoder = open_encoder(load_manifest(own if named.endswith((".yaml", ".yml")) else named), search=search, device=device)
    expected = manifest.parameters.get("encoder_digest")
    if expected is not None and expected != encoder.digest:
        raise InstrumentError(
            f"probe {manifest.name!r} was fitted on features of another encoder: expected weights {expected}, got "
            f"{encoder.digest}; fit it again with `genbias probe fit`"
        )
    probe = read_probe(path, manifest).eval().to(device)
    digest = hashlib.sha256((checksum(path) + encoder.digest).encode()).hexdigest()
    return Network(lambda x: probe(encoder.forward(x)), digest)


def _module_digest(module: nn.Module) -> str:
    digest = hashlib.sha256(type(module).__qualname__.encode())
    for key, value in sorted(module.state_dict().items()):
        digest.update(key.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def readable_rows(batch: Batch) -> np.ndarray:
    """Return the positions of the images that can be read: status ok and, where a face finder ran, a box."""
    ok = np.array([s == OK for s in batch.status], dtype=bool)
    if batch.boxes is not None:
        ok &= np.isfinite(batch.boxes).all(axis=1)
    return np.flatnonzero(ok)


def prepare(batch: Batch, rows: Sequence[int], contract: ImageInput, device: str | torch.device = "cpu") -> Tensor:
    """Return (len(rows), 3, size, size) float32: crops of the images as the contract wants them.

    Crops are kept with the batch, so that instruments with the same crop and size share them.

    Raises:
        InstrumentError: the contract aligns by landmarks, and the face finder set none.
    """
    key = (contract.crop, contract.size, contract.filter, str(device), tuple(int(i) for i in rows))
    if key not in batch.prepared:
        cuts = [_cut(batch, int(i), contract) for i in rows]
        if len({(c.shape, c.dtype) for c in cuts}) == 1:
            batch.prepared[key] = resize(to_device(cuts, device), contract.size, filter=contract.filter)
        else:
            batch.prepared[key] = resize([c.to(device) for c in cuts], contract.size, filter=contract.filter)
    pixels = batch.prepared[key]
    if contract.channels == "BGR":
        pixels = pixels.flip(1)
    ready = normalise(pixels, contract.mean, contract.std, low=contract.range[0], high=contract.range[1])
    return ready.clone() if ready is pixels else ready  # a network may write into its input, and others read these pixels


def _cut(batch: Batch, row: int, contract: ImageInput) -> Tensor:
    image = batch.images[row]
    height, width = image.shape[-2:]
    if batch.boxes is not None and contract.crop.source == "face" and contract.crop.align != "box":
        if batch.landmarks is None:
            raise InstrumentError(
                f"the contract aligns faces as {contract.crop.align!r}, but the face finder sets no landmarks; use face_finder: mtcnn, "
                "or align: box"
            )
        return aligned(image, batch.landmarks[row], contract.crop.align)
    if batch.boxes is not None and contract.crop.source == "face":
        return crop(image, batch.boxes[row], margin=contract.crop.margin, square=contract.crop.square)
    if height == width or not contract.crop.square:
        return image
    return crop(image, (0, 0, width, height), square=True)


def answers(
    network: Network, batch: Batch, rows: np.ndarray, contract: ImageInput, *, batch_size: int, device: Any, role: str
) -> np.ndarray:
    """Return (len(rows), k) float32, what the network says of each readable image.

    Raises:
        InstrumentError: it does not return one row an image.
    """
    said = []
    with torch.inference_mode():
        for start in range(0, len(rows), batch_size):
            part = rows[start : start + batch_size]
            out = network.forward(prepare(batch, part, contract, device))
            if not isinstance(out, Tensor) or out.ndim != 2 or len(out) != len(part):
                shape = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
                raise InstrumentError(
                    f"the network of {role!r} returned {shape} for {len(part)} images; expected (n, columns)"
                )
            said.append(out.float().cpu().numpy())
    return np.concatenate(said).astype(np.float32)
