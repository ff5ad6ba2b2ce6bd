"""The names model files need, and what stands for them: stored tensors, numbers of numpy, records of classes."""

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from audit.generators.pickles import ByteView, Name, Record, read_pickle

DTYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "UntypedStorage": torch.uint8,
}
DIMENSIONS = 8
MAGIC = 0x1950A86A20F9469CFC6C
_NUMBERS = {"f8": "d", "f4": "f", "f2": "e", "i8": "q", "i4": "i", "i2": "h", "i1": "b", "u8": "Q", "u4": "I", "u2": "H", "u1": "B", "b1": "?"}


@dataclass
class Storage:
    """A row of numbers in the file; ``content`` is None while a legacy archive has not come to its bytes yet."""

    dtype: torch.dtype
    count: int
    content: memoryview | bytes | None = None

    def fill(self, content: memoryview | bytes) -> None:
        """Take the bytes; their number must be the one that was declared."""
        if len(content) != self.count * self.dtype.itemsize:
            raise ValueError(f"{len(content):,} bytes for {self.count:,} numbers of {self.dtype.itemsize} bytes")
        self.content = content


@dataclass
class StoredTensor:
    """A tensor that still lies in the file: bounds are checked, no memory was taken."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    def __post_init__(self) -> None:
        whole = (self.offset, *self.shape, *self.stride)
        if len(self.shape) != len(self.stride) or len(self.shape) > DIMENSIONS or any(type(n) is not int or n < 0 for n in whole):
            raise ValueError("a tensor with a strange shape")
        if self.numel > self.storage.count or self.offset + self.reach > self.storage.count:
            raise ValueError(f"a tensor of {self.numel:,} numbers in a storage of {self.storage.count:,}")

    @property
    def numel(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)

    @property
    def reach(self) -> int:
        """How many numbers of the storage lie between its first and its last."""
        return 1 + sum((n - 1) * s for n, s in zip(self.shape, self.stride, strict=True)) if self.numel else 0

    def read(self) -> Tensor:
        """Return the tensor, copied out of the file."""
        if not self.numel:
            return torch.empty(self.shape, dtype=self.storage.dtype)
        if self.storage.content is None:
            raise ValueError("a tensor whose storage is missing")
        size = self.storage.dtype.itemsize
        window = bytearray(memoryview(self.storage.content)[self.offset * size : (self.offset + self.reach) * size])
        return torch.frombuffer(window, dtype=self.storage.dtype).as_strided(self.shape, self.stride).contiguous()


def storage_type(name: Any) -> torch.dtype:
    """Return the type of numbers that a storage class of torch holds."""
    kind = name.name.split()[-1] if isinstance(name, Name) else ""
    if kind not in DTYPES:
        raise ValueError("a storage of an unknown type")
    return DTYPES[kind]


def read_legacy(content: bytes | memoryview, where: str) -> Any:
    """Return what a torch archive of the format before 1.6 holds: five pickles, then the numbers of each storage.

    Raises:
        ManifestError, ValueError: it is damaged, or anything else than a few plain values and tensors.
    """
    stream, storages = ByteView(content), {}

    def stored(key: tuple) -> Storage:
        if len(key) != 6 or key[0] != "storage" or not isinstance(key[2], str) or type(key[4]) is not int or key[5] is not None or key[4] < 0:
            raise ValueError("a reference to something else than a storage")
        return storages.setdefault(key[2], Storage(storage_type(key[1]), key[4]))

    magic, protocol, system = (read_pickle(stream, {}, where=where) for _ in range(3))
    if magic != MAGIC or protocol != 1001 or not isinstance(system, dict) or system.get("little_endian") is not True:
        raise ValueError("no torch archive of a known version")
    found = read_pickle(stream, ALLOWED, where=where, stored=stored)
    keys = read_pickle(stream, {}, where=where)
    if not isinstance(keys, list) or not all(isinstance(k, str) for k in keys) or set(keys) != set(storages) or len(keys) != len(set(keys)):
        raise ValueError("a list of storages that is not the one in use")
    view, at = memoryview(content), stream.tell()
    for key in keys:
        storage = storages[key]
        (count,) = struct.unpack_from("<q", view[at : at + 8])
        if count != storage.count:
            raise ValueError(f"a storage of {count:,} numbers where {storage.count:,} were announced")
        storage.fill(view[at + 8 : at + 8 + count * storage.dtype.itemsize])
        at += 8 + len(storage.content)
    return found


def _tensor(storage: Any, offset: int, shape: Any, stride: Any, *_: Any) -> StoredTensor:
    if not isinstance(storage, Storage) or not isinstance(shape, tuple) or not isinstance(stride, tuple):
        raise ValueError("a tensor without a storage")
    return StoredTensor(storage, offset, shape, stride)


def _parameter(data: Any, *_: Any) -> StoredTensor:
    if not isinstance(data, StoredTensor):
        raise ValueError("a parameter without a tensor")
    return data


def _from_bytes(content: Any) -> Storage:
    """Stand for ``torch.storage._load_from_bytes``: an archive in the pickle, which holds one storage."""
    if not isinstance(content, bytes):
        raise ValueError("a storage that is no bytes")
    found = read_legacy(content, "a storage in it")
    if not isinstance(found, Storage):
        raise ValueError("an inner archive that holds no storage")
    return found


def _plain_dict(*pairs: Any) -> dict:
    if pairs not in ((), ([],), ({},)):
        raise ValueError("a dictionary that does not begin empty")
    return {}


def _plain_set(*values: Any) -> set:
    if len(values) > 1 or not all(isinstance(v, list) and all(isinstance(i, str) for i in v) for v in values):
        raise ValueError("a set of something else than names")
    return set(*values)


def _scalar(kind: Any, content: Any) -> float | int | bool:
    code = kind.args[0] if isinstance(kind, Record) and kind.args else None
    if not isinstance(code, str) or code not in _NUMBERS or not isinstance(content, bytes):
        raise ValueError("a number of an unknown type")
    return struct.unpack("<" + _NUMBERS[code], content)[0]


def _encode(text: Any, encoding: str) -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1", "utf-8"):
        raise ValueError("an unknown encoding")
    return text.encode(encoding)


def _record(name: str) -> Callable[..., Record]:
    def build(*args: Any) -> Record:
        return Record(name, args)

    return build


def _reconstructed(kind: Any, base: Any = None, state: Any = None) -> Any:
    """Stand for ``copyreg._reconstructor`` in old pickles: an empty instance of an allowed class."""
    if not isinstance(kind, Name):
        raise ValueError("an instance of no class")
    return kind.build()


def _no_bytes() -> bytes:
    """Stand for ``bytes()``: how protocol 2 writes no bytes."""
    return b""


def _not_called(*_: Any) -> None:
    raise ValueError("a type that is called")


ALLOWED: dict[str, Callable[..., Any]] = {
    "collections OrderedDict": _plain_dict,
    "dnnlib EasyDict": _plain_dict,
    "dnnlib.util EasyDict": _plain_dict,
    "builtins set": _plain_set,
    "__builtin__ set": _plain_set,
    "builtins dict": _plain_dict,
    "__builtin__ dict": _plain_dict,
    "__builtin__ bytes": _no_bytes,
    "builtins object": _not_called,
    "__builtin__ object": _not_called,
    "copyreg _reconstructor": _reconstructed,
    "copy_reg _reconstructor": _reconstructed,
    "argparse Namespace": _record("argparse.Namespace"),
    "_codecs encode": _encode,
    "models.utils.config BaseConfig": _record("models.utils.config.BaseConfig"),
    "numpy dtype": _record("numpy.dtype"),
    "numpy ndarray": _record("numpy.ndarray"),
    "torch Size": lambda *shape: shape[0] if shape else (),
    "torch device": _record("torch.device"),
    "torch._utils _rebuild_tensor": _tensor,
    "torch._utils _rebuild_tensor_v2": _tensor,
    "torch._utils _rebuild_parameter": _parameter,
    "torch.storage _load_from_bytes": _from_bytes,
    "torch.storage UntypedStorage": _not_called,
    "torch_utils.persistence _reconstruct_persistent_obj": _record("torch_utils.persistence._reconstruct_persistent_obj"),
    **{f"{numpy} scalar": _scalar for numpy in ("numpy.core.multiarray", "numpy._core.multiarray")},
    **{f"{numpy} _reconstruct": _record("numpy._reconstruct") for numpy in ("numpy.core.multiarray", "numpy._core.multiarray")},
    **{f"torch {name}": _not_called for name in DTYPES},
    **{f"torch {str(d).removeprefix('torch.')}": _not_called for d in DTYPES.values()},
}
"""Names a model file may mention, each with what is done instead of calling it."""
