"""A program nobody vouches for draws what it would draw unfenced, and can do nothing else: attempts to write and connect fail."""

import itertools
import json
import subprocess
import sys
import time
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from audit.errors import ManifestError, SourceError, SpecError
from audit.generators.sandbox import SandboxedGenerator
from audit.generators.sandbox_lock import ALLOWED, NUMBERS
from audit.sources import open_source
from audit.spec import SourceSpec

# torch announces the end of the format that is under test
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*:FutureWarning", "ignore:.*torch.jit.*:DeprecationWarning")

ROOT = Path(__file__).resolve().parents[3]

HOSTILE = {
    "writes_a_file": 'torch.save(z, "{canary}")',
    "maps_a_file": 'z = z + torch.from_file("{canary}", True, 16).sum()',
    "maps_an_existing_file": 'z = z + torch.from_file("{other}", True, 4, dtype=torch.float32).fill_(7.0).sum()',
    "takes_memory": "z = z + torch.zeros(1 << 34).sum()",
    "never_ends": "while bool((z.abs() < 9).all()):\n            z = torch.sin(z)",
    "gives_one_more": "z = torch.cat([z, z])",
    "gives_no_image": "return z",
    "gives_a_giant": "return torch.zeros(1, 1, 1, 1).expand(z.size(0), 3, 100000, 100000)[:, :, :4097, :1]",
    "raises": 'raise RuntimeError("a\\nTraceback of its own")',
}
"""What a program does before it draws; every one is scripted by torch from this text."""


_COUNT = itertools.count()


def scripted(path, code, canary, other):
    body = code.format(canary=canary, other=other)
    source = f"def forward(self, z):\n        {body}\n        return torch.tanh(z[:, :3, None, None].expand(-1, 3, 4, 4))\n"
    # A class of its own for each: torch keeps one compiled class a name, and will not define its forward twice.
    module = type(f"Program{next(_COUNT)}", (torch.jit.ScriptModule,), {})()
    module.define(source)
    saved(module, path)
    return path


def saved(module, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(module, torch.zeros(2, 6)) if isinstance(module, Deconvolutions) else module, path)


class Deconvolutions(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.ConvTranspose2d(6, 8, 4), nn.BatchNorm2d(8), nn.LeakyReLU(0.2), nn.ConvTranspose2d(8, 3, 4, 2, 1), nn.Tanh())

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.layers(z[:, :, None, None])


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("program") / "g.pt"
    module = Deconvolutions().eval()
    saved(module, path)
    return path, module


def test_the_fenced_program_draws_the_same_images_whatever_the_batch(exported):
    path, module = exported
    generator = SandboxedGenerator(path, 6)
    z = torch.randn(19, 6, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        assert torch.allclose(generator(z), module(z), atol=1e-6)
    assert generator(z[:0]).shape == (0, 3, 8, 8)
    with pytest.raises(SourceError, match=r"takes latents \(n, 6\); got \(2, 7\)"):
        generator(torch.zeros(2, 7))
    child = generator._child
    generator.close()
    assert child.poll() is not None


ESCAPES = r'''
import ctypes, json, os, socket, sys, threading
import torch
from audit.generators.sandbox_lock import lock

folder = sys.argv[1]
answers = os.dup(1)
kept = os.open(folder + "/kept", os.O_WRONLY)
torch.zeros(2, 2) @ torch.zeros(2, 2)
lock(answers, 2 << 30)
libc = ctypes.CDLL(None, use_errno=True)

def raw(number, *args):
    if libc.syscall(number, *args) == -1:
        raise OSError(ctypes.get_errno(), "refused")

attempts = {
    "create": lambda: os.open(folder + "/new", os.O_CREAT | os.O_WRONLY),
    "read": lambda: os.open("/etc/hostname", os.O_RDONLY),
    "truncate": lambda: os.truncate(folder + "/kept", 0),
    "write to a file that was open": lambda: os.write(kept, b"x"),
    "unlink": lambda: os.unlink(folder + "/kept"),
    "rename": lambda: os.rename(folder + "/kept", folder + "/new"),
    "mkdir": lambda: os.mkdir(folder + "/new"),
    "symlink": lambda: os.symlink("/etc", folder + "/new"),
    "link": lambda: os.link(folder + "/kept", folder + "/new"),
    "chmod": lambda: os.chmod(folder + "/kept", 0o777),
    "socket": lambda: socket.socket(),
    "socket pair": lambda: socket.socketpair(),
    "unix socket": lambda: socket.socket(socket.AF_UNIX),
    "fork": lambda: os.fork() or os._exit(0),
    "program": lambda: os.execv("/bin/true", ["true"]),
    "signal": lambda: os.kill(os.getppid(), 0),
    "directory": lambda: os.listdir(folder),
    "change directory": lambda: os.chdir(folder),
    "more memory for the asking": lambda: __import__("resource").setrlimit(__import__("resource").RLIMIT_AS, (-1, -1)),
    "write by another call": lambda: raw(20, kept, None, 0),
    "open by another call": lambda: raw(437, -100, (folder + "/new").encode(), None, 24),
    "ring": lambda: raw(425, 8, None),
    "other machine's numbers": lambda: raw(0x40000000 + 2, (folder + "/new").encode(), 65, 511),
}
found = {}
for name, attempt in attempts.items():
    try:
        attempt()
        found[name] = "succeeded"
    except OSError as error:
        found[name] = error.strerror if error.strerror != "refused" else str(error.errno)
    except ValueError as error:  # how Python words a refused setrlimit
        found[name] = "Operation not permitted" if "not allowed" in str(error) else str(error)
worker = threading.Thread(target=lambda: found.update(thread=os.getpid() > 0))
worker.start()
worker.join()
try:
    torch.zeros(1 << 32)
    found["memory"] = "succeeded"
except RuntimeError:
    found["memory"] = "refused"
os.write(answers, json.dumps(found).encode())
'''


def test_a_locked_process_can_compute_and_answer_and_nothing_else(tmp_path):
    (tmp_path / "kept").write_text("as it was")
    done = subprocess.run([sys.executable, "-c", ESCAPES, str(tmp_path)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-1500:]
    found = json.loads(done.stdout)
    assert found.pop("thread") is True
    assert found.pop("memory") == "refused"
    assert {k: v for k, v in found.items() if v not in ("Operation not permitted", "1")} == {}
    assert (tmp_path / "kept").read_text() == "as it was"
    assert [p.name for p in tmp_path.iterdir()] == ["kept"]


SLOW = pytest.mark.slow  # each starts a process that loads torch


@pytest.mark.parametrize(("name", "sentence"), [
    ("maps_an_existing_file", "cannot be opened or draws nothing in a process that may only compute"),
    ("never_ends", "took longer than 2 s"),
    ("takes_memory", "may only compute|want of memory"),
    pytest.param("writes_a_file", None, marks=SLOW),  # torch says nothing when it cannot open the file, so the program goes on
    pytest.param("maps_a_file", "may only compute", marks=SLOW),
    pytest.param("gives_one_more", r"returned \(2, 3, 4, 4\) for 1", marks=SLOW),
    pytest.param("gives_no_image", r"it returned \(1, 4\); expected \(n, 3, height, width\)", marks=SLOW),
    pytest.param("gives_a_giant", r"returned \(1, 3, 4097, 1\)", marks=SLOW),
    pytest.param("raises", "may only compute", marks=SLOW),
])  # fmt: skip
def test_a_hostile_program_gets_one_sentence_and_touches_no_file(tmp_path, name, sentence):
    canary, other = tmp_path / "canary", tmp_path / "other"
    other.write_bytes(bytes(16))
    path = scripted(tmp_path / "g.pt", HOSTILE[name], canary, other)
    start = time.monotonic()
    if sentence is None:
        SandboxedGenerator(path, 4).close()
    else:
        with pytest.raises((ManifestError, SourceError), match=sentence) as refused:
            SandboxedGenerator(path, 4, seconds=2, memory=1 << 30)
        assert "\n" not in str(refused.value)
    assert time.monotonic() - start < 20
    assert not canary.exists()
    assert other.read_bytes() == bytes(16)


def test_the_same_programs_do_write_when_they_are_not_fenced_in(tmp_path):
    for name in ("writes_a_file", "maps_a_file"):
        canary = tmp_path / name
        program = torch.jit.load(scripted(tmp_path / "g.pt", HOSTILE[name], canary, tmp_path / "other"))
        program(torch.zeros(1, 4))
        assert canary.exists()


@pytest.mark.slow
def test_a_program_that_breaks_later_is_told_when_it_does(tmp_path):
    code = 'if bool((z > 9).any()):\n            raise RuntimeError("no")'
    generator = SandboxedGenerator(scripted(tmp_path / "g.pt", code, "", ""), 4)
    assert generator(torch.zeros(3, 4)).shape == (3, 3, 4, 4)
    with pytest.raises(SourceError, match="failed while drawing"):
        generator(torch.full((3, 4), 10.0))
    with pytest.raises(SourceError, match="ended its process"):
        generator(torch.zeros(3, 4))


def test_a_spec_draws_from_a_program_by_its_path_and_the_width_of_its_latent(exported):
    path, _ = exported
    with pytest.raises(SpecError, match="does not say how wide its latent is"):
        open_source("g", SourceSpec(source="torchscript", weights=str(path)))
    source = open_source("g", SourceSpec(source="torchscript", weights=str(path), latent={"size": 6, "prior": "uniform"}))
    images = source.draw(np.arange(2), np.arange(2, dtype=np.uint64)).images
    assert [tuple(i.shape) for i in images] == [(3, 8, 8)] * 2
    assert any("may only compute" in c for c in source.caveats)
    source.module.close()


def test_what_is_no_torchscript_is_refused_before_a_process_starts(tmp_path):
    torch.save({"a": torch.zeros(1)}, tmp_path / "w.pt")
    with pytest.raises(ManifestError, match="layout 'torch'; expected TorchScript"):
        SandboxedGenerator(tmp_path / "w.pt", 4)


@pytest.mark.slow
def test_a_damaged_program_is_told_in_a_sentence(tmp_path):
    with zipfile.ZipFile(tmp_path / "w.pt", "w") as archive:
        archive.writestr("a/constants.pkl", b"x")
    with pytest.raises(ManifestError, match="may only compute"):
        SandboxedGenerator(tmp_path / "w.pt", 4)


def test_the_lists_of_allowed_calls_hold_none_that_opens_or_sends():
    assert set(ALLOWED) == set(NUMBERS)
    dangerous = {"x86_64": {2, 41, 42, 56, 57, 58, 59, 85, 87, 257, 425, 435, 437}, "aarch64": {35, 56, 64, 198, 203, 220, 221, 425, 435, 437}}
    for machine, calls in ALLOWED.items():
        assert not dangerous[machine] & set(calls)
