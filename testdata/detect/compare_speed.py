#!/usr/bin/env python3
"""Times the detector against OpenCV's in one run: one thread each, same pictures, same settings, turn by turn.

    venv/bin/python testdata/detect/compare_speed.py [ROUNDS]

Needs what requirements.txt says (see make_goldens.py) and cargo. Pictures are 640x480, made of photographs that
scikit-image ships. Prints the least, the median and the 95th percentile of both, and the ratio of the medians, per
setting and picture. On a busy machine the least says more than the median.
"""
import json
import pathlib
import platform
import subprocess
import sys
import tempfile
import time

import cv2
import numpy as np
import skimage.data

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SETTINGS = [
    ("still pictures", {"scale": 1.1, "neighbours": 3, "min": 30, "max": 0}),
    ("live default", {"scale": 1.2, "neighbours": 4, "min": 80, "max": 0}),
]


def pictures():
    grey = lambda picture: cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) if picture.ndim == 3 else picture
    fit = lambda picture: cv2.resize(grey(picture), (640, 480), interpolation=cv2.INTER_AREA)
    astronaut = cv2.resize(grey(skimage.data.astronaut()), (640, 640), interpolation=cv2.INTER_LINEAR)
    yield "astronaut", astronaut[:480].copy()
    yield "coffee", fit(skimage.data.coffee())
    yield "camera", fit(skimage.data.camera())
    yield "rocket", fit(skimage.data.rocket())


def processor():
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    build = ["cargo", "build", "--quiet", "--release", "-p", "demeanor", "--example", "detect"]
    subprocess.run(build, cwd=ROOT, check=True)
    meta = subprocess.run(
        ["cargo", "metadata", "--no-deps", "--format-version", "1"], cwd=ROOT, check=True, capture_output=True
    )
    example = pathlib.Path(json.loads(meta.stdout)["target_directory"]) / "release" / "examples" / "detect"
    ours = subprocess.Popen([str(example)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    cv2.setNumThreads(1)
    cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")

    def ask(file, setting):
        ours.stdin.write(json.dumps({"picture": str(file), "repeats": 2, **setting}) + "\n")
        ours.stdin.flush()
        answer = json.loads(ours.stdout.readline())
        return sorted(answer["regions"]), answer["ms"]

    def ask_opencv(picture, setting):
        times = []
        for _ in range(2):
            start = time.perf_counter()
            found = cascade.detectMultiScale(
                picture, scaleFactor=setting["scale"], minNeighbors=setting["neighbours"], minSize=(setting["min"],) * 2
            )
            times.append((time.perf_counter() - start) * 1e3)
        return sorted([int(v) for v in box] for box in found), times

    print(f"OpenCV {cv2.__version__}, one thread each, {rounds} rounds of 2, {processor()}")
    print(f"{'':28}{'Demeanor ms':>27}{'OpenCV ms':>27}")
    print(f"{'':28}{'least':>9}{'median':>9}{'p95':>9}{'least':>9}{'median':>9}{'p95':>9}   ratio  boxes")
    with tempfile.TemporaryDirectory() as folder:
        for what, setting in SETTINGS:
            for name, picture in pictures():
                file = pathlib.Path(folder) / f"{name}.pgm"
                file.write_bytes(b"P5\n%d %d\n255\n" % (picture.shape[1], picture.shape[0]) + picture.tobytes())
                times = ([], [])
                ask(file, setting), ask_opencv(picture, setting)  # warm
                for _ in range(rounds):
                    found, ms = ask(file, setting)
                    times[0].extend(ms)
                    theirs, ms = ask_opencv(picture, setting)
                    times[1].extend(ms)
                figures = [[min(t), float(np.median(t)), float(np.percentile(t, 95))] for t in times]
                same = "equal" if found == theirs else f"{found} and {theirs}"
                columns = "".join(f"{ms:9.2f}" for ms in figures[0] + figures[1])
                print(f"{what:16}{name:12}{columns}{figures[1][1] / figures[0][1]:8.1f}  {same}", flush=True)
    ours.stdin.close()
    ours.wait()


if __name__ == "__main__":
    main()
