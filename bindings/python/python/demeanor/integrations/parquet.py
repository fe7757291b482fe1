"""The rows of a file as a Parquet file: what the integrations have in common."""

from __future__ import annotations

import hashlib
import os
import pathlib
from typing import Any, TypedDict

from .. import FileReader

__all__ = ["Done", "FolderReader", "output"]


class Done(TypedDict):
    """What became of a file.

    path: the file. output: the Parquet file with its rows. rows: how many there are. error: why the file could not be read, or
    None. fresh: whether it was read now, rather than in a run before. worker: the number of the process.
    """

    path: str
    output: str
    rows: int
    error: str | None
    fresh: bool
    worker: int


def output(folder: str | os.PathLike[str], path: str) -> pathlib.Path:
    """The Parquet file for the rows of a file: its name comes from the path."""
    return pathlib.Path(folder) / f"{hashlib.sha256(os.fsencode(path)).hexdigest()[:32]}.parquet"


class FolderReader:
    """Reads files, and writes the rows of each as a Parquet file into a folder; needs pyarrow.

    folder: where the Parquet files are; it is made where it does not exist.
    fps, min_score: as those of FileReader, whose columns the files have.

    A file is written under another name first, so what has its own name is whole. To have a file read again, remove its output.
    """

    def __init__(self, folder: str | os.PathLike[str], *, fps: float | None = None, min_score: float | None = None):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.reader = FileReader(fps=fps, min_score=min_score)

    def read(self, path: str) -> Done:
        """Reads a file unless its rows are there."""
        import pyarrow
        import pyarrow.parquet

        whole = output(self.folder, path)
        fresh = not whole.exists()
        if fresh:
            table = pyarrow.table(self.reader.read(pyarrow.record_batch({"path": pyarrow.array([path], pyarrow.string())})))
            part = whole.with_name(f".{whole.name}.{os.getpid()}")
            pyarrow.parquet.write_table(table, part)
            os.replace(part, whole)
        else:
            table = pyarrow.parquet.read_table(whole, columns=["error"])
        errors: list[Any] = table.column("error").drop_null().to_pylist()
        return {
            "path": path,
            "output": str(whole),
            "rows": table.num_rows,
            "error": errors[0] if errors else None,
            "fresh": fresh,
            "worker": os.getpid(),
        }
