"""What is installed and what is missing, as findings with what to do about each."""

import importlib.util
import os
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version

NEEDED = ("torch", "torchvision", "clean-fid", "facenet-pytorch", "pandas", "matplotlib", "seaborn", "jinja2", "diffusers")


def findings() -> list[dict]:
    """Return rows of ``what``, ``found``, ``ok`` and ``do`` (advice, empty when ok)."""
    rows = [_row("python", ".".join(map(str, sys.version_info[:3])), sys.version_info >= (3, 11), "use Python 3.11 or newer")]
    for name in NEEDED:
        try:
            rows.append(_row(name, version(name), True, ""))
        except PackageNotFoundError:
            rows.append(_row(name, "not installed", False, f"pip install {name}"))
    rows.append(_device())
    rows.append(_models())
    onnx = importlib.util.find_spec("onnxruntime") is not None
    rows.append(_row("onnxruntime", "installed" if onnx else "not installed (only needed for ONNX classifiers)", True, ""))
    ray = importlib.util.find_spec("ray") is not None
    rows.append(_row("ray", "installed" if ray else "not installed (only needed for --engine ray)", True, ""))
    free = shutil.disk_usage(".").free / 1e9
    rows.append(_row("disk", f"{free:.1f} GB free here", free > 1, "a run needs about 1 KB an image and encoder; free some space"))
    return rows


def _row(what: str, found: str, ok: bool, do: str) -> dict:
    return {"what": what, "found": found, "ok": ok, "do": do}


def _device() -> dict:
    if importlib.util.find_spec("torch") is None:
        return _row("device", "unknown without torch", False, "pip install torch")
    import torch

    if torch.cuda.is_available():
        return _row("device", torch.cuda.get_device_name(0), True, "")
    return _row("device", f"cpu, {os.cpu_count()} cores", True, "")


def _models() -> dict:
    from audit.portraits.models import names

    expected = {"portraits_a", "portraits_b", "encoder", "identity", "stylegan2", "diffusion"}
    missing = sorted(expected - set(names()))
    found = f"{len(expected) - len(missing)} of {len(expected)} shipped models"
    return _row("built-in models", found, not missing, f"reinstall genbias; missing: {', '.join(missing)}")
