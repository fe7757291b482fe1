"""FaceReader: the answers of the command line, for pictures of every kind."""

import json
import math
import pathlib
import subprocess
import sys
import threading

import numpy
import pytest
from PIL import Image

import demeanor
from conftest import PORTRAIT, ROOT, close, program

READER = demeanor.FaceReader()


def told(picture: object, **options: bool) -> list[dict]:
    return [face.to_dict() for face in READER.read(picture, **options)]


@pytest.fixture(scope="module")
def expected(portrait: numpy.ndarray) -> list[dict]:
    faces = told(portrait)
    assert len(faces) == 1 and faces[0]["landmarks"] is not None
    return faces


def test_pictures_read_as_the_command_line_says() -> None:
    pictures = [p for p in sorted((ROOT / "testdata").rglob("*")) if p.suffix in (".png", ".jpg")]
    pictures = [PORTRAIT, *pictures[:: max(1, len(pictures) // 20)]]
    # pictures that are damaged on purpose are errors of both
    command = [sys.executable, "-m", "demeanor", "face", "--json", *map(str, pictures)]
    lines = map(json.loads, subprocess.run(command, capture_output=True).stdout.splitlines())
    expected = {line["file"]: line["faces"] for line in lines}
    assert len(expected) >= 10 and sum(map(len, expected.values())) >= 2
    for picture in map(str, pictures):
        try:
            faces = told(picture)
        except demeanor.FileError:
            assert picture not in expected
        else:
            assert close(faces, expected[picture]), picture


def test_dict_is_the_json_of_the_command_line_to_the_last_digit(expected: list[dict]) -> None:
    assert expected == program("face", "--json", PORTRAIT)[0]["faces"]
    assert json.loads(json.dumps(expected)) == expected


def test_a_face_is_typed_and_frozen(portrait: numpy.ndarray) -> None:
    (face,) = READER.read(portrait)
    assert isinstance(face, demeanor.Face)
    assert face.emotion in face.scores and math.isclose(sum(face.scores.values()), 1, abs_tol=1e-5)
    assert face.score == max(face.scores.values()) == face.scores[face.emotion]
    x, y, w, h = face.box
    assert 0 < w < portrait.shape[1] and 0 < h < portrait.shape[0] and x == face.box.x and y == face.box.y
    assert face.landmarks.right_eye.x < face.landmarks.left_eye.x
    with pytest.raises(AttributeError):
        face.score = 1.0


@pytest.mark.parametrize(
    "dtype", ["u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", ">u2", ">i4", ">f4", ">f8", "longdouble"]
)
def test_arrays_of_every_type(portrait: numpy.ndarray, expected: list[dict], dtype: str) -> None:
    kind = numpy.dtype(dtype)
    array = (portrait / 255.0).astype(kind) if kind.kind == "f" else portrait.astype(kind)
    assert close(told(array), expected)


def test_arrays_of_every_stride(portrait: numpy.ndarray, expected: list[dict]) -> None:
    height, width, _ = portrait.shape
    padded = numpy.zeros((height + 4, width + 6, 5), numpy.uint8)
    padded[2:-2, 3:-3, 1:4] = portrait
    wide = numpy.repeat(numpy.repeat(portrait, 2, axis=0), 3, axis=1)
    read_only = portrait.copy()
    read_only.flags.writeable = False
    for array in [
        numpy.asfortranarray(portrait),
        padded[2:-2, 3:-3, 1:4],
        wide[::2, ::3],
        portrait[::-1, ::-1].copy()[::-1, ::-1],
        portrait.transpose(2, 0, 1).copy().transpose(1, 2, 0),
        read_only,
        numpy.frombuffer(b"x" + portrait.tobytes(), numpy.uint8, offset=1).reshape(portrait.shape),
        numpy.ma.masked_array(portrait),
    ]:
        assert told(array) == expected
    assert told(portrait[..., ::-1], bgr=True) == expected
    floats = numpy.asfortranarray(portrait / 255.0)[::-1].copy()[::-1]
    assert told(floats) == expected


def test_grey_and_four_channels(portrait: numpy.ndarray, expected: list[dict]) -> None:
    grey = numpy.asarray(Image.fromarray(portrait).convert("L"))
    (face,) = told(grey)
    assert told(grey[..., None]) == told(numpy.repeat(grey[..., None], 3, axis=2)) == [face]
    alpha = numpy.dstack([portrait, numpy.arange(portrait.shape[1], dtype=numpy.uint8)[None].repeat(len(portrait), 0)])
    assert told(alpha) == expected
    assert told(alpha[..., [2, 1, 0, 3]], bgr=True) == expected


def test_batches(portrait: numpy.ndarray, expected: list[dict]) -> None:
    black = numpy.zeros_like(portrait)
    batch = numpy.stack([portrait, black, portrait[:, ::-1]])
    single = [READER.read(picture) for picture in batch]
    for threads in (1, 2, 5):
        assert demeanor.FaceReader(threads=threads).read(batch) == single
    assert READER.read(list(batch)) == READER.read(tuple(batch)) == single
    assert READER.read([PORTRAIT, portrait, Image.open(PORTRAIT)])[0][0].to_dict() == expected[0]
    assert READER.read(batch[..., ::-1], bgr=True) == single
    assert single[1] == []
    for nothing in ([], (), batch[:0], numpy.zeros((0, 0, 0, 3))):
        assert READER.read(nothing) == []


def test_images_of_pillow(portrait: numpy.ndarray, expected: list[dict], tmp_path: pathlib.Path) -> None:
    image = Image.fromarray(portrait)
    assert told(image) == expected
    assert told(image.convert("RGBA")) == expected
    transparent = image.convert("RGBA")
    transparent.putalpha(Image.linear_gradient("L").resize(image.size))
    for picture in (image.convert("P"), image.convert("L"), image.convert("1"), image.convert("LA"), transparent):
        picture.save(tmp_path / "p.png")
        assert told(picture) == told(tmp_path / "p.png"), picture.mode
    turned = image.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.png", exif=exif)
    assert told(Image.open(tmp_path / "turned.png")) == told(tmp_path / "turned.png") == expected
    with pytest.raises(demeanor.InputError, match="mode F"):
        READER.read(image.convert("F"))


def test_whole_pictures(portrait: numpy.ndarray) -> None:
    (face,) = READER.read(portrait, whole=True)
    assert face.confidence is None and face.landmarks is None
    assert face.box == (0, 0, portrait.shape[1], portrait.shape[0])
    assert [face.to_dict()] == program("face", "--json", "--whole", PORTRAIT)[0]["faces"]


@pytest.mark.parametrize(
    "make, error, words",
    [
        (lambda p: p.astype("f4"), demeanor.RangeError, "look like 0 to 255"),
        (lambda p: p / 127.5 - 1, demeanor.RangeError, "from 0 to 1"),
        (lambda p: p.astype("i4") * 257, demeanor.RangeError, "from 0 to 255"),
        (lambda p: p.astype("i2") - 128, demeanor.RangeError, "from 0 to 255"),
        (lambda p: numpy.where(p > 9, p / 255, numpy.nan), demeanor.NotFiniteError, "NaN"),
        (lambda p: numpy.where(p > 9, p / 255, numpy.inf), demeanor.NotFiniteError, "inf"),
        (lambda p: p.transpose(2, 0, 1), demeanor.ShapeError, r"transpose\(1, 2, 0\)"),
        (lambda p: p.transpose(2, 0, 1)[None], demeanor.ShapeError, r"transpose\(0, 2, 3, 1\)"),
        (lambda p: numpy.zeros((5, 64, 64), "u1"), demeanor.ShapeError, "None"),
        (lambda p: p[0, 0], demeanor.ShapeError, r"shape \(3\)"),
        (lambda p: p[0, 0, 0], demeanor.ShapeError, r"shape \(\)"),
        (lambda p: numpy.array(3), demeanor.ShapeError, r"shape \(\)"),
        (lambda p: p[:0], demeanor.ShapeError, "no pixels"),
        (lambda p: p[:, :0], demeanor.ShapeError, "no pixels"),
        (lambda p: p[None, None], demeanor.ShapeError, "expected as"),
        (lambda p: p > 9, demeanor.InputError, "bool"),
        (lambda p: p.astype("c8"), demeanor.InputError, "complex64"),
        (lambda p: p.astype("O"), demeanor.InputError, "object"),
        (lambda p: p.astype("U"), demeanor.InputError, "got an array of <U"),
        (lambda p: None, demeanor.InputError, "NoneType"),
        (lambda p: 7, demeanor.InputError, "int"),
        (lambda p: b"portrait.png", demeanor.InputError, "bytes"),
        (lambda p: [[1, 2], [3, 4]], demeanor.InputError, "int"),
        (lambda p: [[p]], demeanor.ShapeError, "item 0"),
        (lambda p: "nothing.png", demeanor.FileError, "nothing.png: "),
        (lambda p: __file__, demeanor.FileError, "test_face.py: "),
        (lambda p: str(ROOT), demeanor.FileError, "is a folder"),
        (lambda p: "no\0thing", (ValueError, demeanor.FileError), "."),
    ],
)
def test_what_is_no_picture_is_told(portrait: numpy.ndarray, make: object, error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        READER.read(make(portrait))


def test_errors_are_those_of_python_too() -> None:
    for error, kind in [("ShapeError", ValueError), ("InputError", TypeError), ("FileError", OSError), ("Error", Exception)]:
        assert issubclass(getattr(demeanor, error), kind) and issubclass(getattr(demeanor, error), demeanor.Error)


@pytest.mark.parametrize(
    "options, error",
    [
        ({"threads": 0}, demeanor.SettingError),
        ({"min_face": 0}, demeanor.SettingError),
        ({"min_score": 1.5}, demeanor.SettingError),
        ({"min_score": math.nan}, demeanor.SettingError),
        ({"detector": "dlib"}, demeanor.SettingError),
        ({"detector": "haar", "any_rotation": True}, demeanor.SettingError),
        ({"model": "face-v99"}, demeanor.ModelError),
        ({"model": "speech-v2"}, demeanor.ModelError),
        ({"model": __file__}, demeanor.ModelError),
        ({"model": ROOT}, demeanor.ModelError),
    ],
)
def test_wrong_options_are_told(options: dict, error: type) -> None:
    with pytest.raises(error):
        demeanor.FaceReader(**options)


def test_options_are_those_of_the_command_line(portrait: numpy.ndarray) -> None:
    haar = demeanor.FaceReader(detector="haar").read(portrait)
    assert close([f.to_dict() for f in haar], program("face", "--json", "--detector", "haar", PORTRAIT)[0]["faces"])
    (unsure,) = demeanor.FaceReader(min_score=1.0).read(portrait)
    assert unsure.emotion == "unsure" and unsure.score < 1


def test_a_picture_that_changes_meanwhile_is_safe(portrait: numpy.ndarray) -> None:
    shared = portrait.copy()
    stop = threading.Event()

    def change() -> None:
        while not stop.is_set():
            numpy.invert(shared, out=shared)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(20):
            for face in READER.read(shared):
                assert math.isclose(sum(face.scores.values()), 1, abs_tol=1e-5)
    finally:
        stop.set()
        thread.join()


def test_one_reader_for_many_threads(portrait: numpy.ndarray, expected: list[dict]) -> None:
    results: list[object] = []

    def work() -> None:
        for _ in range(5):
            results.append(told(portrait))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [expected] * 30


def test_others_run_while_a_picture_is_read(portrait: numpy.ndarray) -> None:
    large = numpy.repeat(numpy.repeat(portrait, 6, 0), 6, 1)
    counted = 0
    done = threading.Event()

    def work() -> None:
        READER.read([large] * 3)
        done.set()

    thread = threading.Thread(target=work)
    thread.start()
    while not done.wait(0.001):
        counted += 1
    thread.join()
    # with the interpreter held there would be a handful, while pixels are copied
    assert counted > 20
