"""Pictures without people for fit_rejection.py, beside those of make_sets.py:

    python3 testdata/detect/make_negatives.py crops FOLDER OUT
    python3 testdata/detect/make_negatives.py pasted LOOKS OUT
    python3 testdata/detect/make_negatives.py dimmed CROPS OUT

`crops`: parts of 640x480 of the pictures in a folder, such as these Debian packages unpacked, none of which make_sets.py takes:

    apt-get download plasma-workspace-wallpapers lomiri-wallpapers-16.04 lomiri-wallpapers-20.04 ukui-wallpapers stellarium-data \
        trigger-rally-data torcs-data && for d in *.deb; do dpkg -x $d FOLDER; done

`pasted`: of what `looks` found in LOOKS/empty and LOOKS/crops (fit_rejection.py says how) the 2,400 likest to a face, cut as
FER-2013 cuts faces (48x48, grey) and pasted six to a picture as make_sets.py pastes faces, so that what comes of the pasting tells
nothing about faces. `dimmed`: every third of the pictures in CROPS, half of them grey, at 0.3, 0.12 or 0.05 of their light, four of
five with noise of 4 of 255. Needs what make_sets.py needs. The seed is 3. The weights that ship were learnt from parts that an
earlier form of this maker drew at random from the same packages.
"""

import pathlib
import sys

import cv2
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from make_sets import HEIGHT, PER_PICTURE, WIDTH, crop, paste  # noqa: E402

# drawn people, and models of other things that have faces
PEOPLED = ("skycultures", "/models/", "webroot", "FlyingKonqui", "driver", "crowd", "people", "logo", "sponsor")
LIKEST = 2400


def sources(folder):
    """One size of each picture that is large enough and shows no person."""
    best = {}
    for file in sorted(pathlib.Path(folder).rglob("*")):
        if file.suffix.lower() not in (".jpg", ".jpeg", ".png") or any(word in str(file) for word in PEOPLED):
            continue
        picture = cv2.imread(str(file))
        if picture is None or min(picture.shape[:2]) < 256:
            continue
        # a wallpaper is in several sizes beside each other
        key = file.parent if "contents" in file.parts else file
        if key not in best or picture.size > best[key][0]:
            best[key] = picture.size, file
    return [file for _, file in best.values()]


def crops(folder, out):
    random = np.random.default_rng(3)
    number = 0
    for file in sources(folder):
        picture = cv2.imread(str(file))
        scenery = "wallpapers" in str(file) or "backgrounds" in str(file)
        count = 16 if scenery else 4 if picture.size > 3 * 1200 * 900 else 1
        for _ in range(count):
            cv2.imwrite(str(out / f"{number:05}.jpg"), crop(random, picture, WIDTH, HEIGHT))
            number += 1
    print(f"{number} parts")


def pasted(looks, out):
    from fit_rejection import looks as read

    random = np.random.default_rng(3)
    pool = []
    for name in ("empty", "crops"):
        files = pathlib.Path(looks, f"{name}.txt").read_text().split("\n")
        where = {pathlib.Path(file).name: file for file in files}
        names, places, features = read(looks, name)
        # the mean of the scores of the three looks
        scores = features[:, [0, -194, -97]].mean(axis=1)
        pool += [(score, where[n], place) for score, n, place in zip(scores, names, places)]
    pool = sorted(pool, key=lambda one: -one[0])[:LIKEST]
    random.shuffle(pool)
    for number in range(len(pool) // PER_PICTURE):
        picture = cv2.imread(pool[int(random.integers(len(pool)))][1]).astype(np.float32)
        if random.random() < 0.5:
            picture = np.repeat(picture.mean(axis=2, keepdims=True), 3, axis=2)
        for place in range(PER_PICTURE):
            _, file, (x, y, side) = pool[number * PER_PICTURE + place]
            grey = cv2.imread(file, cv2.IMREAD_GRAYSCALE).astype(np.float32)
            scale = 48 / (side * 1.165)
            if scale < 1:
                grey = cv2.GaussianBlur(grey, (0, 0), 0.5 * (1 / scale - 1) + 0.01)
            matrix = np.float32([[scale, 0, 24 - scale * x], [0, scale, 24 - scale * (y - 0.093 * side)]])
            face = cv2.warpAffine(grey, matrix, (48, 48), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            at = ((place % 3 + 0.5) * WIDTH / 3 + random.uniform(-20, 20), (place // 3 + 0.5) * HEIGHT / 2 + random.uniform(-20, 20))
            size = random.choice([110, 60, 32], p=[0.6, 0.16, 0.24]) * random.uniform(0.95, 1.05)
            picture = paste(picture, np.clip(face, 0, 255), at, size, random.choice([-30, -15, 0, 0, 15, 30]))
        if random.random() < 0.15:
            picture = picture * 0.12 + random.normal(0, 4, picture.shape)
        cv2.imwrite(str(out / f"{number:04}.png"), np.clip(np.round(picture), 0, 255).astype(np.uint8))


def dimmed(folder, out):
    random = np.random.default_rng(3)
    for number, file in enumerate(sorted(pathlib.Path(folder).glob("*.jpg"))[::3]):
        picture = cv2.imread(str(file)).astype(np.float32)
        if random.random() < 0.5:
            picture = np.repeat(picture.mean(axis=2, keepdims=True), 3, axis=2)
        picture *= (0.3, 0.12, 0.05, 0.05)[number % 4]
        if random.random() < 0.8:
            picture += random.normal(0, 4, picture.shape)
        cv2.imwrite(str(out / f"{number:04}.png"), np.clip(np.round(picture), 0, 255).astype(np.uint8))


out = pathlib.Path(sys.argv[3])
out.mkdir(parents=True, exist_ok=True)
{"crops": crops, "pasted": pasted, "dimmed": dimmed}[sys.argv[1]](sys.argv[2], out)
