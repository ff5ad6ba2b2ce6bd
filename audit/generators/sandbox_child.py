"""The fenced-in side of :mod:`audit.generators.sandbox`: opens one TorchScript program, then turns latents into images.

Messages are a kind (one byte), a length (eight) and raw bytes; nothing is ever unpickled on either side.
"""

import io
import os
import struct
import sys
import warnings

import torch

from audit.generators.sandbox_lock import CannotLock, lock

READY, IMAGES, TROUBLE, UNFENCED = b"R", b"I", b"T", b"U"
SAID = 200
"""Characters of the program's own complaint that are passed on."""


def serve(memory: int, threads: int) -> None:
    """Answer on what was standard output until standard input ends."""
    answers = os.dup(1)
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)  # programs may print; their words must not end up among the answers
    os.dup2(silence, 2)
    os.close(silence)
    torch.set_num_threads(threads)
    warnings.simplefilter("ignore")
    _warm_up()
    try:
        lock(answers, memory)
    except CannotLock as problem:
        _send(answers, UNFENCED, str(problem).encode())
        return
    _send(answers, READY, b"")
    try:
        program = torch.jit.load(io.BytesIO(_read(_length())), map_location="cpu").eval()
        _send(answers, READY, b"")
        while True:
            n, width = struct.unpack("<II", _read(8))
            z = torch.frombuffer(bytearray(_read(4 * n * width)), dtype=torch.float32).view(n, width)
            _send(answers, IMAGES, _drawn(program, z))
    except EOFError:
        return
    except BaseException as problem:  # whatever the program does, the other side is told in words
        _send(answers, TROUBLE, (_last_line(str(problem)) or type(problem).__name__).encode()[:SAID])


def _drawn(program: torch.jit.ScriptModule, z: torch.Tensor) -> bytes:
    with torch.inference_mode():
        images = program(z)
    if not isinstance(images, torch.Tensor) or images.ndim != 4:
        what = tuple(images.shape) if isinstance(images, torch.Tensor) else type(images).__name__
        raise ValueError(f"it returned {what}; expected (n, 3, height, width)")
    images = images.float().contiguous()
    return struct.pack("<4I", *images.shape) + images.numpy().tobytes()


def _warm_up() -> None:
    """Have torch look at the machine and load its libraries while it still can."""
    x = torch.zeros(2, 4, 8, 8)
    layers = torch.nn.Sequential(torch.nn.ConvTranspose2d(4, 4, 4, 2, 1), torch.nn.BatchNorm2d(4), torch.nn.Conv2d(4, 4, 3), torch.nn.Linear(14, 2))
    with torch.inference_mode():
        layers.eval()(x)
        torch.jit.CompilationUnit("def f(x):\n    return x + 1\n").f(x)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _length() -> int:
    return struct.unpack("<Q", _read(8))[0]


def _read(n: int) -> bytes:
    parts = bytearray()
    while len(parts) < n:
        part = os.read(0, min(n - len(parts), 1 << 20))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)


def _send(answers: int, kind: bytes, content: bytes) -> None:
    message = memoryview(kind + struct.pack("<Q", len(content)) + content)
    while message:
        message = message[os.write(answers, message) :]


if __name__ == "__main__":
    serve(int(sys.argv[1]), int(sys.argv[2]))
