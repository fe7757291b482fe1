#!/usr/bin/env python3
"""Makes the pictures and the boxes that the detector's parity test compares with.

    python3 -m venv venv && venv/bin/pip install -r testdata/detect/requirements.txt
    venv/bin/python testdata/detect/make_goldens.py

Writes, beside itself, pictures/*.png and goldens.json: the boxes that OpenCV 4 finds in each picture under each setting.
The pictures are whole photographs that scikit-image ships (pictures/ORIGIN.md says whose) and composed ones: the
astronaut's face, made larger or smaller, turned, mirrored, blurred, brighter or darker, on backgrounds drawn by a seed.

Where ../shared/data/fer2013 is beside the repository, goldens_fer.json is made too: boxes in pictures that the test
composes of FER-2013 faces. Those pictures are not kept.

With --check nothing is written; the boxes are compared with those in the files.
"""
import json
import pathlib
import sys

import cv2
import numpy as np
import skimage.data

HERE = pathlib.Path(__file__).resolve().parent
PICTURES = HERE / "pictures"
FER = HERE.parent.parent.parent / "shared" / "data" / "fer2013"
COMPOSED = 108
SETTINGS = [
    {"scale": 1.1, "neighbours": 3, "min": 30, "max": 0},
    {"scale": 1.1, "neighbours": 5, "min": 30, "max": 0},
    {"scale": 1.2, "neighbours": 4, "min": 80, "max": 0},
    {"scale": 1.05, "neighbours": 2, "min": 0, "max": 120},
    {"scale": 1.3, "neighbours": 1, "min": 24, "max": 0},
    {"scale": 1.1, "neighbours": 0, "min": 30, "max": 0},
]
CASCADE = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")


def boxes(grey, setting):
    found = CASCADE.detectMultiScale(
        grey,
        scaleFactor=setting["scale"],
        minNeighbors=setting["neighbours"],
        minSize=(setting["min"],) * 2,
        maxSize=(setting["max"],) * 2,
    )
    return sorted([int(v) for v in box] for box in found)


def grey_of(picture):
    return picture if picture.ndim == 2 else cv2.cvtColor(picture[..., :3], cv2.COLOR_RGB2GRAY)


def photographs():
    """Whole photographs, some made smaller so that the repository stays small."""
    astronaut = grey_of(skimage.data.astronaut())
    yield "astronaut", astronaut
    yield "astronaut_bust", cv2.resize(astronaut[0:300, 60:400], None, fx=0.8, fy=0.8, interpolation=cv2.INTER_AREA)
    yield "camera", cv2.resize(skimage.data.camera(), (300, 300), interpolation=cv2.INTER_AREA)
    yield "chelsea", grey_of(skimage.data.chelsea())
    yield "coffee", cv2.resize(grey_of(skimage.data.coffee()), (360, 240), interpolation=cv2.INTER_AREA)
    yield "coins", skimage.data.coins()
    yield "rocket", cv2.resize(grey_of(skimage.data.rocket()), (400, 267), interpolation=cv2.INTER_AREA)
    yield "clock", skimage.data.clock()
    yield "brick", skimage.data.brick()[:256, :256]
    yield "gravel", skimage.data.gravel()[:256, :256]
    yield "hubble", grey_of(skimage.data.hubble_deep_field())[:300, :400]
    yield "text", skimage.data.text()


def background(random, width, height):
    """A background of one of a few kinds, 0 to 255. Smooth or of few values, so that PNG keeps it small."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    kind = random.integers(0, 6)
    if kind == 0:  # a slope
        angle = random.uniform(0, 2 * np.pi)
        out = np.cos(angle) * x / width + np.sin(angle) * y / height
    elif kind == 1:  # clouds
        out = cv2.resize(random.uniform(size=(7, 9)), (width, height), interpolation=cv2.INTER_CUBIC)
    elif kind == 2:  # stripes
        period = random.uniform(14, 60)
        angle = random.uniform(0, np.pi)
        out = np.sin(2 * np.pi * (np.cos(angle) * x + np.sin(angle) * y) / period)
    elif kind == 3:  # blocks
        out = random.uniform(size=(12, 16))[(y // 20).astype(int) % 12, (x // 20).astype(int) % 16]
    elif kind == 4:  # shapes
        out = np.full((height, width), random.uniform())
        for _ in range(30):
            centre = (int(random.integers(0, width)), int(random.integers(0, height)))
            size = (int(random.integers(4, 50)), int(random.integers(4, 50)))
            cv2.ellipse(out, centre, size, random.uniform(0, 180), 0, 360, random.uniform(), -1)
    else:  # a room: wall, floor, window frames
        out = np.where(y < height * random.uniform(0.5, 0.9), 0.7, 0.3)
        for _ in range(4):
            left, top = int(random.integers(0, width - 60)), int(random.integers(0, height - 60))
            right, bottom = left + int(random.integers(20, 100)), top + int(random.integers(20, 100))
            cv2.rectangle(out, (left, top), (right, bottom), random.uniform(), int(random.integers(1, 8)))
    out = (out - out.min()) / max(out.max() - out.min(), 1e-9)
    low = random.uniform(0, 120)
    return np.round(low + out * random.uniform(40, 255 - low)).clip(0, 255).astype(np.uint8)


def composed(seed, head):
    """A picture with one to three faces on a background, and where their heads were put."""
    random = np.random.default_rng(seed)
    width, height = [(320, 240), (240, 320), (352, 200)][seed % 3]
    out = background(random, width, height)
    faces = []
    for _ in range(random.integers(1, 4)):
        side = int(random.integers(44, 190))
        left = int(random.integers(-side // 8, width - side + side // 8))
        top = int(random.integers(-side // 8, height - side + side // 8))
        if any(abs(left - l) < (side + s) * 0.6 and abs(top - t) < (side + s) * 0.6 for l, t, s, _ in faces):
            continue
        face = head[:, ::-1] if random.random() < 0.5 else head
        angle = random.uniform(-14, 14)
        centre = (face.shape[1] / 2, face.shape[0] / 2)
        turn = cv2.getRotationMatrix2D(centre, angle, 1)
        face = cv2.warpAffine(np.ascontiguousarray(face), turn, face.shape[::-1], borderMode=cv2.BORDER_REPLICATE)
        face = cv2.resize(face, (side, int(side * random.uniform(0.92, 1.12))), interpolation=cv2.INTER_AREA)
        if random.random() < 0.4:
            face = cv2.GaussianBlur(face, (0, 0), random.uniform(0.5, 0.02 * side + 0.5))
        face = face.astype(np.float64) * random.uniform(0.4, 1.2) + random.uniform(-20, 50)
        if random.random() < 0.3:
            face += random.normal(0, random.uniform(1, 6), face.shape)
        # an oval that fades into the background
        y, x = np.mgrid[0 : face.shape[0], 0 : face.shape[1]]
        distance = np.hypot((x / face.shape[1] - 0.5) / 0.48, (y / face.shape[0] - 0.5) / 0.5)
        mask = np.clip((1 - distance) / 0.12, 0, 1)
        rows = slice(max(top, 0), min(top + face.shape[0], height))
        columns = slice(max(left, 0), min(left + face.shape[1], width))
        part = (slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left))
        mixed = out[rows, columns] * (1 - mask[part]) + face[part] * mask[part]
        out[rows, columns] = np.round(mixed).clip(0, 255).astype(np.uint8)
        faces.append((left, top, side, face.shape[0]))
    return out, [[l, t, s, h] for l, t, s, h in faces]


def fer_picture(number, files):
    """The picture that tests/detect_parity.rs composes of FER-2013 pictures, in whole numbers only."""
    y, x = np.mgrid[0:240, 0:320].astype(np.int64)
    out = (60 + ((x * (number % 7 + 1) + y * (number % 5 + 1)) // 8 + (x // 16 ^ y // 16) * 8 * (number % 2)) % 128)
    out = out.astype(np.uint8)
    for i, file in enumerate(files):
        times = 2 + (number + i) % 2
        face = cv2.imread(str(FER / file), cv2.IMREAD_GRAYSCALE).repeat(times, 0).repeat(times, 1)
        top, left = 12 + i * 31 % 40, 6 + i * 156
        out[top : top + face.shape[0], left : left + face.shape[1]] = face
    return out


def write_or_check(path, value, check):
    text = json.dumps(value, separators=(",", ":")).replace('},{"f', '},\n{"f') + "\n"
    if not check:
        path.write_text(text)
        print(f"{path.name}: {len(text)} bytes")
    elif json.loads(path.read_text())["pictures"] != value["pictures"]:
        sys.exit(f"{path.name}: OpenCV {cv2.__version__} finds other boxes")
    else:
        print(f"{path.name}: the same boxes with OpenCV {cv2.__version__}")


def main():
    check = "--check" in sys.argv
    golden = {"opencv": cv2.__version__, "settings": SETTINGS, "pictures": []}
    astronaut = grey_of(skimage.data.astronaut())
    head = astronaut[18:238, 122:322]
    PICTURES.mkdir(exist_ok=True)
    pictures = [(name, grey, []) for name, grey in photographs()]
    pictures += [(f"composed_{seed:03}", *composed(seed, head)) for seed in range(COMPOSED)]
    for name, grey, faces in pictures:
        file = PICTURES / f"{name}.png"
        if check:
            grey = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
        else:
            cv2.imwrite(str(file), grey, [cv2.IMWRITE_PNG_COMPRESSION, 9])
        found = [boxes(np.ascontiguousarray(grey), setting) for setting in SETTINGS]
        golden["pictures"].append({"file": file.name, "faces": faces, "found": found})
    write_or_check(HERE / "goldens.json", golden, check)
    if not FER.exists():
        print("goldens_fer.json: left as it is, because ../shared is absent")
        return
    files = sorted(f.relative_to(FER).as_posix() for f in FER.glob("train/*/*.png"))
    random = np.random.default_rng(2013)
    golden = {"opencv": cv2.__version__, "settings": SETTINGS[:4], "pictures": []}
    for number in range(100):
        chosen = [files[i] for i in random.integers(0, len(files), 2)]
        grey = fer_picture(number, chosen)
        golden["pictures"].append({"files": chosen, "found": [boxes(grey, s) for s in SETTINGS[:4]]})
    write_or_check(HERE / "goldens_fer.json", golden, check)


if __name__ == "__main__":
    main()
