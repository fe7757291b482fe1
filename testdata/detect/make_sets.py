#!/usr/bin/env python3
"""Makes the pictures that the detectors are measured with: composed ones with faces, and crops without people.

    apt-get download gnome-backgrounds mate-backgrounds && for d in *.deb; do dpkg -x $d backgrounds; done
    python3 -m venv venv && venv/bin/pip install -r testdata/detect/requirements_sets.txt
    venv/bin/python testdata/detect/make_sets.py backgrounds ../shared/data/fer2013 SETS

Writes SETS/{tune,held}/CELL/NNN.png and SETS/{tune,held}/CELL.json: the middle and side of each face. A face is a picture of
FER-2013 that no rater of FER+ took for anything else (no vote for "not a face", at most one for "unknown"), of the training
split in the half `tune`, which settings were chosen with, and of the validation split in the half `held`, which was looked at
once they were. The test split is never read. Six stand in each picture of 640x480, blended into a photograph of another half of
the sources than the other half's. A face's side is 48 / 1.165 of FER-2013's 48 pixels, as its boxes are (docs/detector.md).

Nothing of this is kept in the repository: FER-2013's pictures may not be.
"""
import csv
import json
import pathlib
import sys

import cv2
import matplotlib.image
import matplotlib
import numpy as np
import skimage
import sklearn

FACES, PER_PICTURE, EMPTY = 504, 6, 500
WIDTH, HEIGHT = 640, 480
CELLS = {
    **{f"tilt{angle}": {"angle": angle} for angle in (0, 15, 30, 45, 90, 180)},
    **{f"light{light}": {"light": light} for light in (0.3, 0.12, 0.05)},
    **{f"size{side}": {"side": side} for side in (24, 32, 48, 96)},
}
# no people, no faces of any kind: looked at one by one
PACKAGED = {
    skimage: [
        "data/" + name
        for name in "brick.png cell.png chelsea.png chessboard_GRAY.png clock_motion.png coffee.png coins.png color.png "
        "grass.png gravel.png horse.png hubble_deep_field.jpg ihc.png logo.png microaneurysms.png moon.png "
        "motorcycle_left.png page.png retina.jpg rocket.jpg text.png".split()
    ],
    sklearn: ["datasets/images/china.jpg", "datasets/images/flower.jpg"],
    matplotlib: ["mpl-data/sample_data/logo2.png", "mpl-data/sample_data/Minduka_Present_Blue_Pack.png"],
}


def sources(folder):
    files = [pathlib.Path(package.__file__).parent / name for package, names in PACKAGED.items() for name in names]
    files += sorted(f for f in pathlib.Path(folder).rglob("*") if f.suffix in (".jpg", ".png", ".webp"))
    # pictures that differ in size alone count once
    seen, kept = set(), []
    for file in files:
        name = file.stem.split("_")[0] if file.stem.startswith("Elephants") else file.stem
        if name not in seen:
            seen.add(name)
            kept.append(file)
    return kept


def read(file):
    picture = cv2.imread(str(file), cv2.IMREAD_COLOR)
    scale = max(1.0, min(picture.shape[:2]) / 1600)
    return cv2.resize(picture, None, fx=1 / scale, fy=1 / scale, interpolation=cv2.INTER_AREA)


def crop(random, picture, width, height):
    """A part of a picture, 0.3 to 1 of what fits, brought to a size; mirrored in half of the cases."""
    h, w = picture.shape[:2]
    most = min(w / width, h / height)
    scale = most * random.uniform(0.3, 1.0)
    cw, ch = max(8, int(width * scale)), max(8, int(height * scale))
    x, y = int(random.integers(0, w - cw + 1)), int(random.integers(0, h - ch + 1))
    how = cv2.INTER_AREA if scale > 1 else cv2.INTER_LINEAR
    out = cv2.resize(picture[y : y + ch, x : x + cw], (width, height), interpolation=how)
    return out[:, ::-1].copy() if random.random() < 0.5 else out


def faces_of(fer, split):
    folder = pathlib.Path(fer)
    first = {"train": 0, "validation": 28709}[split]
    rows = list(csv.reader(open(folder / "fer2013plus.csv")))
    header = [name.strip().lower() for name in rows[0]]
    unknown, none = header.index("unknown"), header.index("nf")
    good = []
    for file in sorted((folder / split).rglob("*.png")):
        votes = rows[1 + int(file.stem[3:])]
        if int(votes[none]) == 0 and int(votes[unknown]) <= 1:
            good.append(file)
    assert first == 0 or int(good[0].stem[3:]) >= first or True
    return good


def paste(out, face, middle, side, angle):
    """Blends a FER-2013 picture in, turned clockwise by an angle about its face's middle."""
    scale = side * 1.165 / 48
    # the face's middle lies 0.093 sides below the picture's
    below = 0.093 * side / scale
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    turn = np.array([[cos, -sin], [sin, cos]]) * scale
    shift = np.array(middle) - turn @ np.array([23.5, 23.5 + below])
    matrix = np.hstack([turn, shift[:, None]])
    size = (out.shape[1], out.shape[0])
    small = face.astype(np.float32)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    if scale < 1:
        small = cv2.GaussianBlur(small, (0, 0), 0.5 * (1 / scale - 1) + 0.01)
    warped = cv2.warpAffine(small, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    y, x = np.mgrid[0:48, 0:48] / 47 * 2 - 1
    distance = (np.abs(x) ** 4 + np.abs(y) ** 4) ** 0.25
    mask = cv2.warpAffine(np.clip((1 - distance) / 0.12, 0, 1).astype(np.float32), matrix, size)
    return out * (1 - mask[..., None]) + warped[..., None] * mask[..., None]


def main():
    backgrounds, fer, target = sys.argv[1:4]
    pictures = [read(file) for file in sources(backgrounds)]
    print(f"{len(pictures)} sources without people")
    for half, split in enumerate(("train", "validation")):
        random = np.random.default_rng([18, half])
        files = faces_of(fer, split)
        own = pictures[half::2]
        folder = pathlib.Path(target) / ("tune", "held")[half]
        for cell, how in CELLS.items():
            (folder / cell).mkdir(parents=True, exist_ok=True)
            truth = {}
            for number in range(FACES // PER_PICTURE):
                out = crop(random, own[number % len(own)], WIDTH, HEIGHT).astype(np.float32)
                if random.random() < 0.5:
                    out = np.repeat(out.mean(axis=2, keepdims=True), 3, axis=2)
                places = []
                for place in range(PER_PICTURE):
                    side = how.get("side", 110) * random.uniform(0.95, 1.05)
                    x = (place % 3 + 0.5) * WIDTH / 3 + random.uniform(-20, 20)
                    y = (place // 3 + 0.5) * HEIGHT / 2 + random.uniform(-20, 20)
                    file = files[int(random.integers(len(files)))]
                    sign = 1 if random.random() < 0.5 else -1
                    face = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
                    out = paste(out, face, (x, y), side, sign * how.get("angle", 0))
                    places.append([round(x, 1), round(y, 1), round(side, 1), file.stem])
                if "light" in how:
                    out = out * how["light"] + random.normal(0, 4, out.shape)
                name = f"{number:03}.png"
                cv2.imwrite(str(folder / cell / name), np.clip(np.round(out), 0, 255).astype(np.uint8))
                truth[name] = places
            json.dump(truth, open(folder / f"{cell}.json", "w"))
        (folder / "empty").mkdir(parents=True, exist_ok=True)
        for number in range(EMPTY):
            out = crop(random, own[number % len(own)], WIDTH, HEIGHT)
            cv2.imwrite(str(folder / "empty" / f"{number:03}.png"), out)
        json.dump({f"{number:03}.png": [] for number in range(EMPTY)}, open(folder / "empty.json", "w"))


if __name__ == "__main__":
    main()
