#!/usr/bin/env python3
"""Converts the weights of BlazeFace from the wheel that carries them into this project's model file.

    python3 -m venv venv && venv/bin/pip install -r testdata/detect/blazeface/requirements.txt
    venv/bin/pip download --no-deps --only-binary :all: --platform manylinux_2_17_x86_64 --python-version 3.11 mediapipe==0.10.14
    venv/bin/python testdata/detect/blazeface/convert.py FOLDER_OF_THE_WHEEL [--check]

The wheel and the file in it must have the SHA-256 below, or nothing is written. The numbers are carried over as they are,
in half precision; only their order changes, from TFLite's to this project's. With --check nothing is written: what would be
written is compared with what is there.
"""
import hashlib
import pathlib
import sys
import zipfile

import numpy as np
import tflite

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from model_file import packed  # noqa: E402

MODELS = pathlib.Path(__file__).resolve().parents[3] / "crates" / "demeanor-models"
SOURCES = [
    {
        "name": "blazeface-v1",
        "wheel": "mediapipe-0.10.14-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        "wheel_sha256": "a807328339e7356fda0bb14df12fedbf1d33bdf81649c5f8666b0026b1cc30b4",
        "member": "mediapipe/modules/face_detection/face_detection_short_range.tflite",
        "member_sha256": "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
    },
]
LICENCE = "Apache-2.0"
NAMES = {value: name for name, value in vars(tflite.BuiltinOperator).items() if isinstance(value, int)}
SAME, VALID = 0, 1


def refuse(what, expected, data):
    found = hashlib.sha256(data).hexdigest()
    if found != expected:
        sys.exit(f"{what} has SHA-256 {found}; expected {expected}: another file than the one this was written for")


class Graph:
    """The operations of a TFLite file, in order, and its constants."""

    def __init__(self, data):
        self.model = tflite.Model.GetRootAsModel(data, 0)
        self.graph = self.model.Subgraphs(0)
        self.widened = {}  # where the half-precision constant of a DEQUANTIZE's output is
        self.operations = []
        for i in range(self.graph.OperatorsLength()):
            operator = self.graph.Operators(i)
            code = self.model.OperatorCodes(operator.OpcodeIndex())
            name = NAMES[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
            inputs, outputs = list(operator.InputsAsNumpy()), list(operator.OutputsAsNumpy())
            if name == "DEQUANTIZE":
                self.widened[outputs[0]] = inputs[0]
            else:
                self.operations.append((name, operator, inputs, outputs))

    def shape(self, tensor):
        return [int(side) for side in self.graph.Tensors(tensor).ShapeAsNumpy()]

    def constant(self, tensor):
        tensor = self.widened.get(tensor, tensor)
        about = self.graph.Tensors(tensor)
        kind = {tflite.TensorType.FLOAT16: np.float16, tflite.TensorType.FLOAT32: np.float32}[about.Type()]
        data = self.model.Buffers(about.Buffer()).DataAsNumpy()
        return np.frombuffer(data.tobytes(), kind).reshape(self.shape(tensor))

    def stride(self, name, operator):
        kind = tflite.Conv2DOptions if name == "CONV_2D" else tflite.DepthwiseConv2DOptions
        options = kind()
        options.Init(operator.BuiltinOptions().Bytes, operator.BuiltinOptions().Pos)
        assert options.StrideW() == options.StrideH() and options.FusedActivationFunction() == 0
        return options.StrideW(), options.Padding()


def convert(data):
    """Layout and tensors. What the graph holds beyond what is understood here stops it."""
    graph = Graph(data)
    size = graph.shape(graph.graph.Inputs(0))[1]
    tensors, blocks, heads = {}, [], []
    convolutions = [o for o in graph.operations if o[0] in ("CONV_2D", "DEPTHWISE_CONV_2D")]
    relus = {o[2][0]: o[3][0] for o in graph.operations if o[0] == "RELU"}
    adds = {t: o for o in graph.operations if o[0] == "ADD" for t in o[2]}
    others = {o[0] for o in graph.operations} - {"CONV_2D", "DEPTHWISE_CONV_2D", "RELU", "ADD"}
    assert others <= {"PAD", "MAX_POOL_2D", "RESHAPE", "CONCATENATION"}, others

    def store(name, weight, bias):
        for what, values in (("weight", weight), ("bias", bias)):
            half = np.ascontiguousarray(values.astype(np.float16))
            assert (half.astype(np.float32) == values.astype(np.float32)).all(), f"{name} is not of half precision"
            tensors[f"{name}.{what}"] = half

    # the stem: [out, kh, kw, in] becomes [out, in, kh, kw]
    name, operator, inputs, outputs = convolutions.pop(0)
    weight = graph.constant(inputs[1])
    assert name == "CONV_2D" and weight.shape[1:] == (5, 5, 3) and graph.stride(name, operator) == (2, SAME)
    store("stem", weight.transpose(0, 3, 1, 2), graph.constant(inputs[2]))
    stem = weight.shape[0]
    after = relus[outputs[0]]
    results = {}  # the block whose output a tensor is
    # blocks: depthwise 3x3, pointwise 1x1, residual, ReLU
    while convolutions[0][0] == "DEPTHWISE_CONV_2D":
        (name, operator, inputs, outputs), point = convolutions.pop(0), convolutions.pop(0)
        assert inputs[0] == after and point[0] == "CONV_2D" and point[2][0] == outputs[0]
        stride, padding = graph.stride(name, operator)
        weight = graph.constant(inputs[1])
        assert padding == SAME and stride in (1, 2) and weight.shape[:3] == (1, 3, 3)
        number = len(blocks)
        store(f"{number}.depthwise", weight[0].transpose(2, 0, 1), graph.constant(inputs[2]))
        weight = graph.constant(point[2][1])
        assert graph.stride(point[0], point[1]) == (1, VALID) or weight.shape[1:3] == (1, 1)
        store(f"{number}.pointwise", weight[:, 0, 0, :], graph.constant(point[2][2]))
        result = point[3][0]
        residual = result in adds
        if residual:
            result = adds[result][3][0]
        after = relus[result]
        results[after] = number
        blocks.append({"channels": weight.shape[0], "stride": stride, "residual": residual})
    # heads: scores of both, then boxes of both
    scores, boxes = convolutions[:2], convolutions[2:]
    assert len(boxes) == 2
    for number, (score, box) in enumerate(zip(scores, boxes)):
        assert score[2][0] == box[2][0]
        store(f"heads.{number}.score", graph.constant(score[2][1])[:, 0, 0, :], graph.constant(score[2][2]))
        store(f"heads.{number}.box", graph.constant(box[2][1])[:, 0, 0, :], graph.constant(box[2][2]))
        anchors = graph.shape(score[3][0])[3]
        assert graph.shape(box[3][0])[3] == anchors * 16
        heads.append({"after": results[score[2][0]], "anchors": anchors})
    return {"size": size, "stem": stem, "blocks": blocks, "heads": heads}, tensors


def header(source, layout):
    """The header of the model file: src/face/detect/blazeface.rs says what is in it."""
    return {
        "format": 1,
        "kind": "face_detector",
        "name": source["name"],
        "layout": layout,
        "licence": LICENCE,
        "source": f"{source['wheel']}, {source['member']}, SHA-256 {source['member_sha256']}; converted by the Demeanor project",
    }


def main():
    folder, check = pathlib.Path(sys.argv[1]), "--check" in sys.argv
    for source in SOURCES:
        file = MODELS / source["name"] / "model.safetensors"
        wheel = folder / source["wheel"]
        refuse(source["wheel"], source["wheel_sha256"], wheel.read_bytes())
        data = zipfile.ZipFile(wheel).read(source["member"])
        refuse(source["member"], source["member_sha256"], data)
        layout, tensors = convert(data)
        model = packed(header(source, layout), tensors)
        if check:
            if file.read_bytes() != model:
                sys.exit(f"{file} is not what {source['member']} gives")
        else:
            file.write_bytes(model)
        count = sum(values.size for values in tensors.values())
        print(f"{file.relative_to(MODELS)}: {len(model)} bytes, {count} numbers, {len(layout['blocks'])} blocks")


main()
