"""Files on a Ray cluster: pip install demeanor[ray].

    import ray
    from demeanor.integrations.ray import read_files

    done = read_files(ray.data.from_items([{"path": path} for path in paths]), "rows/", workers=8)
    print(done.sum("rows"))
"""

from __future__ import annotations

import os
from typing import Any

import ray.data

from .parquet import FolderReader

__all__ = ["read_files"]


class _Actor:
    def __init__(self, folder: str, fps: float | None, min_score: float | None):
        self.reader = FolderReader(folder, fps=fps, min_score=min_score)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return dict(self.reader.read(row["path"]))


def read_files(
    dataset: ray.data.Dataset,
    folder: str | os.PathLike[str],
    *,
    workers: int = 1,
    fps: float | None = None,
    min_score: float | None = None,
) -> ray.data.Dataset:
    """Reads the files in the column `path` of a dataset, with so many actors of one thread each.

    Returns a dataset, not yet computed, with a row for each file: the columns of parquet.Done. Options as FolderReader.
    """
    arguments = (os.fspath(folder), fps, min_score)
    return dataset.map(_Actor, fn_constructor_args=arguments, concurrency=workers, num_cpus=1)
