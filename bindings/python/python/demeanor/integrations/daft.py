"""Files with Daft, on one machine or a cluster: pip install demeanor[daft].

    import daft
    from demeanor.integrations.daft import read_files

    done = read_files(daft.from_glob_path("films/**"), "rows/", workers=8).collect()
    rows = daft.read_parquet("rows/*.parquet")
"""

from __future__ import annotations

import os
from typing import Any

import daft
from daft import DataType

from .parquet import FolderReader

__all__ = ["read_files"]

_DONE = DataType.struct(
    {
        "output": DataType.string(),
        "rows": DataType.int64(),
        "error": DataType.string(),
        "fresh": DataType.bool(),
        "worker": DataType.int64(),
    }
)


class _Worker:
    def __init__(self, folder: str, fps: float | None, min_score: float | None):
        self.reader = FolderReader(folder, fps=fps, min_score=min_score)

    # a file a task, so that no worker waits for another
    @daft.method.batch(return_dtype=_DONE, unnest=True, batch_size=1)
    def read(self, paths: Any) -> Any:
        return [dict(self.reader.read(path)) for path in paths.to_pylist()]


def read_files(
    frame: daft.DataFrame,
    folder: str | os.PathLike[str],
    *,
    workers: int = 1,
    fps: float | None = None,
    min_score: float | None = None,
) -> daft.DataFrame:
    """Reads the files in the column `path` of a frame, with so many processes of one thread each.

    Returns a frame, not yet computed, with a row for each file: the columns of parquet.Done. Options as FolderReader.
    """
    made = daft.cls(_Worker, cpus=1, use_process=True, max_concurrency=workers)
    worker = made(os.fspath(folder), fps, min_score)
    return frame.select(daft.col("path"), worker.read(daft.col("path")))
