"""SpeechReader and Pipeline."""

import math
import os
import pathlib

import numpy
import pytest

import demeanor
from conftest import ROOT, VOICE, close, program

READER = demeanor.SpeechReader()


def test_a_file_reads_as_the_command_line_says() -> None:
    for path in [VOICE, *sorted((ROOT / "testdata" / "speech").rglob("*.wav"))]:
        (line,) = program("speech", "--json", path)
        line.pop("file")
        assert READER.read(path).to_dict() == line
    assert READER.read(str(VOICE)).segments


def test_samples_read_as_their_file_does(voice: tuple[numpy.ndarray, int]) -> None:
    samples, rate = voice
    expected = READER.read(VOICE).to_dict()
    mono = samples[:, 0]
    assert samples.shape[1] == 1
    for same in [
        samples,
        mono,
        mono / 32768,
        (mono / 32768).astype("f4"),
        (mono / 32768).astype(">f8"),
        mono.astype("i4") * 65536,
        mono.astype(">i2"),
        numpy.repeat(samples, 2, axis=1),
        numpy.asfortranarray(numpy.repeat(samples, 2, axis=1)),
        numpy.repeat(mono, 3)[::3],
    ]:
        assert close(READER.read(same, rate).to_dict(), expected, 1e-5), (same.dtype, same.shape)
    assert READER.read(mono, float(rate)).to_dict() == READER.read(mono, numpy.int64(rate)).to_dict()
    eight = ((mono >> 8) + 128).astype("u1")
    assert len(READER.read(eight, rate).segments) == len(expected["segments"])
    assert READER.read((mono >> 8).astype("i1"), rate).to_dict() == READER.read(eight, rate).to_dict()


def test_a_recording_is_typed() -> None:
    recording = READER.read(VOICE)
    assert isinstance(recording, demeanor.Recording) and recording.model == "speech-v2" == READER.model
    for segment in recording.segments:
        assert 0 <= segment.start_s < segment.end_s <= recording.duration_s + 0.1
        assert segment.emotion in segment.scores and math.isclose(sum(segment.scores.values()), 1, abs_tol=1e-5)


def test_silence_and_nothing() -> None:
    for samples in (numpy.zeros(16000), numpy.zeros(0), numpy.zeros((0, 2)), numpy.full(16000, 128, "u1")):
        recording = READER.read(samples, 16000)
        assert recording.segments == () and recording.duration_s == len(samples) / 16000


@pytest.mark.parametrize(
    "samples, rate, error, words",
    [
        (numpy.full(9, numpy.nan), 16000, demeanor.NotFiniteError, "NaN"),
        (numpy.full(9, 32767.0), 16000, demeanor.RangeError, "32768"),
        (numpy.zeros((2, 9)), 16000, demeanor.ShapeError, "array.T"),
        (numpy.zeros((2, 3, 4)), 16000, demeanor.ShapeError, "n, channels"),
        (numpy.zeros((9, 0)), 16000, demeanor.ShapeError, "channel"),
        (numpy.array(1.0), 16000, demeanor.ShapeError, "n, channels"),
        (numpy.zeros(9, "i8"), 16000, demeanor.InputError, "int64"),
        (numpy.zeros(9, "c8"), 16000, demeanor.InputError, "complex64"),
        (numpy.zeros(9), None, demeanor.SoundError, "rate is missing"),
        (numpy.zeros(9), 0, demeanor.SoundError, "rate is 0"),
        (numpy.zeros(9), -1, demeanor.SoundError, "rate is -1"),
        (numpy.zeros(9), 0.5, demeanor.SoundError, "rate is 0.5"),
        (numpy.zeros(9), math.nan, demeanor.SoundError, "rate is nan"),
        (numpy.zeros(9), "fast", demeanor.SoundError, "rate is 'fast'"),
        ([0.0] * 9, 16000, demeanor.InputError, "list"),
        (None, 16000, demeanor.InputError, "NoneType"),
        (str(VOICE), 16000, demeanor.SoundError, "its own rate"),
        ("nothing.wav", None, demeanor.FileError, "nothing.wav: "),
        (__file__, None, demeanor.FileError, "text"),
    ],
)
def test_what_is_no_sound_is_told(samples: object, rate: object, error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        READER.read(samples, rate)


def test_odd_rates_never_crash() -> None:
    for rate in (1, 7, 4000, 44100, 192000, 1_000_000, 2**32 - 1):
        try:
            READER.read(numpy.zeros(3000, "f4"), rate)
        except demeanor.Error:
            pass


def test_pipeline_follows_a_face_and_a_voice(portrait: numpy.ndarray, voice: tuple[numpy.ndarray, int]) -> None:
    samples, rate = voice
    pipeline, again = demeanor.Pipeline(), demeanor.Pipeline()
    nothing = pipeline.estimate()
    assert nothing.faces == () and nothing.voice is None and nothing.fused is None
    piece = rate // 10
    for step in range(30):
        pipeline.see(portrait, step / 10)
        pipeline.hear(samples[step * piece : (step + 1) * piece], rate, step / 10)
        again.see(portrait[..., ::-1], step / 10, bgr=True)
        again.hear(samples[step * piece : (step + 1) * piece] / 32768, rate, step / 10)
    estimate = pipeline.estimate()
    assert isinstance(estimate, demeanor.Estimate)
    (face,) = estimate.faces
    assert face.id == 1 and face.emotion in face.scores
    assert estimate.voice.speaking and -90 <= estimate.voice.level_db <= 0
    assert estimate.fused.emotion in estimate.fused.scores
    assert close(estimate.to_dict(), again.estimate().to_dict(), 1e-5)
    assert estimate.time_s == pytest.approx(3.0, abs=0.1)
    (still,) = demeanor.FaceReader(min_score=0.4).read(portrait)
    assert face.emotion == still.emotion and face.score == pytest.approx(still.score, abs=0.05)


def test_pipeline_refuses_what_it_cannot_use(portrait: numpy.ndarray) -> None:
    pipeline = demeanor.Pipeline(speech=False)
    pipeline.see(portrait, 1.0)
    for time_s in (0.5, -1, math.nan, math.inf):
        with pytest.raises(demeanor.SettingError):
            pipeline.see(portrait, time_s)
    with pytest.raises(demeanor.ShapeError, match="one frame"):
        pipeline.see(portrait[None], 2.0)
    assert pipeline.estimate().voice is None
    for options in ({"face": False, "speech": False}, {"smooth_s": -1}, {"min_face": 3}, {"detector": "x"}):
        with pytest.raises(demeanor.SettingError):
            demeanor.Pipeline(**options)


def test_a_pipe_with_a_name(tmp_path: pathlib.Path) -> None:
    import threading

    pipe = tmp_path / "pipe.wav"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(VOICE.read_bytes()))
    writer.start()
    assert len(READER.read(pipe).segments) == len(READER.read(VOICE).segments)
    writer.join()
