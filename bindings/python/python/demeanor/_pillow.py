"""Pillow's images to arrays, as the picture file itself is read: upright."""

from __future__ import annotations

from typing import Any


def pixels(image: Any) -> tuple[Any, bool]:
    """The pixels of an image, uint8 of shape (h, w) or (h, w, 3 or 4), and whether the fourth is transparency."""
    import numpy
    from PIL import ImageOps

    from ._errors import InputError

    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        raise InputError(
            f"a Pillow image of mode {image.mode} has no fixed range; pass the path of its file instead, "
            "or scale it to 8 bits: image.point(...).convert('L')"
        )
    image = ImageOps.exif_transpose(image)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        return numpy.asarray(image.convert("RGBA")), True
    if image.mode not in ("L", "RGB"):
        image = image.convert("RGB")
    return numpy.asarray(image), False
