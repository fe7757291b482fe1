"""By how much should a detector's box be widened before a face is read? Measures it on validation pictures of FER-2013.

    pip install pillow==12.0.0
    python testdata/face/margin.py FER2013/validation [--program target/release/demeanor] [--model FILE] [--count 700]

Each 48x48 picture is enlarged fourfold into the middle of a larger canvas whose border repeats its edge, so that the
detector sees it as it would see a face in a scene. `demeanor face --json` gives the boxes; each is widened by several
margins on each side, cut out, and read with `--whole`. Printed: for each margin the share that is read as labelled, of the
pictures in which exactly one face was found. The network was trained on the whole pictures, so the best margin is the one
that makes a detector's box most like them.
"""

import argparse
import json
import random
import subprocess
import tempfile
from pathlib import Path

from PIL import Image

SIDE, BORDER = 192, 64
MARGINS = [-0.1, -0.05, 0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3]


def enlarged(picture):
    face = picture.resize((SIDE, SIDE), Image.BICUBIC)
    whole = Image.new("L", (SIDE + 2 * BORDER, SIDE + 2 * BORDER))
    edge = face.resize(whole.size)
    # the border: the edge pixels of each side, drawn out
    for x in range(whole.width):
        column = min(max(x - BORDER, 0), SIDE - 1)
        edge.paste(face.crop((column, 0, column + 1, 1)).resize((1, BORDER)), (x, 0))
        edge.paste(face.crop((column, SIDE - 1, column + 1, SIDE)).resize((1, BORDER)), (x, BORDER + SIDE))
    for y in range(BORDER, BORDER + SIDE):
        edge.paste(face.crop((0, y - BORDER, 1, y - BORDER + 1)).resize((BORDER, 1)), (0, y))
        edge.paste(face.crop((SIDE - 1, y - BORDER, SIDE, y - BORDER + 1)).resize((BORDER, 1)), (BORDER + SIDE, y))
    edge.paste(face, (BORDER, BORDER))
    return edge


def read(program, model, folder, *options):
    command = [program, "face", "--json", *options, *(["--model", model] if model else []), str(folder)]
    lines = subprocess.run(command, check=False, capture_output=True, text=True).stdout.splitlines()
    return {Path(line["file"]).name: line["faces"] for line in map(json.loads, lines)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--program", default="target/release/demeanor")
    parser.add_argument("--model")
    parser.add_argument("--count", type=int, default=700)
    options = parser.parse_args()
    files = sorted(options.pictures.glob("*/*.png"))
    random.Random(0).shuffle(files)
    files = files[: options.count]
    with tempfile.TemporaryDirectory() as name:
        scenes = Path(name, "scenes")
        scenes.mkdir()
        for file in files:
            enlarged(Image.open(file).convert("L")).save(scenes / f"{file.parent.name}-{file.name}")
        found = {k: v[0]["region"] for k, v in read(options.program, options.model, scenes, "--min-face", "80", "--min-score", "0").items() if len(v) == 1}
        print(f"one face found in {len(found)} of {len(files)} pictures")
        widths = sorted(box["width"] / SIDE for box in found.values())
        print(f"median width of a box, in widths of the picture: {widths[len(widths) // 2]:.3f}")
        for margin in MARGINS:
            cut = Path(name, f"cut{margin}")
            cut.mkdir()
            for file, box in found.items():
                more = margin * box["width"]
                area = (box["x"] - more, box["y"] - more, box["x"] + box["width"] + more, box["y"] + box["height"] + more)
                Image.open(scenes / file).crop(tuple(round(v) for v in area)).save(cut / file)
            faces = read(options.program, options.model, cut, "--whole", "--min-score", "0")
            right = sum(faces[f][0]["emotion"] == f.split("-")[0] for f in found if faces.get(f))
            print(f"margin {margin:+.2f}: {100 * right / len(found):.1f} %")


main()
