"""Reads pickles as data: a small machine that knows the opcodes model files use and the few names they mention.

A pickle is a program; Python's own reader imports and calls whatever it names. This one imports nothing. A name is looked up in
a table given by the caller, whose entries build plain values (dicts, numbers, :class:`Record`, stored tensors); any other name,
opcode or kind of key is refused with a sentence. Lengths are compared with the bytes that are there before anything is read.
"""

import io
import mmap
import pickletools
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

from audit.errors import ManifestError

OPERATIONS = 1_000_000
"""Opcodes a pickle may have; the public 1024-pixel generators have about twenty thousand."""

LONGEST_TEXT = 1 << 20
"""Characters of one text or line."""

LONGEST_NUMBER = 16
"""Bytes of one whole number."""

_MARK = object()
_BUILDS_NOTHING = "it is refused, since a model file has no need of it; convert the model with its own code, where you trust it"


@dataclass
class Record:
    """An object of the file that is kept as data: what it was called and what it was given.

    Attributes:
        name: module and class, as the file names them.
        args: what its constructor was called with.
        state: what the file sets afterwards, None when nothing.
    """

    name: str
    args: tuple = ()
    state: Any = None


@dataclass(frozen=True)
class Name:
    """A name that the caller allows, and what stands in for calling it."""

    name: str
    build: Callable[..., Any] = field(compare=False)


class ByteView(io.RawIOBase):
    """A stream over bytes or a memory map that never reads, nor makes room for, more than there is."""

    def __init__(self, content: bytes | memoryview | mmap.mmap, start: int = 0) -> None:
        super().__init__()
        self._content, self._at, self._end = content, start, len(content)

    def read(self, n: int = -1) -> bytes:
        if n < 0 or n > self._end - self._at:
            n = self._end - self._at
        self._at += n
        return bytes(self._content[self._at - n : self._at])

    def readline(self, size: int | None = -1) -> bytes:
        line = bytes(self._content[self._at : min(self._end, self._at + LONGEST_TEXT)])
        line = line[: line.find(b"\n") + 1]
        self._at += len(line)
        return line

    def tell(self) -> int:
        return self._at


def read_pickle(stream: ByteView, allowed: Mapping[str, Callable[..., Any]], *, where: str,
                stored: Callable[[tuple], Any] | None = None, longest: int = LONGEST_TEXT) -> Any:  # fmt: skip
    """Return what one pickle holds, built from ``allowed`` names only; the stream is left behind its end.

    Args:
        stream: where the pickle begins.
        allowed: "module name" -> what is done instead of calling it; receives the arguments, returns plain values.
        where: the file's name for error sentences.
        stored: resolves persistent ids (torch keeps storages outside of the pickle); None = there are none.
        longest: characters of one text; Python 2 wrote the bytes of arrays as text.

    Raises:
        ManifestError: it is cut short or damaged, or it names, does or contains what a model file has no need of.

    Example:
        >>> import pickle
        >>> read_pickle(ByteView(pickle.dumps({"a": [1, 2.5, "x"]})), {}, where="x.pkl")
        {'a': [1, 2.5, 'x']}
    """
    machine = _Machine(allowed, stored, where, longest)
    try:
        for count, (code, argument, _) in enumerate(pickletools.genops(stream)):
            if count > OPERATIONS:
                raise ManifestError(f"{where} has more than {OPERATIONS:,} pickle operations; model files have far fewer, so it is refused")
            if code.name == "STOP":
                return machine.pop()
            machine.step(code.name, argument)
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, AttributeError) as problem:
        said = " ".join(str(problem).split())[:120]
        raise ManifestError(f"{where} is damaged or cut short ({said or type(problem).__name__}); get it again") from None
    raise ManifestError(f"{where} is cut short: its pickle does not end; get it again")


def shown(value: Any, most: int = 60) -> str:
    """Return what an error sentence says of a value from a file: short, on one line, and never the inside of a nest.

    Example:
        >>> shown("conv1"), shown(2.5), shown((1, 2)), shown("a" + chr(10) + "b")
        ('conv1', '2.5', 'a tuple', 'a?b')
    """
    if value is None or isinstance(value, bool | float):
        return str(value)
    if isinstance(value, int):
        return str(value) if value.bit_length() <= 8 * LONGEST_NUMBER else "a long number"
    if isinstance(value, str):
        return "".join(c if c.isprintable() else "?" for c in value[:most])
    return _kind(value)


class _Machine:
    """Stack, memo and the opcodes."""

    def __init__(self, allowed: Mapping[str, Callable[..., Any]], stored: Callable[[tuple], Any] | None, where: str, longest: int) -> None:
        self.allowed, self.stored, self.where, self.longest = allowed, stored, where, longest
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def pop(self) -> Any:
        value = self.stack.pop()
        if value is _MARK:
            raise ValueError("a value is missing on its stack")
        return value

    def since_mark(self) -> list[Any]:
        for i in range(len(self.stack) - 1, -1, -1):
            if self.stack[i] is _MARK:
                values = self.stack[i + 1 :]
                del self.stack[i:]
                return values
        raise ValueError("a mark is missing on its stack")

    def step(self, code: str, argument: Any) -> None:
        """Carry out one opcode."""
        if code in _CONSTANTS:
            self.stack.append(_CONSTANTS[code])
        elif code in _VALUES:
            if isinstance(argument, str) and len(argument) > self.longest:
                raise ManifestError(f"{self.where} holds a text of {len(argument):,} characters; refused, model files hold none so long")
            if isinstance(argument, int) and argument.bit_length() > 8 * LONGEST_NUMBER:
                raise ManifestError(f"{self.where} holds a whole number of {argument.bit_length():,} bits; refused, model files hold none")
            self.stack.append(argument)
        elif code in _EMPTY:
            self.stack.append(_EMPTY[code]())
        elif code == "MARK":
            self.stack.append(_MARK)
        elif code == "MEMOIZE":
            self.memo[len(self.memo)] = self.top()
        elif code in ("BINPUT", "LONG_BINPUT", "PUT"):
            self.memo[argument] = self.top()
        elif code in ("BINGET", "LONG_BINGET", "GET"):
            self.stack.append(self.memo[argument])
        elif code in _METHODS:
            _METHODS[code](self)
        elif code in ("GLOBAL", "STACK_GLOBAL"):
            self.stack.append(self.name(argument))
        elif code not in ("PROTO", "FRAME"):
            raise ManifestError(f"{self.where} uses the pickle operation {code}; {_BUILDS_NOTHING}")

    def top(self) -> Any:
        if self.stack[-1] is _MARK:
            raise ValueError("a value is missing on its stack")
        return self.stack[-1]

    def name(self, argument: str | None) -> Name:
        if argument is None:
            last, first = self.pop(), self.pop()
            if not isinstance(first, str) or not isinstance(last, str):
                raise ValueError("a name that is no text")
            argument = f"{first} {last}"
        if argument not in self.allowed:
            raise ManifestError(f"{self.where} names {shown(argument.replace(' ', '.'), 100)!r}; {_BUILDS_NOTHING}")
        return Name(argument, self.allowed[argument])

    def call(self) -> None:
        arguments, what = self.pop(), self.pop()
        if not isinstance(what, Name) or not isinstance(arguments, tuple):
            raise ManifestError(f"{self.where} calls {_kind(what)} with {_kind(arguments)}; {_BUILDS_NOTHING}")
        self.stack.append(what.build(*arguments))

    def build(self) -> None:
        state, target = self.pop(), self.top()
        if isinstance(target, Record):
            target.state = state
        elif not isinstance(target, dict):  # the attributes of a dict (torch's _metadata) mean nothing here
            raise ManifestError(f"{self.where} sets the state of {_kind(target)}; {_BUILDS_NOTHING}")

    def persistent(self) -> None:
        key = self.pop()
        if self.stored is None or not isinstance(key, tuple):
            raise ManifestError(f"{self.where} refers to data outside of its pickle ({_kind(key)}); {_BUILDS_NOTHING}")
        self.stack.append(self.stored(key))

    def append(self, values: list[Any]) -> None:
        target = self.top()
        if type(target) is not list:
            raise ValueError(f"values appended to {_kind(target)}")
        target.extend(values)

    def insert(self, pairs: list[Any]) -> None:
        target = self.top()
        if type(target) is not dict or len(pairs) % 2:
            raise ValueError(f"items set in {_kind(target)}")
        target.update(zip(map(_key, pairs[::2]), pairs[1::2], strict=True))

    def add(self, values: list[Any]) -> None:
        target = self.top()
        if type(target) is not set:
            raise ValueError(f"values added to {_kind(target)}")
        target.update(map(_key, values))

    def last(self, n: int) -> list[Any]:
        return [self.pop() for _ in range(n)][::-1]


_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_VALUES = {"INT", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8",
           "SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "SHORT_BINSTRING", "BINSTRING"}  # fmt: skip
_EMPTY: dict[str, Callable[[], Any]] = {"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_SET": set}
_METHODS: dict[str, Callable[[_Machine], None]] = {
    "TUPLE": lambda m: m.stack.append(tuple(m.since_mark())),
    "TUPLE1": lambda m: m.stack.append(tuple(m.last(1))),
    "TUPLE2": lambda m: m.stack.append(tuple(m.last(2))),
    "TUPLE3": lambda m: m.stack.append(tuple(m.last(3))),
    "APPEND": lambda m: m.append(m.last(1)),
    "APPENDS": lambda m: m.append(m.since_mark()),
    "SETITEM": lambda m: m.insert(m.last(2)),
    "SETITEMS": lambda m: m.insert(m.since_mark()),
    "ADDITEMS": lambda m: m.add(m.since_mark()),
    "REDUCE": _Machine.call,
    "NEWOBJ": _Machine.call,
    "BUILD": _Machine.build,
    "BINPERSID": _Machine.persistent,
}


def _key(value: Any) -> Hashable:
    # Hashing a nest of tuples can take as long as its author likes, so keys are plain.
    if not isinstance(value, str | bytes | int | float):
        raise ValueError(f"{_kind(value)} as a key")
    return value


def _kind(value: Any) -> str:
    if isinstance(value, Name | Record):
        return shown(value.name.replace(" ", "."), 100)
    return "a mark" if value is _MARK else f"a {type(value).__name__}"
