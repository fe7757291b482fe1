"""Compares the forward pass with onnxruntime: the same networks, weights and input, one thread, in one run.

    python -m venv bench && bench/bin/pip install -r testdata/bench/requirements.txt
    cargo build --release -p demeanor --example time_network
    bench/bin/python testdata/bench/network.py [--rounds 20] [NETWORK...]

Both programs take turns, so that a busy machine slows both. The ratio printed is onnxruntime's best (median) time by
ours; outputs are compared too, and a difference over 1e-3 of the largest is an error. A recipe with several
views of a face runs them together in both programs. NAME-fast is the network NAME with factors rounded to bfloat16
by us where the processor has matrix tiles, in which a difference up to 0.05 is none.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file


def conv(out, kernel=(3, 3), **more):
    return {"layer": "conv", "out": out, "kernel": list(kernel), **more}


def residual(out, down=False):
    stride = [2, 2] if down else [1, 1]
    body = [conv(out, stride=stride), conv(out, relu=False)]
    layer = {"layer": "residual", "body": body}
    if down:
        layer["shortcut"] = {"out": out, "kernel": [1, 1], "stride": stride, "relu": False}
    return layer


PAPER_LSTM = [
    {"layer": "lstm", "units": 128, "all_steps": True},
    {"layer": "dropout", "rate": 0.3},
    {"layer": "lstm", "units": 64},
    {"layer": "dense", "units": 8},
]

# name: layers, input [channels, height, width]
NETWORKS = {
    "face-paper": (
        [
            conv(32, norm="after_relu", pool=[2, 2]),
            conv(64, norm="after_relu", pool=[2, 2]),
            conv(128, norm="after_relu"),
            {"layer": "flatten"},
            {"layer": "dense", "units": 256, "relu": True},
            {"layer": "dropout", "rate": 0.5},
            {"layer": "dense", "units": 7},
        ],
        [1, 48, 48],
    ),
    # 117 million multiplications
    "face-deep": (
        [
            conv(32),
            conv(32, pool=[2, 2]),
            conv(64),
            conv(64, pool=[2, 2]),
            conv(128),
            conv(128, pool=[2, 2]),
            conv(256),
            conv(256),
            {"layer": "global_average"},
            {"layer": "dense", "units": 7},
        ],
        [1, 48, 48],
    ),
    "face-residual": (
        [
            conv(32),
            residual(32),
            residual(64, True),
            residual(64),
            residual(128, True),
            residual(128),
            residual(256, True),
            residual(256),
            {"layer": "global_average"},
            {"layer": "dense", "units": 7},
        ],
        [1, 48, 48],
    ),
    "speech-statistics": (
        [
            conv(24, (5, 5), stride=[2, 2]),
            conv(48, stride=[2, 2]),
            conv(96, stride=[2, 1]),
            conv(128, stride=[2, 1]),
            {"layer": "attentive_statistics", "hidden": 128},
            {"layer": "dropout", "rate": 0.25},
            {"layer": "dense", "units": 8},
        ],
        [1, 64, 300],
    ),
    "speech-paper": (PAPER_LSTM, [1, 13, 300]),
    "speech-paper-step": (PAPER_LSTM, [1, 13, 1]),
}


def shipped():
    """The networks of the recipes, with the input that each has (three seconds for speech)."""
    for file in sorted((pathlib.Path(__file__).resolve().parents[2] / "recipes").glob("*-v[0-9]*.toml")):
        recipe = tomllib.loads(file.read_text())
        if face := recipe["input"].get("face"):
            network = recipe["network"], [1, face["size"], face["size"]], len(recipe.get("views", [{}]))
            yield file.stem, network
            yield f"{file.stem}-fast", network
        else:
            speech = recipe["input"]["speech"]
            frames = 3 * speech["rate"] // speech["hop"]
            yield file.stem, (recipe["network"], [1, speech["features"]["log_mel"]["bands"], frames], 0)


# the last number is that of the pictures that are run together; 0 for what is no picture
NETWORKS = {name: (*network, 0) for name, network in NETWORKS.items()}
NETWORKS.update(shipped())


class Graph:
    """Writes a network as ONNX while it draws its weights."""

    def __init__(self, seed):
        self.chance = np.random.default_rng(seed)
        self.tensors, self.nodes, self.constants, self.inputs, self.outputs = {}, [], [], [], []
        self.multiplications = 0

    def draw(self, name, shape, center=0.0):
        rows = int(np.prod(shape[1:])) if len(shape) > 1 else 16
        values = (center + self.chance.uniform(-1, 1, shape) * (3 / rows) ** 0.5).astype(np.float32)
        if name.endswith(self.half):
            values = values.astype(np.float16)
        self.tensors[name] = values
        return values.astype(np.float32)

    def constant(self, values):
        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def node(self, kind, *inputs, outputs=1, **attributes):
        names = [f"value{len(self.nodes)}.{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, **attributes))
        return names[0]

    def conv(self, layer, x, shape, path):
        c, h, w = shape
        (kh, kw), (sh, sw) = layer["kernel"], layer.get("stride", [1, 1])
        weight = self.constant(self.draw(f"{path}.weight", (layer["out"], c, kh, kw)))
        bias = self.constant(self.draw(f"{path}.bias", (layer["out"],)))
        pads = [kh // 2, kw // 2, kh // 2, kw // 2]
        x = self.node("Conv", x, weight, bias, kernel_shape=[kh, kw], strides=[sh, sw], pads=pads)
        h, w = -(-h // sh), -(-w // sw)
        self.multiplications += layer["out"] * c * kh * kw * h * w
        if layer.get("relu", True):
            x = self.node("Relu", x)
        if layer.get("norm") == "after_relu":
            scale = self.constant(self.draw(f"{path}.scale", (layer["out"],), 1.0))
            shift = self.constant(self.draw(f"{path}.shift", (layer["out"],)))
            zeros = self.constant(np.zeros(layer["out"], np.float32))
            ones = self.constant(np.ones(layer["out"], np.float32))
            x = self.node("BatchNormalization", x, scale, shift, zeros, ones, epsilon=0.0)
        if layer.get("pool"):
            ph, pw = layer["pool"]
            x = self.node("MaxPool", x, kernel_shape=[ph, pw], strides=[ph, pw])
            h, w = h // ph, w // pw
        return x, [layer["out"], h, w]

    def lstm(self, layer, x, shape, path, state):
        c, h, w = shape
        rows, units = c * h, layer["units"]
        order = np.concatenate([np.arange(units) + units * g for g in (0, 3, 1, 2)])
        weight = self.draw(f"{path}.input.weight", (4 * units, rows))[order][None]
        recurrent = self.draw(f"{path}.recurrent.weight", (4 * units, units))[order][None]
        bias = np.concatenate([self.draw(f"{path}.bias", (4 * units,))[order], np.zeros(4 * units, np.float32)])[None]
        self.multiplications += w * 4 * units * (rows + units)
        before = ["", "", ""]
        if state:
            before = ["", f"{path}.h", f"{path}.c"]
            self.inputs += [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 1, units]) for n in before[1:]]
        y = self.node(
            "LSTM", x, self.constant(weight), self.constant(recurrent), self.constant(bias), *before,
            outputs=3, hidden_size=units,
        )
        stem = y[:-2]
        if state:
            self.outputs += [helper.make_tensor_value_info(f"{stem}.{i}", TensorProto.FLOAT, [1, 1, units]) for i in (1, 2)]
        if layer.get("all_steps"):
            return self.node("Squeeze", y, self.constant(np.array([1]))), [units, 1, w]
        return self.node("Squeeze", f"{stem}.1", self.constant(np.array([0]))), [units]

    def layers(self, layers, x, shape, prefix="", state=False):
        for number, layer in enumerate(layers):
            path, kind = f"{prefix}{number}", layer["layer"]
            if kind == "conv":
                x, shape = self.conv(layer, x, shape, path)
            elif kind == "residual":
                short, short_shape = x, shape
                if "shortcut" in layer:
                    short, _ = self.conv(layer["shortcut"], x, shape, f"{path}.shortcut")
                long, shape = self.layers(layer["body"], x, shape, f"{path}.body.")
                x = self.node("Relu", self.node("Add", long, short))
            elif kind == "global_average":
                x = self.node("Flatten", self.node("GlobalAveragePool", x))
                shape = shape[:1]
            elif kind == "flatten":
                x, shape = self.node("Flatten", x), [int(np.prod(shape))]
            elif kind == "dense":
                weight = self.constant(self.draw(f"{path}.weight", (layer["units"], shape[0])))
                bias = self.constant(self.draw(f"{path}.bias", (layer["units"],)))
                x = self.node("Gemm", x, weight, bias, transB=1)
                if layer.get("relu"):
                    x = self.node("Relu", x)
                self.multiplications += layer["units"] * shape[0]
                shape = [layer["units"]]
            elif kind == "attentive_statistics":
                rows, width, hidden = shape[0] * shape[1], shape[2], layer["hidden"]
                x = self.node("Reshape", x, self.constant(np.array([rows, width])))
                weight = self.constant(self.draw(f"{path}.hidden.weight", (hidden, rows)))
                bias = self.constant(self.draw(f"{path}.hidden.bias", (hidden,))[:, None])
                score = self.constant(self.draw(f"{path}.score.weight", (1, hidden)))
                score_bias = self.constant(self.draw(f"{path}.score.bias", (1,)))
                hidden = self.node("Tanh", self.node("Add", self.node("MatMul", weight, x), bias))
                a = self.node("Softmax", self.node("Add", self.node("MatMul", score, hidden), score_bias), axis=1)
                weighted, axis = self.node("Mul", x, a), self.constant(np.array([1]))
                mean = self.node("ReduceSum", weighted, axis, keepdims=0)
                square = self.node("ReduceSum", self.node("Mul", weighted, x), axis, keepdims=0)
                variance = self.node("Sub", square, self.node("Mul", mean, mean))
                least = self.constant(np.float32(1e-6))
                deviation = self.node("Sqrt", self.node("Max", variance, least))
                x = self.node("Concat", mean, deviation, axis=0)
                x = self.node("Unsqueeze", x, self.constant(np.array([0])))
                self.multiplications += layer["hidden"] * rows * width
                shape = [2 * rows]
            elif kind == "lstm":
                x, shape = self.lstm(layer, x, shape, path, state)
            elif kind != "dropout":
                raise ValueError(kind)
        return x, shape


def build(layers, shape, pictures, seed, half, step):
    graph = Graph(seed)
    graph.half = half
    c, h, w = shape
    recurrent = layers[0]["layer"] == "lstm"
    sides = [w, 1, c * h] if recurrent else [max(pictures, 1), c, h, w]
    graph.inputs.append(helper.make_tensor_value_info("input", TensorProto.FLOAT, sides))
    output, _ = graph.layers(layers, "input", shape, state=step)
    graph.outputs.insert(0, helper.make_tensor_value_info(output, TensorProto.FLOAT, None))
    made = helper.make_graph(graph.nodes, "network", graph.inputs, graph.outputs, graph.constants)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    if pictures:
        faces = graph.chance.uniform(0, 1, sides).astype(np.float32)
        return graph, session, {"input": faces}, faces
    values = graph.chance.uniform(0, 1, shape).astype(np.float32)
    steps = np.ascontiguousarray(values.reshape(c * h, w).T)
    feed = {"input": steps[:, None, :] if recurrent else values[None]}
    for other in session.get_inputs()[1:]:
        feed[other.name] = np.zeros(other.shape, np.float32)
    return graph, session, feed, steps


def compare(name, rounds, folder, program, half):
    layers, shape, pictures = NETWORKS[name]
    step, fast = name.endswith("-step"), name.endswith("-fast")
    graph, session, feed, steps = build(layers, shape, pictures, 1, half, step)
    (folder / "network.json").write_text(json.dumps({"layers": layers, "input": shape}))
    save_file(graph.tensors, folder / "weights.safetensors")
    steps.tofile(folder / "input.bin")
    ours = subprocess.Popen(
        [program, folder]
        + (["--stream"] if step else [])
        + (["--pictures", "fast" if fast else "single"] if pictures else []),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def ask(line):
        ours.stdin.write(f"{line}\n")
        ours.stdin.flush()
        return [float(word) for word in ours.stdout.readline().split()]

    expected, found = session.run(None, feed)[0].ravel(), np.array(ask("output"))
    difference = np.abs(found - expected).max() / np.abs(expected).max()
    count = 2000 if step else 30
    ask(count)
    best, medians = [[], []], [[], []]
    for _ in range(rounds):
        a, b = ask(count)
        best[0].append(a)
        medians[0].append(b)
        times = []
        for _ in range(count):
            start = time.perf_counter()
            session.run(None, feed)
            times.append((time.perf_counter() - start) * 1e3)
        best[1].append(min(times))
        medians[1].append(statistics.median(times))
    ours.stdin.close()
    ours.wait()
    (ours_best, peer_best), (ours_median, peer_median) = map(min, best), map(statistics.median, medians)
    print(
        f"{name:18} {graph.multiplications * max(pictures, 1) / 1e6:6.1f} M mult  ours {ours_best:.4f} best {ours_median:.4f} median, "
        f"onnxruntime {peer_best:.4f} best {peer_median:.4f} median ms; "
        f"ratio {peer_best / ours_best:.2f} ({peer_median / ours_median:.2f}); outputs differ by {difference:.1e}",
        flush=True,
    )
    return difference < (0.05 if fast else 1e-3)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=list(NETWORKS), metavar="NETWORK")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--program", default="target/release/examples/time_network")
    parser.add_argument(
        "--half", default="dense,lstm", help="layers whose weights are in half precision for us (default: %(default)s)"
    )
    arguments = parser.parse_args()
    fine = True
    for name in arguments.networks:
        half = tuple(
            f"{n}.{tensor}"
            for n, layer in enumerate(NETWORKS[name][0])
            if layer["layer"] in arguments.half.split(",")
            for tensor in ("weight", "input.weight", "recurrent.weight")
        )
        with tempfile.TemporaryDirectory() as folder:
            fine &= compare(name, arguments.rounds, pathlib.Path(folder), arguments.program, half)
    print(f"onnxruntime {onnxruntime.__version__}, one thread each; ratio: how many times faster ours is")
    sys.exit(0 if fine else 1)


if __name__ == "__main__":
    main()
