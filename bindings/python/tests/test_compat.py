"""The shape of the package deepface."""

import numpy
import pytest

import demeanor
from conftest import PORTRAIT
from demeanor.compat import deepface as DeepFace


def test_analyze_has_the_shape_of_that_package(portrait: numpy.ndarray) -> None:
    (told,) = DeepFace.analyze(str(PORTRAIT), actions=["emotion"], silent=True)
    assert list(told) == ["emotion", "dominant_emotion", "region", "face_confidence"]
    assert set(told["emotion"]) == {"angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"}
    assert sum(told["emotion"].values()) == pytest.approx(100, abs=0.01)
    assert told["dominant_emotion"] == max(told["emotion"], key=told["emotion"].get)
    assert list(told["region"]) == ["x", "y", "w", "h", "left_eye", "right_eye"]
    assert all(isinstance(told["region"][side], int) for side in "xywh")
    assert len(told["region"]["left_eye"]) == 2 and 0 < told["face_confidence"] <= 1
    (face,) = demeanor.FaceReader().read(PORTRAIT)
    assert told["emotion"]["happy"] == pytest.approx(100 * face.scores["happy"])
    bgr = portrait[..., ::-1]
    assert DeepFace.analyze(bgr, actions="emotion") == [told]
    assert DeepFace.analyze(numpy.stack([bgr, bgr])) == DeepFace.analyze([bgr, str(PORTRAIT)]) == [[told], [told]]
    assert DeepFace.analyze(bgr, detector_backend="opencv")[0]["region"]["left_eye"] is None


def test_analyze_without_a_face() -> None:
    black = numpy.zeros((64, 64, 3), numpy.uint8)
    with pytest.raises(ValueError, match="could not be detected"):
        DeepFace.analyze(black)
    for options in ({"enforce_detection": False}, {"detector_backend": "skip"}):
        (told,) = DeepFace.analyze(black, **options)
        assert told["region"]["w"] == 64 and told["face_confidence"] == 0
    with pytest.raises(demeanor.SettingError, match="age"):
        DeepFace.analyze(black, actions=["age", "emotion"])
