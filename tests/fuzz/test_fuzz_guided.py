"""Mutations guided by coverage: what reaches a new line of the readers is kept and mutated further."""

import random
import sys
import time

import pytest

from audit.errors import GenbiasError
from audit.generators.weights import read_weights
from audit.sources.decode import decode
from audit.spec import load_spec
from tests.fuzz.mutations import mutated

SECONDS = 40


class Lines:
    """Lines of the package that were run, told by sys.settrace: (file, line)."""

    def __init__(self):
        self.seen = set()

    def __enter__(self):
        sys.settrace(self._call)
        return self

    def __exit__(self, *_):
        sys.settrace(None)

    def _call(self, frame, event, argument):
        return self._line if "/audit/" in frame.f_code.co_filename else None

    def _line(self, frame, event, argument):
        if event == "line":
            self.seen.add((frame.f_code.co_filename, frame.f_lineno))
        return self._line


def explore(read, starts, *, seconds, seed=0, most=10**9):
    """Return inputs that reached new lines, and how many were tried; an exception that is no refusal ends the search."""
    luck, corpus, known, tried = random.Random(seed), list(starts), set(), 0
    end = time.monotonic() + seconds
    while time.monotonic() < end and tried < most:
        data = mutated(luck.choice(corpus), luck) if tried >= len(starts) else starts[tried]
        tried += 1
        with Lines() as lines:
            try:
                read(data)
            except GenbiasError:
                pass
            except Exception as problem:
                raise AssertionError(f"{type(problem).__name__}: {problem} on {data[:200]!r}") from problem
        if lines.seen - known:
            known |= lines.seen
            corpus.append(data)
    return corpus, tried


def test_the_guide_keeps_what_reaches_new_lines_and_reports_what_breaks():
    def picky(data):
        load_or_refuse = data[:1]
        if load_or_refuse == b"!":
            raise KeyError("broken")

    with pytest.raises(AssertionError, match="KeyError"):
        explore(picky, [b"!abc"], seconds=5, most=3)
    corpus, tried = explore(decode, [b"", b"\x89PNG\r\n\x1a\n"], seconds=5, most=30)
    assert tried == 30
    assert len(corpus) > 2


@pytest.mark.slow
def test_specs(spec_texts, tmp_path):
    def read(data):
        (tmp_path / "s.yaml").write_bytes(data)
        load_spec(str(tmp_path / "s.yaml"))

    _, tried = explore(read, [t.encode() for t in spec_texts.values() if len(t) < 3000], seconds=SECONDS)
    assert tried > 20


@pytest.mark.slow
def test_pictures(pictures):
    _, tried = explore(decode, list(pictures.values()), seconds=SECONDS)
    assert tried > 100


@pytest.mark.slow
def test_weights(weights, tmp_path):
    def read(data):
        (tmp_path / "w.safetensors").write_bytes(data)
        read_weights(tmp_path / "w.safetensors")

    _, tried = explore(read, [weights], seconds=SECONDS)
    assert tried > 100
