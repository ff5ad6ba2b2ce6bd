"""The run directory: one row an image in Parquet shards, features beside them; each file is whole or not there at all.

A shard's files are written first and listed in the index afterwards, with their checksums, so a write that never ended leaves nothing
listed. Files may be written by many processes; the index is written by one, who holds the directory.
"""

import hashlib
import io
import json
from collections.abc import Container
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from audit.digests import digest
from audit.errors import RecordError, RunError
from audit.storage import open_storage, write_whole

__all__ = ["Entry", "Run", "write_whole"]

Entry = dict[str, Any]
"""What the index says of a shard: ``rows``, ``files`` {name: sha256}, ``seconds`` by stage, and ``notes`` where something was odd."""


class Run:
    """A run directory and what it holds.

    Args:
        path: the directory, or an fsspec location such as ``s3://bucket/run``; made if it is not there.
        identity: what the images and readings depend on; a directory made for something else is refused, never mixed.

    Attributes:
        path: the directory; of an fsspec location the working copy.
        location: as it was given.
        facts: what ``run.json`` says.
    """

    def __init__(self, path: Path | str, identity: dict | None = None) -> None:
        self.storage = open_storage(path)
        self.path, self.location = self.storage.root, self.storage.location
        if identity is not None:
            self._claim(identity)
        facts = self._facts()
        if facts is None:
            raise RecordError(f"no run at {self.location}; make one with `genbias run SPEC --out {self.location}`")
        self.facts: dict = facts

    def _facts(self) -> dict | None:
        try:
            file = self.storage.fetch("run.json")
            return None if file is None else json.loads(file.read_text())
        except (json.JSONDecodeError, UnicodeDecodeError):
            raise RecordError(f"{self.location}/run.json is not JSON; delete the directory and run again") from None
        except RunError as problem:
            raise RecordError(str(problem)) from None

    def _claim(self, identity: dict) -> None:
        mine, facts = digest(identity), self._facts()
        if facts is not None:
            theirs = facts.get("digest") if isinstance(facts, dict) else None
            if theirs != mine:
                raise RecordError(f"{self.location} holds another run (digest {str(theirs)[:12]}, this one is {mine[:12]}): its spec, seed or "
                                  f"weights differ; give another --out, or delete it")  # fmt: skip
            return
        try:
            if not self.storage.is_empty():
                raise RecordError(f"{self.location} is not empty and is no run of genbias; give another --out")
            self.write("run.json", json.dumps({"digest": mine, "identity": identity}, indent=1, sort_keys=True, default=str).encode())
        except OSError as problem:
            raise RecordError(f"{self.location} cannot be used: {problem.strerror}; expected a folder, or nothing there yet") from None
        except RunError as problem:  # nothing has begun, so this is a mistake in the command and no failure of the run
            raise RecordError(str(problem)) from None

    def locked(self) -> AbstractContextManager[None]:
        """Hold the directory for this process, see :meth:`audit.storage.Storage.locked`."""
        return self.storage.locked()

    def write(self, name: str, content: bytes) -> None:
        """Store a file of the run whole or not at all."""
        self.storage.write(name, content)

    def has_shard(self, generator: str, shard: int, rows: int) -> bool:
        """Return whether this shard is complete: listed with this many rows, its files there and unaltered."""
        entry = self._index(generator).get(str(shard))
        if entry is None or entry["rows"] != rows:
            return False
        return all(self.storage.fetch(f, d) is not None for f, d in entry["files"].items())

    def write_shard(self, generator: str, shard: int, frame: pd.DataFrame, features: dict[str, np.ndarray],
                    seconds: dict[str, float]) -> None:  # fmt: skip
        """Store one shard: features and rows first, the index last, so that an interrupted write leaves nothing listed."""
        self.list_shard(generator, shard, self.write_files(generator, shard, frame, features, seconds))

    def write_files(self, generator: str, shard: int, frame: pd.DataFrame, features: dict[str, np.ndarray], seconds: dict[str, float],
                    notes: list[str] | None = None) -> Entry:  # fmt: skip
        """Store the files of one shard and return what :meth:`list_shard` will list; any process may do this."""
        contents = {f"features/{generator}/{encoder}/shard-{shard:05d}.npy": _npy(array) for encoder, array in features.items()}
        sink = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), sink, compression="zstd")
        contents[f"samples/{generator}/shard-{shard:05d}.parquet"] = sink.getvalue().to_pybytes()
        for name, content in contents.items():
            self.write(name, content)
        files = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
        return {"rows": len(frame), "files": files, "seconds": seconds} | ({"notes": notes} if notes else {})

    def list_shard(self, generator: str, shard: int, entry: Entry) -> None:
        """List a shard whose files are stored; only who holds the directory may do this."""
        self._write_index(generator, self._index(generator) | {str(shard): entry})

    def keep_first(self, generator: str, shards: int) -> None:
        """Forget shards beyond the first ``shards``: a run asked for fewer images than before measures just those."""
        index = self._index(generator)
        kept = {k: entry for k, entry in index.items() if int(k) < shards}
        if kept != index:
            self._write_index(generator, kept)

    def frame(self, generator: str, shards: Container[int] | None = None) -> pd.DataFrame:
        """Return all rows of a generator, or those of some of its shards, in the order of their ids."""
        index = self._index(generator)
        names = [f for k in sorted(index, key=int) if shards is None or int(k) in shards for f in index[k]["files"] if f.endswith(".parquet")]
        if not names:
            raise RecordError(f"{self.location} has no samples of {generator!r}; run the same command again to collect them")
        return pd.concat([pd.read_parquet(self._stored(f, index)) for f in names], ignore_index=True)

    def features(self, generator: str, encoder: str) -> np.ndarray:
        """Return (n, d) float32 features in the order of their ids."""
        index = self._index(generator)
        names = [f for k in sorted(index, key=int) for f in index[k]["files"] if f.startswith(f"features/{generator}/{encoder}/")]
        if not names:
            raise RecordError(f"{self.location} has no features {encoder!r} of {generator!r}")
        return np.concatenate([np.load(self._stored(f, index), mmap_mode="r", allow_pickle=False) for f in names])

    def notes(self, generator: str) -> list[str]:
        """Return what was odd while this generator's shards were collected, in their order, each once."""
        index = self._index(generator)
        return list(dict.fromkeys(note for k in sorted(index, key=int) for note in index[k].get("notes", [])))

    def _stored(self, name: str, index: dict[str, Entry]) -> Path:
        """Return a local path of a listed file."""
        path = self.path / name
        if path.is_file():
            return path  # has_shard looked at its checksum when the run began
        found = self.storage.fetch(name, next(e["files"][name] for e in index.values() if name in e["files"]))
        if found is None:
            raise RecordError(f"{self.location}/{name} is listed and is not there, or was altered; run the same command again")
        return found

    def seconds(self, generator: str) -> dict[str, float]:
        """Return seconds spent on this generator by stage, added up over its shards."""
        total: dict[str, float] = {}
        for entry in self._index(generator).values():
            for stage, value in entry["seconds"].items():
                total[stage] = total.get(stage, 0.0) + value
        return total

    def _index(self, generator: str) -> dict[str, Entry]:
        name = f"samples/{generator}/index.json"
        file = self.storage.fetch(name)
        if file is None:
            return {}
        try:
            return json.loads(file.read_text())
        except (json.JSONDecodeError, UnicodeDecodeError):
            raise RecordError(f"{self.location}/{name} is not JSON; delete it and run the same command again") from None

    def _write_index(self, generator: str, index: dict[str, Entry]) -> None:
        self.write(f"samples/{generator}/index.json", json.dumps(index, indent=1, sort_keys=True).encode())


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(array, dtype=np.float32), allow_pickle=False)
    return buffer.getvalue()
