"""Processes, pickles, time and memory."""

import gc
import multiprocessing
import os
import pathlib
import pickle
import subprocess
import sys
import threading

import numpy
import pytest

import demeanor
from conftest import PORTRAIT, VOICE


def faces_of(reader: demeanor.FaceReader) -> list[dict]:
    return [face.to_dict() for face in reader.read(PORTRAIT)]


def speech_of(reader: demeanor.SpeechReader) -> dict:
    return reader.read(VOICE).to_dict()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_read_the_same(method: str) -> None:
    face, speech = demeanor.FaceReader(threads=2), demeanor.SpeechReader()
    expected = faces_of(face), speech_of(speech)
    # threads ran before the fork
    face.read([PORTRAIT] * 3)
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map(faces_of, [face] * 3) == [expected[0]] * 3
        assert pool.map(speech_of, [speech] * 3) == [expected[1]] * 3


def test_a_fork_while_others_read(portrait: numpy.ndarray) -> None:
    reader, pipeline = demeanor.FaceReader(threads=2), demeanor.Pipeline(speech=False)
    expected = faces_of(reader)
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            reader.read([portrait, portrait])

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(5):
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    pipeline.see(portrait, 0.0)
                    same = faces_of(reader) == expected and reader.read([PORTRAIT] * 2)[1][0].to_dict() == expected[0]
                    status = 0 if same else 2
                finally:
                    os._exit(status)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_pickles_hold_name_and_hash_and_no_weights(tmp_path: pathlib.Path) -> None:
    reader = demeanor.FaceReader(min_face=40, any_rotation=True, min_score=0.25, threads=3)
    pickled = pickle.dumps(reader)
    assert len(pickled) < 1000 and b"face-v2.1" in pickled
    again = pickle.loads(pickled)
    assert repr(again) == repr(reader) and faces_of(again) == faces_of(reader)
    # a wrong hash is another model
    constructor, (options, digest) = reader.__reduce__()
    assert len(digest) == 64 and digest.encode() in pickled
    other = pickled.replace(digest.encode(), b"0" * 64)
    with pytest.raises(demeanor.ModelError, match="same version"):
        pickle.loads(other)
    speech = demeanor.SpeechReader(min_score=0.5)
    assert speech_of(pickle.loads(pickle.dumps(speech))) == speech_of(speech)
    files = pickle.loads(pickle.dumps(demeanor.FileReader(fps=3, min_score=0.5)))
    assert repr(files) == "FileReader(fps=Some(3.0), min_score=Some(0.5))" or "3" in repr(files)


def test_results_are_pickled_and_copied() -> None:
    face = demeanor.FaceReader().read(PORTRAIT)
    recording = demeanor.SpeechReader().read(VOICE)
    assert pickle.loads(pickle.dumps(face)) == face and pickle.loads(pickle.dumps(recording)) == recording


def test_a_pickled_model_file_that_changed_is_refused(tmp_path: pathlib.Path) -> None:
    models = pathlib.Path(__file__).resolve().parents[3] / "crates" / "demeanor-models"
    file = tmp_path / "mine.safetensors"
    file.write_bytes((models / "face-v2.1" / "model.safetensors").read_bytes())
    reader = demeanor.FaceReader(file)
    assert faces_of(reader) == faces_of(demeanor.FaceReader())
    pickled = pickle.dumps(reader)
    assert faces_of(pickle.loads(pickled)) == faces_of(reader)
    file.write_bytes((models / "face-v1" / "model.safetensors").read_bytes())
    with pytest.raises(demeanor.ModelError, match="SHA-256"):
        pickle.loads(pickled)


def resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_10_000_calls_without_growth() -> None:
    reader, speech, pipeline = demeanor.FaceReader(), demeanor.SpeechReader(), demeanor.Pipeline()
    picture, sound = numpy.zeros((48, 48, 3), numpy.uint8), numpy.zeros(160, numpy.float32)
    floats = numpy.full((48, 48), 2.0)

    def call(step: int) -> None:
        reader.read(picture, whole=True)
        speech.read(sound, 16000)
        pipeline.see(picture, step / 100)
        pipeline.hear(sound, 16000, step / 100)
        pipeline.estimate()
        with pytest.raises(demeanor.RangeError):
            reader.read(floats)

    for step in range(1000):
        call(step)
    gc.collect()
    before = resident()
    for step in range(1000, 11_000):
        call(step)
    gc.collect()
    assert resident() - before < 2 << 20


def python(code: str, **environment: str) -> str:
    environment = {**os.environ, **environment}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    return done.stdout


def test_nothing_large_is_imported() -> None:
    code = "import demeanor, sys; print([m for m in ('numpy', 'PIL', 'pyarrow', 'inspect') if m in sys.modules])"
    assert "numpy" not in python(code) and "PIL" not in python(code)


def test_the_script_is_the_whole_command_line() -> None:
    script = pathlib.Path(sys.executable).with_name("demeanor")
    for command in ([script], [sys.executable, "-m", "demeanor"]):
        said = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True).stdout
        assert all(f"\n  {name} " in said for name in ("face", "speech", "train", "live", "video", "eval", "model"))
        assert subprocess.run([*command, "face", "--wrong"], capture_output=True).returncode == 2
        assert subprocess.run([*command, "face", "nothing.png"], capture_output=True).returncode == 2
        told = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True).stdout
        assert told == f"demeanor {demeanor.__version__}\n"


def test_ctrl_c_ends_the_script(tmp_path: pathlib.Path) -> None:
    import signal

    child = subprocess.Popen(
        [sys.executable, "-m", "demeanor", "face", "-"], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(1)
    child.send_signal(signal.SIGINT)
    assert child.wait(5) != 0
