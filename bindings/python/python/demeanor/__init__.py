"""Reads the emotion that a face and a voice express: live, offline, on a plain CPU.

    import demeanor

    for face in demeanor.FaceReader().read("portrait.png"):
        print(face.box, "reads as", face.emotion, face.score)

An expression reads as happy or sad; what anyone feels, no program knows.
"""

from ._demeanor import FaceReader, FileReader, Pipeline, SpeechReader, Table, Video, __version__, read_video
from ._errors import (
    DataError,
    DeviceError,
    Error,
    FileError,
    InputError,
    LabelError,
    ModelError,
    NotFiniteError,
    RangeError,
    SettingError,
    ShapeError,
    SoundError,
)
from ._results import Box, Estimate, Face, Fused, Landmarks, Point, Recording, Segment, TrackedFace, Voice

__all__ = [
    "Box",
    "DataError",
    "DeviceError",
    "Error",
    "Estimate",
    "Face",
    "FaceReader",
    "FileError",
    "FileReader",
    "Fused",
    "InputError",
    "LabelError",
    "Landmarks",
    "ModelError",
    "NotFiniteError",
    "Pipeline",
    "Point",
    "RangeError",
    "Recording",
    "Segment",
    "SettingError",
    "ShapeError",
    "SoundError",
    "SpeechReader",
    "Table",
    "TrackedFace",
    "Video",
    "Voice",
    "__version__",
    "read_video",
]
