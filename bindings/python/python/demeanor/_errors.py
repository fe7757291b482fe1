"""The errors of the package: one class for each kind of the library's errors, with its message.

All derive from Error. Those that mean a wrong argument derive from ValueError or TypeError too, and those of files from OSError.
"""


class Error(Exception):
    """Whatever demeanor cannot do. The message says what was expected, what was found, and what to do."""


class InputError(Error, TypeError):
    """An argument is of a type that cannot be read as a picture, as sound or as a path."""


class ShapeError(Error, ValueError):
    """An array has another shape than expected."""


class RangeError(Error, ValueError):
    """The numbers of an array are not in the range that its type has: floats of a picture go from 0 to 1, for example."""


class NotFiniteError(RangeError):
    """A number is NaN or infinite."""


class LabelError(Error, ValueError):
    """A word names no emotion."""


class ModelError(Error, ValueError):
    """A model file is truncated, altered, of an unknown version, or no model file."""


class SettingError(Error, ValueError):
    """An option is out of its range."""


class SoundError(Error, ValueError):
    """There is too little sound to read, or its rate cannot be read."""


class FileError(Error, OSError):
    """A file cannot be opened, read, decoded or written."""


class DeviceError(Error, OSError):
    """A camera, a microphone, or the program ffmpeg that opens films, is not there or gives nothing."""


class DataError(Error, ValueError):
    """A table or list is malformed."""
