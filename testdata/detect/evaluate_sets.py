#!/usr/bin/env python3
"""Measures a detector on the pictures of make_sets.py: recall by tilt, light and size, and pictures without people that yield a
face, each with its 95 % interval (Wilson).

    python3 testdata/detect/evaluate_sets.py target/release/demeanor SETS/held [--cells tilt0,empty] [-- --detector haar]

What follows `--` goes to `demeanor face`; the cell size24 is run with --min-face 24, as its users have to. A face counts as found
when one box has its middle within 0.35 sides of the face's and a side of 0.6 to 1.7 of it; each box counts once. Boxes that meet
no face count as false, in pictures with faces too.
"""
import json
import math
import pathlib
import subprocess
import sys


def interval(hits, count):
    if count == 0:
        return 0.0, 0.0
    z, p = 1.96, hits / count
    middle = (p + z * z / 2 / count) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(p * (1 - p) / count + z * z / 4 / count / count)
    return max(0.0, middle - half), min(1.0, middle + half)


def main():
    own, options = sys.argv[1:], []
    if "--" in own:
        own, options = own[: own.index("--")], own[own.index("--") + 1 :]
    program, folder = own[0], pathlib.Path(own[1])
    cells = own[own.index("--cells") + 1].split(",") if "--cells" in own else None
    print(f"{folder.name}, options {options}")
    for file in sorted(folder.glob("*.json")):
        cell = file.stem
        if cells and cell not in cells:
            continue
        truth = json.load(open(file))
        extra = ["--min-face", "24"] if cell == "size24" else []
        run = subprocess.run([program, "face", "--json", *extra, *options, str(folder / cell)], capture_output=True, text=True)
        lines = {pathlib.Path(line["file"]).name: line for line in map(json.loads, run.stdout.splitlines())}
        faces = found = false = struck = 0
        missed = []
        for name, places in truth.items():
            if name not in lines:
                sys.exit(f"{cell}/{name} was not read: {run.stderr[:500]}")
            boxes = [face["region"] for face in lines[name]["faces"]]
            middles = [(b["x"] + b["width"] / 2, b["y"] + b["height"] / 2, b["width"]) for b in boxes]
            for x, y, side, who in places:
                near = [m for m in middles if math.hypot(m[0] - x, m[1] - y) < 0.35 * side and 0.6 < m[2] / side < 1.7]
                faces += 1
                if near:
                    found += 1
                    middles.remove(near[0])
                else:
                    missed.append(f"{name}@{x:.0f},{y:.0f}")
            false += len(middles)
            struck += bool(middles)
        if faces:
            low, high = interval(found, faces)
            print(
                f"{cell:10} recall {100 * found / faces:5.1f} % ({100 * low:.1f} to {100 * high:.1f}) of {faces}; "
                f"{false} false boxes in {struck} of {len(truth)} pictures; missed {' '.join(missed[:3])}"
            )
        else:
            low, high = interval(struck, len(truth))
            names = [name for name in truth if lines[name]["faces"]]
            print(
                f"{cell:10} a face in {100 * struck / len(truth):.1f} % ({100 * low:.1f} to {100 * high:.1f}) of {len(truth)} "
                f"pictures: {' '.join(names[:12])}"
            )


main()
