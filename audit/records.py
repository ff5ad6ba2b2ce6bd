"""The run directory: one row an image in Parquet shards, features beside them; each file is whole or not there at all."""

import fcntl
import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from audit.digests import digest, file_digest
from audit.errors import RecordError, RunError


def write_whole(path: Path, content: bytes) -> None:
    """Write a file under a temporary name, flush it to disk, and rename it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise RunError(f"cannot write {path}: {error.strerror}; free space or choose another --out, then run the same command again") from None


class Run:
    """A run directory and what it holds.

    Args:
        path: the directory; made if it is not there.
        identity: what the images and readings depend on; a directory made for something else is refused, never mixed.
    """

    def __init__(self, path: Path, identity: dict | None = None) -> None:
        self.path = Path(path)
        if identity is not None:
            self._claim(identity)
        elif not (self.path / "run.json").is_file():
            raise RecordError(f"no run at {self.path}; make one with `genbias run SPEC --out {self.path}`")
        try:
            self.facts: dict = json.loads((self.path / "run.json").read_text())
        except json.JSONDecodeError:
            raise RecordError(f"{self.path / 'run.json'} is not JSON; delete the directory and run again") from None

    def _claim(self, identity: dict) -> None:
        mine, file = digest(identity), self.path / "run.json"
        if file.is_file():
            theirs = json.loads(file.read_text()).get("digest")
            if theirs != mine:
                raise RecordError(f"{self.path} holds another run (digest {str(theirs)[:12]}, this one is {mine[:12]}): its spec, seed or "
                                  f"weights differ; give another --out, or delete it")  # fmt: skip
            return
        if self.path.exists() and any(p.name != ".lock" for p in self.path.iterdir()):
            raise RecordError(f"{self.path} is not empty and is no run of genbias; give another --out")
        write_whole(file, json.dumps({"digest": mine, "identity": identity}, indent=1, sort_keys=True, default=str).encode())

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the directory for this process; the system lets go of it when the process ends, however it ends."""
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / ".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RecordError(f"another genbias command is writing to {self.path}; wait for it, or give another --out") from None
            yield

    def has_shard(self, generator: str, shard: int, rows: int) -> bool:
        """Return whether this shard is complete: listed with this many rows, its files there and unaltered."""
        entry = self._index(generator).get(str(shard))
        if entry is None or entry["rows"] != rows:
            return False
        return all((self.path / f).is_file() and file_digest(self.path / f) == d for f, d in entry["files"].items())

    def write_shard(self, generator: str, shard: int, frame: pd.DataFrame, features: dict[str, np.ndarray],
                    seconds: dict[str, float]) -> None:  # fmt: skip
        """Store one shard: features and rows first, the index last, so that an interrupted write leaves nothing listed."""
        files = {}
        for encoder, array in features.items():
            name = f"features/{generator}/{encoder}/shard-{shard:05d}.npy"
            write_whole(self.path / name, _npy(array))
            files[name] = file_digest(self.path / name)
        name = f"samples/{generator}/shard-{shard:05d}.parquet"
        sink = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), sink, compression="zstd")
        write_whole(self.path / name, sink.getvalue().to_pybytes())
        files[name] = file_digest(self.path / name)
        index = self._index(generator)
        index[str(shard)] = {"rows": len(frame), "files": files, "seconds": seconds}
        write_whole(self.path / f"samples/{generator}/index.json", json.dumps(index, indent=1, sort_keys=True).encode())

    def keep_first(self, generator: str, shards: int) -> None:
        """Forget shards beyond the first ``shards``: a run asked for fewer images than before measures just those."""
        index = self._index(generator)
        kept = {k: entry for k, entry in index.items() if int(k) < shards}
        if kept != index:
            write_whole(self.path / f"samples/{generator}/index.json", json.dumps(kept, indent=1, sort_keys=True).encode())

    def frame(self, generator: str) -> pd.DataFrame:
        """Return all rows of a generator in the order of their ids."""
        index = self._index(generator)
        if not index:
            raise RecordError(f"{self.path} has no samples of {generator!r}; run the same command again to collect them")
        shards = [f for k in sorted(index, key=int) for f in index[k]["files"] if f.endswith(".parquet")]
        return pd.concat([pd.read_parquet(self.path / f) for f in shards], ignore_index=True)

    def features(self, generator: str, encoder: str) -> np.ndarray:
        """Return (n, d) float32 features in the order of their ids."""
        index = self._index(generator)
        names = [f for k in sorted(index, key=int) for f in index[k]["files"] if f.startswith(f"features/{generator}/{encoder}/")]
        if not names:
            raise RecordError(f"{self.path} has no features {encoder!r} of {generator!r}")
        return np.concatenate([np.load(self.path / f, mmap_mode="r", allow_pickle=False) for f in names])

    def seconds(self, generator: str) -> dict[str, float]:
        """Return seconds spent on this generator by stage, added up over its shards."""
        total: dict[str, float] = {}
        for entry in self._index(generator).values():
            for stage, value in entry["seconds"].items():
                total[stage] = total.get(stage, 0.0) + value
        return total

    def _index(self, generator: str) -> dict:
        file = self.path / f"samples/{generator}/index.json"
        if not file.is_file():
            return {}
        try:
            return json.loads(file.read_text())
        except json.JSONDecodeError:
            raise RecordError(f"{file} is not JSON; delete it and run the same command again") from None


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(array, dtype=np.float32), allow_pickle=False)
    return buffer.getvalue()
