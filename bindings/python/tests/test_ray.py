"""Files with Ray: one actor, in local mode. Run by ./integrations."""

import pathlib
import shutil

import pytest

from conftest import PORTRAIT

dataset = pytest.importorskip("pyarrow.dataset")
ray = pytest.importorskip("ray")


def test_one_actor_reads_all_files_once(tmp_path: pathlib.Path) -> None:
    import ray.data

    from demeanor.integrations.ray import read_files

    files = tmp_path / "files"
    files.mkdir()
    for number in range(6):
        shutil.copy(PORTRAIT, files / f"{number}.png")
    (files / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        paths = ray.data.from_items([{"path": str(path)} for path in sorted(files.iterdir())])
        done = read_files(paths, tmp_path / "rows", workers=1).take_all()
        again = read_files(paths, tmp_path / "rows", workers=1).take_all()
    finally:
        ray.shutdown()
    assert sorted(row["path"] for row in done) == sorted(map(str, files.iterdir()))
    assert all(row["fresh"] for row in done) and not any(row["fresh"] for row in again)
    assert [row["path"] for row in done if row["error"]] == [str(files / "broken.png")]
    assert len({row["worker"] for row in done}) == 1
    assert dataset.dataset(tmp_path / "rows", format="parquet").count_rows() == 7
