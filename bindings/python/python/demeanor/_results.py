"""What is told of a picture, a recording, or a moment of a film or live session.

All are frozen. Scores go from 0 to 1 and sum to 1; places are in pixels from the top left corner; times in seconds. to_dict()
gives the JSON of the command line.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple


class Box(NamedTuple):
    """A rectangle in pixels of the picture, from its top left corner. It may reach over the picture's edge."""

    x: float
    y: float
    w: float
    h: float


class Point(NamedTuple):
    """A place in pixels of the picture: x to the right, y down."""

    x: float
    y: float


class Landmarks(NamedTuple):
    """Six places in a face. Right and left are the person's own."""

    right_eye: Point
    left_eye: Point
    nose: Point
    mouth: Point
    right_ear: Point
    left_ear: Point


def _region(box: Box) -> dict[str, float]:
    return {"x": box.x, "y": box.y, "width": box.w, "height": box.h}


def _places(landmarks: Landmarks | None) -> dict[str, list[float]] | None:
    return None if landmarks is None else {name: list(place) for name, place in landmarks._asdict().items()}


@dataclass(frozen=True, slots=True)
class Face:
    """A face of a picture.

    emotion: what it reads as; "unsure" where the highest score is under the reader's min_score.
    score: the highest score.
    scores: all scores, by emotion.
    box: where it is.
    landmarks: None where the detector knows none, or the picture was read whole.
    confidence: how sure the detector is, 0 to 1; None where the picture was read whole.
    quality: how much there was to be read, 0 to 1: less for faces that are dim, blurred or small.
    """

    emotion: str
    score: float
    scores: dict[str, float]
    box: Box
    landmarks: Landmarks | None
    confidence: float | None
    quality: float

    def to_dict(self) -> dict[str, Any]:
        """The same as the JSON of `demeanor face --json`."""
        return {
            "region": _region(self.box),
            "confidence": self.confidence,
            "landmarks": _places(self.landmarks),
            "quality": self.quality,
            "emotion": self.emotion,
            "score": self.score,
            "scores": dict(self.scores),
        }


@dataclass(frozen=True, slots=True)
class TrackedFace:
    """A face of a film or live session, which keeps its id while it is in view.

    id: its number, from 1.
    emotion, score, scores: None until the face was read for the first time; else as those of Face.
    box, landmarks, confidence, quality: as those of Face.
    """

    id: int
    emotion: str | None
    score: float | None
    scores: dict[str, float] | None
    box: Box
    landmarks: Landmarks | None
    confidence: float
    quality: float

    def to_dict(self) -> dict[str, Any]:
        """The same as a face in the JSON of `demeanor video --json`."""
        return {
            "id": self.id,
            "region": _region(self.box),
            "confidence": self.confidence,
            "landmarks": _places(self.landmarks),
            "quality": self.quality,
            "emotion": self.emotion,
            "score": self.score,
            "scores": None if self.scores is None else dict(self.scores),
        }


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of speech: from start_s to end_s, in seconds. It reads as `emotion`."""

    start_s: float
    end_s: float
    emotion: str
    score: float
    scores: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """The same as a segment in the JSON of `demeanor speech --json`."""
        return {
            "start_s": self.start_s,
            "end_s": self.end_s,
            "emotion": self.emotion,
            "score": self.score,
            "scores": dict(self.scores),
        }


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording: how long it is in seconds, the name of the model that read it, and its utterances in order.

    warnings: what is wrong with the file, short of an error; not part of to_dict().
    """

    duration_s: float
    model: str
    segments: tuple[Segment, ...]
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The same as the JSON of `demeanor speech --json`, without the name of the file."""
        return {
            "duration_s": self.duration_s,
            "model": self.model,
            "segments": [segment.to_dict() for segment in self.segments],
        }


@dataclass(frozen=True, slots=True)
class Voice:
    """The voice at a moment: whether somebody speaks, the level in dB under full scale, and what it reads as.

    emotion, score, scores: None when nothing was spoken lately.
    """

    speaking: bool
    level_db: float
    emotion: str | None
    score: float | None
    scores: dict[str, float] | None

    def to_dict(self) -> dict[str, Any]:
        """The same as the voice in the JSON of `demeanor video --json`."""
        return {
            "speaking": self.speaking,
            "level_db": self.level_db,
            "emotion": self.emotion,
            "score": self.score,
            "scores": None if self.scores is None else dict(self.scores),
        }


@dataclass(frozen=True, slots=True)
class Fused:
    """The most prominent face and the voice together, and what each counted, 0 to 1."""

    emotion: str
    score: float
    scores: dict[str, float]
    face_weight: float
    speech_weight: float

    def to_dict(self) -> dict[str, Any]:
        """The same as the fused scores in the JSON of `demeanor video --json`."""
        return {
            "emotion": self.emotion,
            "score": self.score,
            "scores": dict(self.scores),
            "face_weight": self.face_weight,
            "speech_weight": self.speech_weight,
        }


@dataclass(frozen=True, slots=True)
class Estimate:
    """What was seen and heard at a moment, in seconds from the start.

    frame: the number of the picture of a film, from 1; None in a live session and for sound alone.
    voice: None before any sound, and without a speech model.
    fused: None when neither a face nor a voice is known, or neither is fresh.
    """

    time_s: float
    frame: int | None
    faces: tuple[TrackedFace, ...]
    voice: Voice | None
    fused: Fused | None

    def to_dict(self) -> dict[str, Any]:
        """The same as a line of `demeanor video --json`."""
        told: dict[str, Any] = {"time_s": self.time_s}
        if self.frame is not None:
            told["frame"] = self.frame
        told["faces"] = [face.to_dict() for face in self.faces]
        told["voice"] = None if self.voice is None else self.voice.to_dict()
        told["fused"] = None if self.fused is None else self.fused.to_dict()
        return told
