"""Makes the pictures beside this file: one face in many formats and kinds of damage.

    pip install pillow==12.0.0
    python testdata/pictures/make.py

The face is cut out of portrait.png (see testdata/README.md). Run it again only when a picture is added: other versions
of Pillow give other bytes.
"""

import struct
import zlib
from pathlib import Path

from PIL import Image

here = Path(__file__).parent
portrait = Image.open(here.parent / "portrait.png").convert("RGB")
face = portrait.crop((145, 35, 305, 195))


def save(name, image, **options):
    image.save(here / name, **options)


# formats
save("rgb.png", face)
save("grey.png", face.convert("L"))
save("baseline.jpg", face, quality=85)
save("progressive.jpg", face, quality=85, progressive=True)
save("cmyk.jpg", face.convert("CMYK"), quality=85)
save("palette.png", face.quantize(64))
save("one_bit.png", face.convert("1"))
save("lossless.webp", face, lossless=True)
save("lossy.webp", face, quality=85)
save("still.gif", face.quantize(64))
save("face.bmp", face.convert("L"))
save("face.tiff", face, compression="tiff_lzw")
save("face.ppm", face.resize((100, 100)))

# depth and alpha
sixteen = Image.new("I;16", face.size)
sixteen.putdata([v * 257 for v in face.convert("L").tobytes()])
save("sixteen_bit.png", sixteen)


def png(width, height, depth, colour, rows):
    """A PNG written by hand, for what Pillow does not write."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    packed = zlib.compress(rows, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


deep = b"".join(
    b"\0" + b"".join(bytes([v, v]) for v in face.tobytes()[y * 480 : (y + 1) * 480]) for y in range(160)
)
(here / "sixteen_bit_rgb.png").write_bytes(png(160, 160, 16, 2, deep))

alpha = face.convert("RGBA")
mask = Image.new("L", face.size, 0)
mask.paste(255, (20, 10, 140, 150))
alpha.putalpha(mask)
save("alpha.png", alpha)
save("grey_alpha.png", alpha.convert("LA"))

# moving pictures: the face, then black
black = Image.new("RGB", face.size)
save("animated.gif", face.quantize(64), save_all=True, append_images=[black.quantize(64)], duration=100)
save("animated.webp", face, save_all=True, append_images=[black], duration=100, lossless=True)
save("animated.png", face, save_all=True, append_images=[black], duration=100)

# orientations: the same upright picture, stored in each of the eight ways
upright = portrait.crop((150, 0, 310, 200))
stored = {
    1: [],
    2: [Image.Transpose.FLIP_LEFT_RIGHT],
    3: [Image.Transpose.ROTATE_180],
    4: [Image.Transpose.FLIP_TOP_BOTTOM],
    5: [Image.Transpose.TRANSPOSE],
    6: [Image.Transpose.ROTATE_90],
    7: [Image.Transpose.TRANSVERSE],
    8: [Image.Transpose.ROTATE_270],
}
for orientation, steps in stored.items():
    image = upright
    for step in steps:
        image = image.transpose(step)
    exif = Image.Exif()
    exif[0x0112] = orientation
    save(f"orientation_{orientation}.jpg", image, quality=80, exif=exif)

# damage
whole = (here / "baseline.jpg").read_bytes()
(here / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
whole = (here / "rgb.png").read_bytes()
(here / "truncated.png").write_bytes(whole[: len(whole) // 2])
whole = (here / "lossless.webp").read_bytes()
(here / "truncated.webp").write_bytes(whole[: len(whole) // 2])
whole = (here / "still.gif").read_bytes()
(here / "truncated.gif").write_bytes(whole[: len(whole) // 2])
(here / "text.png").write_text("This is no picture.\n")
(here / "empty.png").write_bytes(b"")
save("one_pixel.png", Image.new("RGB", (1, 1), (200, 30, 30)))

# 60,000 x 60,000 pixels in less than 1 kB: they would be 3.6 GB
(here / "giant.png").write_bytes(png(60_000, 60_000, 8, 0, bytes(100_000)))
(here / "giant.gif").write_bytes(b"GIF89a" + struct.pack("<HH", 60_000, 60_000) + b"\x80\0\0" + bytes(6) + b"," +
                                 struct.pack("<HHHH", 0, 0, 60_000, 60_000) + b"\0\x02\x02L\x01\0;")
(here / "giant.bmp").write_bytes(b"BM" + struct.pack("<IHHI", 60, 0, 0, 54) +
                                 struct.pack("<IiiHHIIiiII", 40, 60_000, 60_000, 1, 24, 0, 0, 0, 0, 0, 0) + bytes(6))
(here / "giant.ppm").write_bytes(b"P6\n60000 60000\n255\n" + bytes(9))
(here / "giant.jpg").write_bytes(
    bytes.fromhex("ffd8ffc0001108ea60ea6003012200021101031101ffda000c03010002110311003f0012ffd9"))
