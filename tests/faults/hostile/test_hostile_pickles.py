"""Pickles that want to run code, or to exhaust the machine, get one sentence and nothing else."""

import io
import os
import pickle
import socket
import struct

import pytest
import torch

MAGIC = 0x1950A86A20F9469CFC6C


class Call:
    """Pickles as a call of ``what`` with ``args``."""

    def __init__(self, what, *args):
        self.what, self.args = what, args

    def __reduce__(self):
        return self.what, self.args


def text(value):
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def name(module, attribute):
    return text(module) + text(attribute) + b"\x93"


def calling(module, attribute, *args, start=b"\x80\x04"):
    """A pickle that calls MODULE.ATTRIBUTE with texts, by name alone."""
    return start + name(module, attribute) + b"(" + b"".join(text(str(a)) for a in args) + b"tR."


def tensor(shape, stride, offset=0, storage=None):
    """A StyleGAN2-like pickle whose G_ema is a tensor of four numbers under a false shape."""
    inner = io.BytesIO()
    torch.save(torch.zeros(4).untyped_storage(), inner, _use_new_zipfile_serialization=False)
    raw = storage if storage is not None else inner.getvalue()
    body = name("torch._utils", "_rebuild_tensor_v2") + b"(" + name("torch.storage", "_load_from_bytes")
    body += b"B" + struct.pack("<I", len(raw)) + raw + b"\x85R" + number(offset)
    body += b"(" + b"".join(number(n) for n in shape) + b"t(" + b"".join(number(n) for n in stride) + b"t"
    return b"\x80\x04}" + text("G_ema") + body + b"\x89}tRs."


def number(n):
    return pickle.dumps(n, 2)[2:-1]


def legacy(body, keys=b"]", system=None, tail=b""):
    """A torch archive of the old layout around any object pickle."""
    head = pickle.dumps(MAGIC, 2) + pickle.dumps(1001, 2) + pickle.dumps(system or {"little_endian": True}, 2)
    return head + b"\x80\x02" + body + b"." + b"\x80\x02" + keys + b"." + tail


def storage(count, key="0"):
    return b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text(key) + text("cpu") + number(count) + b"NtQ"


def again(i):
    return b"j" + struct.pack("<I", i)


def nest(levels, open_=b"", close=b"\x86", start=b"N"):
    """Each level holds the one below twice, by the memo: 2**levels leaves in a few bytes. The last is memo number ``levels``."""
    return start + b"\x94" + b"".join(open_ + again(i) * 2 + close + b"\x94" for i in range(levels))


def network(state, start=b"", name_of=b""):
    """A persistent network whose class name or state is given in opcodes."""
    meta = b"}" + text("class_name") + (name_of or text("Generator")) + b"s" + text("state") + state + b"s"
    return b"\x80\x04" + start + b"}" + text("G_ema") + name("torch_utils.persistence", "_reconstruct_persistent_obj") + meta + b"\x85Rs."


def modules(**named):
    return b"}" + text("_modules") + b"}" + b"".join(text(k) + v + b"s" for k, v in named.items()) + b"s"


def inner(class_name, state):
    return (name("torch_utils.persistence", "_reconstruct_persistent_obj") + b"}" + text("class_name") + text(class_name) + b"s"
            + text("state") + state + b"s\x85R")  # fmt: skip


COMMAND = "touch {canary}"
NAMED = {
    "os-system": ("os", "system", COMMAND),
    "posix-system": ("posix", "system", COMMAND),
    "nt-system": ("nt", "system", COMMAND),
    "os-popen": ("os", "popen", COMMAND),
    "subprocess-popen": ("subprocess", "Popen", "{canary}"),
    "subprocess-output": ("subprocess", "getoutput", COMMAND),
    "eval": ("builtins", "eval", "open({canary!r}, 'w')"),
    "exec": ("builtins", "exec", "open({canary!r}, 'w')"),
    "exec-python-2": ("__builtin__", "execfile", "{canary}"),
    "compile": ("builtins", "compile", "1", "x", "eval"),
    "open": ("builtins", "open", "{canary}", "w"),
    "io-open": ("_io", "open", "{canary}", "w"),
    "import": ("builtins", "__import__", "antigravity"),
    "importlib": ("importlib", "import_module", "this"),
    "getattr": ("builtins", "getattr", "os", "system"),
    "attrgetter": ("operator", "attrgetter", "system"),
    "methodcaller": ("operator", "methodcaller", "system"),
    "partial": ("functools", "partial", "x"),
    "runpy": ("runpy", "run_path", "{canary}"),
    "timeit": ("timeit", "timeit", "open({canary!r}, 'w')"),
    "pdb": ("bdb", "Bdb.run", "x"),
    "code": ("code", "interact", "x"),
    "socket-by-name": ("socket", "create_connection", "127.0.0.1"),
    "urlopen": ("urllib.request", "urlopen", "http://127.0.0.1:9/"),
    "browser": ("webbrowser", "open", "http://127.0.0.1:9/"),
    "ctypes": ("ctypes", "CDLL", "libc.so.6"),
    "remove-tree": ("shutil", "rmtree", "{canary}"),
    "torch-load": ("torch", "load", "{canary}"),
    "torch-jit": ("torch.jit", "load", "{canary}"),
    "torch-hub": ("torch.hub", "load_state_dict_from_url", "http://127.0.0.1:9/"),
    "torch-extension": ("torch.utils.cpp_extension", "load", "x", "{canary}"),
    "numpy-load": ("numpy", "load", "{canary}"),
    "pickle-loads": ("pickle", "loads", "cos\nsystem\n"),
    "dotted-path": ("pathlib", "Path.touch", "{canary}"),
    "dotted-through-torch": ("torch", "os.system", COMMAND),
    "dotted-through-allowed": ("torch.storage", "_load_from_bytes.__globals__", "x"),
    "dotted-through-collections": ("collections", "_sys.modules", "x"),
    "name-with-a-space": ("collections OrderedDict", "system", "x"),
    "tensorflow": ("dnnlib.tflib.network", "Network", "x"),
}


def named(row):
    return lambda canary: calling(*row[:2], *(a.format(canary=str(canary)) for a in row[2:]))


PICKLES = {k: named(row) for k, row in NAMED.items()} | {
    "text-protocol": lambda canary: b"cposix\nsystem\n(S'touch " + str(canary).encode() + b"'\ntR.",
    "protocol-2": lambda canary: pickle.dumps(Call(os.system, f"touch {canary}"), 2),
    "protocol-5": lambda canary: pickle.dumps({"G_ema": Call(os.system, f"touch {canary}")}, 5),
    "beside-the-generator": lambda canary: pickle.dumps({"G_ema": None, "training_set_kwargs": Call(eval, f"open({str(canary)!r}, 'w')")}, 4),
    "socket": lambda canary: pickle.dumps(Call(socket.create_connection, ("127.0.0.1", 9))),
    "instance": lambda canary: b"\x80\x02(X\x01\x00\x00\x00xios\nsystem\n.",
    "object": lambda canary: b"\x80\x02(" + b"cos\nsystem\n" + text("true") + b"o.",
    "new-object": lambda canary: b"\x80\x04" + name("os", "system") + text("true") + b"\x85\x81.",
    "new-object-with-keywords": lambda canary: b"\x80\x04" + name("collections", "OrderedDict") + b")}\x92.",
    "extension-code": lambda canary: b"\x80\x02\x82\x01.",
    "extension-code-4": lambda canary: b"\x80\x02\x84\x01\x00\x00\x00.",
    "buffer": lambda canary: b"\x80\x05\x97.",
    "persistent-text": lambda canary: b"\x80\x02Pos.system\n.",
    "persistent-tuple": lambda canary: b"\x80\x02(" + text("storage") + text("x") + b"tQ.",
    "calls-a-text": lambda canary: b"\x80\x04" + text("os.system") + text("true") + b"\x85R.",
    "calls-a-result": lambda canary: b"\x80\x04" + name("collections", "OrderedDict") + b")R)R.",
    "calls-without-a-tuple": lambda canary: b"\x80\x04" + name("collections", "OrderedDict") + b"]R.",
    "state-of-a-function": lambda canary: b"\x80\x04" + name("torch._utils", "_rebuild_tensor_v2") + b"}" + text("build") + text("x") + b"sb.",
    "state-of-a-number": lambda canary: b"\x80\x04K\x01}b.",
    "state-of-a-dict": lambda canary: b"\x80\x04" + name("collections", "OrderedDict") + b")R}" + text("__class__") + text("x") + b"sb.",
    "source-in-the-file": lambda canary: b"\x80\x04}" + text("G_ema") + name("torch_utils.persistence", "_reconstruct_persistent_obj")
    + pickle.dumps(({"module_src": f"open({str(canary)!r}, 'w')", "class_name": "X", "state": {}},), 4)[2:-1] + b"Rs.",
    "own-module-class": lambda canary: pickle.dumps({"G_ema": torch.nn.Linear(2, 2)}, 4),
    "inner-archive-calls": lambda canary: tensor((2,), (1,), storage=legacy(name("os", "system") + text(f"touch {canary}") + b"\x85R")),
    "inner-archive-is-a-pickle": lambda canary: tensor((2,), (1,), storage=pickle.dumps(Call(os.system, f"touch {canary}"))),
    "inner-archive-in-itself": lambda canary: tensor((2,), (1,), storage=tensor((2,), (1,))),
    "memo-bomb": lambda canary: b"\x80\x04" + nest(10_000) + b".",
    "memo-bomb-of-lists": lambda canary: b"\x80\x04" + nest(5000, b"](", b"e", b"]") + b".",
    "memo-bomb-as-the-generator": lambda canary: b"\x80\x04" + nest(60) + b"}" + text("G_ema") + again(60) + b"s.",
    "key-bomb": lambda canary: b"\x80\x04" + nest(60) + b"}" + again(60) + b"Ns.",
    "set-bomb": lambda canary: b"\x80\x04" + nest(60) + b"\x8f(" + again(60) + b"\x90.",
    "class-name-bomb": lambda canary: network(b"}", start=nest(60), name_of=again(60)),
    "state-bomb": lambda canary: network(again(60), start=nest(60)),
    "option-bomb": lambda canary: network(modules(mapping=inner("MappingNetwork", modules()), synthesis=inner("SynthesisNetwork",
        modules(b4=inner("SynthesisBlock", b"}" + text("architecture") + again(60) + b"s"))[:-1] + b"s" + text("img_channels") + again(60) + b"s")),
        start=nest(60)),
    "number-type-bomb": lambda canary: b"\x80\x04" + nest(60) + name("numpy.core.multiarray", "scalar") + name("numpy", "dtype") + again(60)
    + b"\x85R" + b"C\x00\x86R.",
    "list-of-storages-bomb": lambda canary: tensor((4,), (1,), storage=legacy(storage(4), nest(60) + b"]" + again(60) + b"a")),
    "opcode-flood": lambda canary: b"\x80\x04" + b"N" * 3_000_000 + b".",
    "mark-flood": lambda canary: b"\x80\x04" + b"(" * 900_000 + b"t" * 899_999 + b".",
    "text-of-a-terabyte": lambda canary: b"\x80\x04\x8d" + struct.pack("<Q", 1 << 40) + b"x.",
    "bytes-without-end": lambda canary: b"\x80\x04\x8e" + struct.pack("<Q", (1 << 63) - 1) + b"x.",
    "bytearray-of-a-terabyte": lambda canary: b"\x80\x05\x96" + struct.pack("<Q", 1 << 40) + b"x.",
    "frame-of-an-exabyte": lambda canary: b"\x80\x04\x95" + struct.pack("<Q", 1 << 60) + b"N.",
    "number-of-two-gigabytes": lambda canary: b"\x80\x02\x8b" + struct.pack("<i", (1 << 31) - 1) + b"x.",
    "number-of-255-bytes": lambda canary: b"\x80\x02\x8a\xff" + b"\x01" * 255 + b".",
    "number-in-words": lambda canary: b"\x80\x02I" + b"9" * 500_000 + b"\n.",
    "memo-far-away": lambda canary: b"\x80\x02Nr\xff\xff\xff\xff.",
    "memo-missing": lambda canary: b"\x80\x02h\x07.",
    "nothing-on-the-stack": lambda canary: b"\x80\x02R.",
    "no-end": lambda canary: b"\x80\x04]",
    "tensor-of-a-trillion": lambda canary: tensor((1 << 40,), (1,)),
    "tensor-that-repeats": lambda canary: tensor((1 << 20, 1 << 20), (0, 0)),
    "tensor-of-negative-size": lambda canary: tensor((-4,), (1,)),
    "tensor-before-its-storage": lambda canary: tensor((2,), (1,), offset=-8),
    "tensor-behind-its-storage": lambda canary: tensor((2,), (3,), offset=14),
    "tensor-of-many-dimensions": lambda canary: tensor((1,) * 5000, (1,) * 5000),
    "storage-of-a-trillion": lambda canary: tensor((1 << 40,), (1,), storage=legacy(storage(1 << 40), b"]" + text("0") + b"a", tail=struct.pack("<q", 1 << 40))),
    "storage-of-two-sizes": lambda canary: tensor((2,), (1,), storage=legacy(storage(4), b"]" + text("0") + b"a", tail=struct.pack("<q", 9) + b"x" * 36)),
    "storage-cut-short": lambda canary: tensor((4,), (1,), storage=legacy(storage(4), b"]" + text("0") + b"a", tail=struct.pack("<q", 4) + b"x" * 9)),
    "storage-nobody-lists": lambda canary: tensor((4,), (1,), storage=legacy(storage(4))),
    "storage-of-the-other-byte-order": lambda canary: tensor((4,), (1,), storage=legacy(storage(4), system={"little_endian": False})),
}  # fmt: skip


def writer(make):
    return lambda path, canary: path.write_bytes(make(canary))


def sparse(path, canary):
    """Three gigabytes that are nowhere on the disk, announced as one row of bytes."""
    with path.open("wb") as file:
        file.write(b"\x80\x04\x8e" + struct.pack("<Q", 3 << 30))
        file.truncate(3 << 30)


FILES = {k: writer(make) for k, make in PICKLES.items()} | {"sparse-gigabytes": sparse}


@pytest.fixture(scope="module")
def outcomes(attempts):
    return attempts(FILES)


@pytest.mark.parametrize("which", sorted(FILES))
def test_a_hostile_pickle_gets_one_sentence_and_does_nothing(outcomes, harmless, which):
    harmless(outcomes[which])


def test_there_are_at_least_forty_different_ones():
    assert len(FILES) >= 40


def test_the_same_files_opened_by_pickle_itself_do_run_so_the_traps_work(attempts):
    chosen = ("os-system", "exec", "open", "protocol-5", "socket")
    found = attempts({k: FILES[k] for k in chosen}, naive=True)
    assert all(row["canary"] for row in found.values())
    assert "os.system" in found["os-system"]["seen"]
    assert "pickle.find_class" in found["exec"]["seen"]
    assert any(s.startswith("open to write") for s in found["open"]["seen"])
    assert any(s.startswith("socket.") for s in found["socket"]["seen"])
