"""Emotions in the shape of the package deepface, for programs that call DeepFace.analyze.

    from demeanor.compat import deepface as DeepFace

    DeepFace.analyze("portrait.png", actions=["emotion"])[0]["dominant_emotion"]

Scores are in percent; arrays are blue, green, red, as in that package. Age, gender and race are not estimated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from .. import Face, FaceReader, SettingError

__all__ = ["analyze"]


_readers: dict[str, FaceReader] = {}


def _reader(detector: Literal["blazeface", "haar"]) -> FaceReader:
    if detector not in _readers:
        # the highest score counts there, however low it is
        _readers[detector] = FaceReader(detector=detector, min_score=0.0)
    return _readers[detector]


def _told(face: Face, found: bool) -> dict[str, Any]:
    x, y, w, h = (round(side) for side in face.box)
    eyes: dict[str, Any] = {"left_eye": None, "right_eye": None}
    if face.landmarks is not None:
        eyes = {name: tuple(round(v) for v in getattr(face.landmarks, name)) for name in eyes}
    return {
        "emotion": {emotion: 100.0 * score for emotion, score in face.scores.items()},
        "dominant_emotion": face.emotion,
        "region": {"x": x, "y": y, "w": w, "h": h, **eyes},
        "face_confidence": face.confidence if found and face.confidence is not None else 0,
    }


def _one(image: Any, enforce_detection: bool, backend: str) -> list[dict[str, Any]]:
    reader = _reader("haar" if backend in ("haar", "opencv") else "blazeface")
    if backend != "skip":
        faces: list[Face] = reader.read(image, bgr=True)
        if faces:
            return [_told(face, True) for face in faces]
        if enforce_detection:
            raise ValueError(
                "Face could not be detected. No face was found in the picture; set enforce_detection=False to have the "
                "whole picture read as a face"
            )
    return [_told(face, False) for face in reader.read(image, bgr=True, whole=True)]


def analyze(
    img_path: Any,
    actions: str | Sequence[str] = ("emotion",),
    enforce_detection: bool = True,
    detector_backend: str = "blazeface",
    **_others: Any,
) -> list[dict[str, Any]] | list[list[dict[str, Any]]]:
    """What the faces of a picture read as.

    img_path: a path or an array (height, width, 3) in blue, green, red; or many: a list, or an array (n, height, width, 3).
    actions: only "emotion".
    enforce_detection: where no face is found, ValueError is raised; else the whole picture is read as one.
    detector_backend: "blazeface" or "haar"; the names of that package stand for "haar" ("opencv") and "blazeface" (all others);
        with "skip" the whole picture is read as a face.
    Other options of that package are accepted, and change nothing.

    Returns a list with a dict for each face: "emotion" (scores in percent), "dominant_emotion", "region" (x, y, w, h, left_eye,
    right_eye) and "face_confidence" (0 to 1); for many pictures a list of such lists.
    """
    wanted = [actions] if isinstance(actions, str) else list(actions)
    if wanted != ["emotion"]:
        raise SettingError(f"actions is {wanted}; only [\"emotion\"] can be estimated: age, gender and race are not")
    if isinstance(img_path, (list, tuple)) or getattr(img_path, "ndim", 0) == 4:
        return [_one(image, enforce_detection, detector_backend) for image in img_path]
    return _one(img_path, enforce_detection, detector_backend)
