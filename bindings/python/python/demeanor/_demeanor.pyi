from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any, Literal, Protocol, TypeAlias, final, overload

from ._results import Estimate, Face, Recording, Segment

__all__ = [
    "FaceReader",
    "FileReader",
    "Pipeline",
    "SpeechReader",
    "Table",
    "Video",
    "__version__",
    "_main",
    "_restore_face_reader",
    "_restore_file_reader",
    "_restore_speech_reader",
    "read_video",
]

__version__: str

class _Array(Protocol):
    def __array__(self) -> Any: ...

class _ArrowArray(Protocol):
    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]: ...

class _ArrowStream(Protocol):
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...

_Path: TypeAlias = str | PathLike[str]
_Detector: TypeAlias = Literal["blazeface", "haar"]

@final
class FaceReader:
    def __new__(
        cls,
        model: _Path | None = None,
        *,
        detector: _Detector = "blazeface",
        min_face: int | None = None,
        any_rotation: bool = False,
        min_score: float = ...,
        threads: int = 1,
    ) -> FaceReader: ...
    @overload
    def read(self, image: _Path, *, bgr: bool = False, whole: bool = False) -> list[Face]: ...
    @overload
    def read(self, image: Sequence[Any], *, bgr: bool = False, whole: bool = False) -> list[list[Face]]: ...
    @overload
    def read(self, image: Any, *, bgr: bool = False, whole: bool = False) -> Any: ...
    @property
    def model(self) -> str: ...
    @property
    def threads(self) -> int: ...

@final
class SpeechReader:
    def __new__(cls, model: _Path | None = None, *, min_score: float = ...) -> SpeechReader: ...
    def read(self, samples: _Array | _Path, rate: float | None = None) -> Recording: ...
    @property
    def model(self) -> str: ...

@final
class Pipeline:
    def __new__(
        cls,
        *,
        face: bool = True,
        speech: bool = True,
        face_model: _Path | None = None,
        speech_model: _Path | None = None,
        detector: _Detector = "blazeface",
        min_face: int | None = None,
        any_rotation: bool = False,
        smooth_s: float = 0.4,
        min_score: float = ...,
    ) -> Pipeline: ...
    def see(self, frame: Any, time_s: float, *, bgr: bool = False) -> None: ...
    def hear(self, samples: _Array, rate: float, time_s: float) -> None: ...
    def estimate(self) -> Estimate: ...

@final
class Table:
    def __len__(self) -> int: ...
    @property
    def column_names(self) -> list[str]: ...
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...
    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]: ...
    def __arrow_c_schema__(self) -> object: ...

@final
class Video:
    @property
    def duration_s(self) -> float: ...
    @property
    def frames(self) -> int: ...
    @property
    def segments(self) -> tuple[Segment, ...]: ...
    @property
    def warnings(self) -> tuple[str, ...]: ...
    @property
    def estimates(self) -> list[Estimate]: ...
    @property
    def column_names(self) -> list[str]: ...
    @property
    def rows(self) -> list[dict[str, Any]]: ...
    def __len__(self) -> int: ...
    @overload
    def to_csv(self, path: None = None) -> str: ...
    @overload
    def to_csv(self, path: _Path) -> None: ...
    def to_table(self) -> Table: ...
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...

@final
class FileReader:
    def __new__(cls, *, fps: float | None = None, min_score: float | None = None) -> FileReader: ...
    def read(self, batch: _ArrowArray | _ArrowStream) -> Table: ...

def read_video(
    path: _Path,
    *,
    progress: Callable[[float, float | None], object] | None = None,
    start_s: float = 0.0,
    to_s: float | None = None,
    fps: float | None = None,
    track: int | None = None,
    face: bool = True,
    speech: bool = True,
    face_model: _Path | None = None,
    speech_model: _Path | None = None,
    detector: _Detector = "blazeface",
    min_face: int | None = None,
    any_rotation: bool = False,
    smooth_s: float = 0.4,
    min_score: float = ...,
) -> Video: ...
def _main(arguments: Sequence[str]) -> int: ...
def _restore_face_reader(options: dict[str, Any], hash: str) -> FaceReader: ...
def _restore_speech_reader(options: dict[str, Any], hash: str) -> SpeechReader: ...
def _restore_file_reader(fps: float | None, min_score: float | None) -> FileReader: ...
