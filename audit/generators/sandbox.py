"""TorchScript generators nobody vouches for: run in a child process that can compute and answer, and nothing else.

A TorchScript file is a program that can reach files. The child loads torch, gives up every means to open files and sockets or start
processes (:mod:`audit.generators.sandbox_lock`), and only then is handed the program; it talks over pipes in raw numbers. It draws on
the processor. A file whose sha256 a manifest states may run in this process instead, see :mod:`audit.generators.torchscript`.
"""

import contextlib
import struct
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from audit.errors import ManifestError, SourceError
from audit.generators.pickles_archives import map_file
from audit.generators.recognise import format_of

LARGEST_FILE = 2 << 30
LARGEST_SIDE = 2048
MEMORY = 2 << 30
PORTION = 8
"""Images drawn at once: bounds the child's memory whatever the batch."""

SECONDS = 10.0
STARTING_SECONDS = 120.0
"""For Python and torch to start, before anything of the file is read."""

_ROOT = Path(__file__).resolve().parents[2]
_START = "import sys; sys.path.insert(0, sys.argv.pop(1)); from audit.generators.sandbox_child import serve; serve(*map(int, sys.argv[1:]))"


class SandboxedGenerator(nn.Module):
    """z (n, z) -> (n, 3, h, w), nominal range -1..1, drawn by a TorchScript program in a fenced-in child process.

    Args:
        path: the TorchScript file.
        z: width of the latent.
        seconds: for opening the program, and for each image.
        memory: bytes the child may use beyond torch itself and four times the file.

    Raises:
        ManifestError: the file is missing, no TorchScript, cannot be opened within the limits, or this system has no fence for it.
        SourceError: it takes other latents, or draws no images.
    """

    def __init__(self, path: str | Path, z: int, *, seconds: float = SECONDS, memory: int = MEMORY) -> None:
        super().__init__()
        self.path, self.z_dim, self.seconds = Path(path), z, seconds
        layout = format_of(self.path)
        if layout != "torchscript":
            raise ManifestError(f"{path} is a file of the layout {layout!r}; expected TorchScript, written by torch.jit.save")
        content = map_file(self.path, LARGEST_FILE)
        # -I: neither the working folder nor the environment can put modules in front of torch.
        command = [sys.executable, "-I", "-c", _START, str(_ROOT), str(memory + 4 * len(content)), str(torch.get_num_threads())]
        try:
            self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd="/")
        except OSError as problem:
            raise ManifestError(f"{path} is TorchScript, which runs in a process of its own, and none can be started ({problem})") from None
        self._close = weakref.finalize(self, _end, self._child)
        self._side: tuple[int, int] | None = None
        with self._within(STARTING_SECONDS):
            self._answer(b"R")
        with self._within(seconds):
            self._say(struct.pack("<Q", len(content)), content)
            self._answer(b"R")
        self._side = tuple(self._drawn(torch.zeros(1, z)).shape[2:])

    def close(self) -> None:
        """End the child process."""
        self._close()

    def forward(self, z: Tensor) -> Tensor:
        """Return images for z (n, z), on the device of z.

        Raises:
            SourceError: z has another width; the program fails, returns something else than images or takes too long.
        """
        if z.ndim != 2 or z.shape[1] != self.z_dim:
            raise SourceError(f"the generator takes latents (n, {self.z_dim}); got {tuple(z.shape)}")
        if not len(z):
            return z.new_zeros(0, 3, *self._side)
        return torch.cat([self._drawn(part) for part in z.detach().float().cpu().split(PORTION)]).to(z.device)

    def _drawn(self, z: Tensor) -> Tensor:
        with self._within(self.seconds * len(z)):
            self._say(struct.pack("<II", *z.shape), z.contiguous().numpy().tobytes())
            length = self._answer(b"I")
            n, channels, *side = struct.unpack("<4I", self._read(16))
            if (n, channels) != (len(z), 3) or not all(0 < s <= LARGEST_SIDE for s in side) or length != 16 + 12 * n * side[0] * side[1] or (
                self._side not in (None, tuple(side))
            ):  # fmt: skip
                self.close()
                raise SourceError(f"the generator returned {(n, channels, *side)} for {len(z)} latents; expected ({len(z)}, 3, height, width)")
            return torch.frombuffer(bytearray(self._read(length - 16)), dtype=torch.float32).view(n, 3, *side)

    def _answer(self, wanted: bytes) -> int:
        """Return the length of the answer's content; raise what it says if it is no answer of the kind wanted."""
        kind, length = struct.unpack("<cQ", self._read(9))
        if kind == wanted:
            return length
        said = self._read(min(length, 400)).decode(errors="replace")
        self.close()
        if kind == b"U":
            raise ManifestError(f"{self.path} is TorchScript, a program that must be fenced in, and {said}; state its sha256 in a manifest if "
                                "you trust where it comes from")  # fmt: skip
        if self._side is None:
            raise ManifestError(f"{self.path} cannot be opened or draws nothing in a process that may only compute ({said})")
        raise SourceError(f"the program {self.path} failed while drawing ({said})")

    def _say(self, *parts: bytes | memoryview) -> None:
        try:
            for part in parts:
                self._child.stdin.write(part)
            self._child.stdin.flush()
        except (OSError, ValueError):
            raise EOFError from None

    def _read(self, n: int) -> bytes:
        found = b"" if self._child.stdout.closed else self._child.stdout.read(n)
        if len(found) != n:
            raise EOFError
        return found

    @contextlib.contextmanager
    def _within(self, seconds: float) -> Iterator[None]:
        """Kill the child when the time is up, so that waiting for it ends."""
        late = threading.Event()
        timer = threading.Timer(seconds, lambda: (late.set(), self._child.kill()))
        timer.daemon = True
        timer.start()
        try:
            yield
        except EOFError:
            self.close()
            why = f"took longer than {seconds:g} s" if late.is_set() else "ended its process, perhaps for want of memory"
            raise SourceError(f"the program {self.path} {why}; state its sha256 in a manifest to run it unfenced if you trust it") from None
        finally:
            timer.cancel()


def _end(child: subprocess.Popen) -> None:
    child.kill()
    child.wait()
    for pipe in (child.stdin, child.stdout):
        with contextlib.suppress(OSError):
            pipe.close()
