"""read_video, and tables."""

import csv
import io
import pathlib
import signal
import subprocess
import sys
import time

import pytest

import demeanor
from conftest import ROOT, close, program


@pytest.fixture(scope="module")
def video(film: pathlib.Path) -> demeanor.Video:
    return demeanor.read_video(film)


def of_program(film: object, *options: object) -> str:
    command = [sys.executable, "-m", "demeanor", "video", film, "--csv", "-", *options]
    return subprocess.run(list(map(str, command)), capture_output=True, check=True, text=True).stdout


def test_csv_is_that_of_the_command_line(video: demeanor.Video, film: pathlib.Path, tmp_path: pathlib.Path) -> None:
    expected = of_program(film)
    assert video.to_csv() == expected
    assert expected.count("\n") > 50 and ",happy," in expected.splitlines()[0]
    assert video.to_csv(tmp_path / "v.csv") is None
    assert (tmp_path / "v.csv").read_text() == expected
    with pytest.raises(demeanor.FileError, match="cannot write"):
        video.to_csv(tmp_path)


def test_options_are_those_of_the_command_line(film: pathlib.Path) -> None:
    read = demeanor.read_video(film, start_s=0.5, to_s=1.5, fps=5, detector="haar", smooth_s=0.1, min_score=0.9)
    options = ["--start", 0.5, "--to", 1.5, "--fps", 5, "--detector", "haar", "--smooth", 100, "--min-score", 0.9]
    assert read.to_csv() == of_program(film, *options)


def test_rows_are_those_of_the_csv(video: demeanor.Video) -> None:
    lines = list(csv.DictReader(io.StringIO(video.to_csv())))
    rows = video.rows
    assert len(rows) == len(lines) == len(video) and list(rows[0]) == list(lines[0]) == video.column_names
    for row, line in zip(rows, lines):
        for name, value in row.items():
            if value is None:
                assert line[name] == "", name
            elif isinstance(value, str):
                assert line[name] == value
            else:
                assert float(line[name]) == pytest.approx(value, abs=0.0501 if abs(value) > 1 else 0.000501), name
    assert any(row["success"] for row in rows) and {row["face_id"] for row in rows} >= {0, 1}


def test_estimates_are_the_json_of_the_command_line(video: demeanor.Video, film: pathlib.Path) -> None:
    lines = program("video", "--json", film)
    assert close([estimate.to_dict() for estimate in video.estimates], lines)
    assert video.frames == len(lines) and video.duration_s == pytest.approx(3.0, abs=0.2)
    assert video.segments and video.warnings == ()


def test_pandas_polars_pyarrow_and_duckdb_read_it(video: demeanor.Video) -> None:
    duckdb = pytest.importorskip("duckdb")
    pandas = pytest.importorskip("pandas")
    polars = pytest.importorskip("polars")
    pyarrow = pytest.importorskip("pyarrow")
    table = pyarrow.table(video)
    assert table.column_names == video.column_names and table.num_rows == len(video)
    for row, expected in zip(table.to_pylist(), video.rows):
        assert close(row, expected)
    frame = polars.DataFrame(video)
    assert frame.columns == video.column_names and close(frame.to_dicts(), video.rows)
    assert pandas.DataFrame.from_arrow(video).shape == (len(video), len(video.column_names))
    rows = video.to_table()
    count, top = duckdb.sql("SELECT count(*), max(happy) FROM rows").fetchall()[0]
    assert count == len(video) and top == pytest.approx(max(row["happy"] or 0 for row in video.rows))
    assert pyarrow.record_batch(rows).num_rows == len(rows) == len(video)
    assert pyarrow.schema(rows).names == rows.column_names


def test_progress_is_told_and_may_end_it(film: pathlib.Path) -> None:
    told: list[tuple[float, float | None]] = []
    demeanor.read_video(film, progress=lambda done_s, of_s: told.append((done_s, of_s)))
    assert [done for done, _ in told] == sorted(done for done, _ in told) and told[-1][0] > 2.5 and told[-1][1] == pytest.approx(3.0, abs=0.2)

    def stop(done_s: float, of_s: float | None) -> None:
        raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        demeanor.read_video(film, progress=stop)


def test_ctrl_c_ends_it(film: pathlib.Path, tmp_path: pathlib.Path) -> None:
    long = tmp_path / "long.mp4"
    command = ["ffmpeg", "-v", "error", "-stream_loop", "200", "-i", film, "-c", "copy", long]
    subprocess.run(command, check=True)
    code = (
        "import sys, demeanor\n"
        "try:\n"
        "    demeanor.read_video(sys.argv[1], progress=lambda a, b: print('going', flush=True))\n"
        "except KeyboardInterrupt:\n"
        "    print('stopped')\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code, long], stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "going\n"
    asked = time.monotonic()
    child.send_signal(signal.SIGINT)
    rest = child.stdout.read()
    assert child.wait() == 0 and rest.endswith("stopped\n")
    assert time.monotonic() - asked < 5


@pytest.mark.parametrize(
    "path, options, error",
    [
        ("nothing.mp4", {}, demeanor.FileError),
        (__file__, {}, demeanor.Error),
        (7, {}, demeanor.InputError),
        ("f", {"start_s": -1}, demeanor.SettingError),
        ("f", {"start_s": 2, "to_s": 1}, demeanor.SettingError),
        ("f", {"fps": 0}, demeanor.SettingError),
        ("f", {"track": 0}, demeanor.SettingError),
        ("f", {"face_model": "x"}, demeanor.ModelError),
    ],
)
def test_what_is_no_film_is_told(path: object, options: dict, error: type) -> None:
    with pytest.raises(error):
        demeanor.read_video(path, **options)


def test_without_ffmpeg_it_says_what_to_install(film: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMEANOR_FFMPEG", str(ROOT / "no-such-program"))
    with pytest.raises(demeanor.DeviceError, match="install"):
        demeanor.read_video(film)
