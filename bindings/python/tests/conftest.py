"""What the tests read: the pictures and sounds of the repository, and films that ffmpeg makes of them."""

import json
import pathlib
import subprocess
import sys

import numpy
import pytest
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[3]
PORTRAIT = ROOT / "testdata" / "portrait.png"
VOICE = ROOT / "testdata" / "demo-voice.wav"


def program(*arguments: object) -> list[dict]:
    """The lines of JSON that the command line writes."""
    command = [sys.executable, "-m", "demeanor", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def close(a: object, b: object, within: float = 1e-6) -> bool:
    """Whether two values of JSON are the same, numbers within a distance."""
    if isinstance(a, dict) and isinstance(b, dict):
        return list(a) == list(b) and all(close(a[key], b[key], within) for key in a)
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(close(x, y, within) for x, y in zip(a, b))
    if isinstance(a, float) or isinstance(b, float):
        return abs(a - b) <= within * max(1.0, abs(b))
    return a == b


@pytest.fixture(scope="session")
def portrait() -> numpy.ndarray:
    """(height, width, 3) uint8."""
    return numpy.asarray(Image.open(PORTRAIT).convert("RGB"))


@pytest.fixture(scope="session")
def voice() -> tuple[numpy.ndarray, int]:
    """Samples of 16 bits and their rate."""
    import wave

    with wave.open(str(VOICE)) as file:
        assert file.getsampwidth() == 2
        samples = numpy.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
        return samples.reshape(-1, file.getnchannels()), file.getframerate()


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Two seconds of the portrait, moving, with a voice; then one without a face."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    motion = "zoompan=z='1+0.05*sin(on/8)':d=50:s=640x480:fps=25,tpad=stop_duration=1:color=black"
    scale = "scale=640:480:force_original_aspect_ratio=decrease,pad=640:480:(ow-iw)/2:(oh-ih)/2"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-i", PORTRAIT, "-i", VOICE, "-filter_complex", f"[0]{scale},{motion}[v]", "-map", "[v]"]
        + ["-map", "1:a", "-t", "3", "-pix_fmt", "yuv420p", "-y", path],
        check=True,
    )
    return path
