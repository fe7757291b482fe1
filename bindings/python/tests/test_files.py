"""Many files: FileReader, and a run of Daft that is killed and goes on."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy
import pytest
from PIL import Image

import demeanor
from conftest import PORTRAIT, VOICE, close

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

COLUMNS = [
    *["path", "kind", "start_s", "end_s", "face_id", "emotion", "score", "x", "y", "width", "height", "confidence", "quality"],
    *["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral", "calm", "contempt", "error"],
]


def read(*paths: object) -> list[dict]:
    batch = pyarrow.record_batch({"path": pyarrow.array([None if p is None else str(p) for p in paths], pyarrow.string())})
    table = pyarrow.table(demeanor.FileReader().read(batch))
    assert table.column_names == COLUMNS
    return table.to_pylist()


def test_files_of_every_kind(film: pathlib.Path, tmp_path: pathlib.Path) -> None:
    black = tmp_path / "black.png"
    Image.new("RGB", (64, 64)).save(black)
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff\xe0 no picture")
    rows = read(PORTRAIT, broken, VOICE, black, tmp_path / "nothing.wav", None, film, tmp_path)
    of = {path: [row for row in rows if row["path"] == str(path)] for path in (PORTRAIT, broken, VOICE, black, film)}
    (face,) = demeanor.FaceReader().read(PORTRAIT)
    (row,) = of[PORTRAIT]
    assert (row["kind"], row["face_id"], row["emotion"], row["error"]) == ("picture", 1, face.emotion, None)
    assert close({e: row[e] for e in face.scores}, face.scores) and row["calm"] is None
    assert close([row["x"], row["y"], row["width"], row["height"]], list(face.box))
    (row,) = of[broken]
    assert row["emotion"] is None and "JPEG" in row["error"].upper()
    segments = demeanor.SpeechReader().read(VOICE).segments
    assert [(r["start_s"], r["end_s"], r["emotion"], r["kind"]) for r in of[VOICE]] == [
        (s.start_s, s.end_s, s.emotion, "recording") for s in segments
    ]
    (row,) = of[black]
    assert row["emotion"] is None and row["error"] is None and row["kind"] == "picture"
    video = demeanor.read_video(film)
    assert len(of[film]) == sum(1 for r in video.rows if r["face_id"]) + len(video.segments)
    assert sum(row["error"] is not None for row in rows) == 4


def test_batches_of_every_library() -> None:
    reader = demeanor.FileReader()
    one = pyarrow.table(reader.read(pyarrow.table({"path": [str(PORTRAIT)], "other": [1]})))
    for kind in (pyarrow.large_string(), pyarrow.string_view()):
        batch = pyarrow.record_batch({"path": pyarrow.array([str(PORTRAIT)], kind)})
        assert pyarrow.table(reader.read(batch)).equals(one)
    polars = pytest.importorskip("polars")
    assert pyarrow.table(reader.read(polars.DataFrame({"path": [str(PORTRAIT)]}))).equals(one)
    assert len(reader.read(pyarrow.table({"path": pyarrow.array([], pyarrow.string())}))) == 0
    with pytest.raises(demeanor.DataError, match="the columns are file"):
        reader.read(pyarrow.table({"file": ["a"]}))
    with pytest.raises(demeanor.DataError, match="hold text"):
        reader.read(pyarrow.table({"path": [1]}))
    with pytest.raises((TypeError, ValueError)):
        reader.read(["a"])


def test_a_run_of_daft_that_is_killed_goes_on(tmp_path: pathlib.Path) -> None:
    pytest.importorskip("daft")
    files, rows = tmp_path / "files", tmp_path / "rows"
    files.mkdir()
    portrait = Image.open(PORTRAIT).convert("RGB")
    random = numpy.random.default_rng(1)
    for number in range(200):
        path = files / f"{number:03}.png"
        if number % 20 == 7:
            path.write_bytes(b"\x89PNG\r\n\x1a\n broken")
        else:
            left, top = random.integers(0, 40, 2)
            portrait.crop((left, top, portrait.width - 40 + left, portrait.height - 40 + top)).save(path)
    command = [sys.executable, str(pathlib.Path(__file__).with_name("daft_run.py")), str(files), str(rows)]
    # a run in a group of its own, all of which is killed after some files
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True)
    until = time.monotonic() + 120
    while len(list(rows.glob("*.parquet"))) < 40:
        assert child.poll() is None and time.monotonic() < until, "the run ended, or did nothing"
        time.sleep(0.01)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    time.sleep(0.5)
    before = {path: path.stat().st_mtime_ns for path in rows.glob("*.parquet")}
    assert 40 <= len(before) < 200
    # what was half written is not taken for whole
    (rows / ("0" * 32 + ".parquet.1")).write_bytes(b"half")
    done = json.loads(subprocess.run(command, capture_output=True, check=True).stdout.splitlines()[-1])
    assert sorted(row["path"] for row in done) == sorted(map(str, files.iterdir()))
    assert sum(not row["fresh"] for row in done) == len(before)
    assert all(path.stat().st_mtime_ns == time_ns for path, time_ns in before.items()), "read twice"
    assert len({row["worker"] for row in done if row["fresh"]}) == 2, "only one worker took files"
    table = pyarrow.concat_tables(parquet.read_table(path) for path in rows.glob("*.parquet"))
    read = table.column("path").to_pylist()
    assert set(read) == {str(path) for path in files.iterdir()} and len(list(rows.glob("*.parquet"))) == 200
    assert sum(error is not None for error in table.column("error").to_pylist()) == 10
    assert len(read) == sum(row["rows"] for row in done)
