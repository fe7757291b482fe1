"""Writes goldens.safetensors: networks, inputs and what PyTorch gives for them.

    python -m venv goldens && goldens/bin/pip install -r testdata/network/requirements.txt
    goldens/bin/python testdata/network/goldens.py

Each case holds its tensors under `CASE/` (as a model file names them), `CASE/input` [channels, height, width] and
`CASE/output`; the layers of each stand in the metadata as JSON.
"""

import json
import pathlib

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

torch.manual_seed(7)
torch.set_num_threads(1)
tensors, cases = {}, {}


def add(case, layers, weights, x, y):
    cases[case] = {"layers": layers, "input": list(x.shape)}
    for name, value in {**weights, "input": x, "output": y.reshape(-1)}.items():
        tensors[f"{case}/{name}"] = value.detach().contiguous().clone()


def recurrent(module, path):
    """The tensors of a PyTorch layer; the two biases of an LSTM are only ever added."""
    weights = {}
    for suffix, direction in [("", ""), ("_reverse", "backward.")][: 2 if module.bidirectional else 1]:
        get = lambda name: getattr(module, f"{name}_l0{suffix}")
        weights[f"{path}.{direction}input.weight"] = get("weight_ih")
        weights[f"{path}.{direction}recurrent.weight"] = get("weight_hh")
        if isinstance(module, torch.nn.LSTM):
            weights[f"{path}.{direction}bias"] = get("bias_ih") + get("bias_hh")
        else:
            weights[f"{path}.{direction}bias"] = get("bias_ih")
            weights[f"{path}.{direction}recurrent.bias"] = get("bias_hh")
    return weights


def sequence(case, kind, units, bidirectional=False, all_steps=False, rows=13, steps=25):
    module = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[kind](rows, units, bidirectional=bidirectional)
    x = torch.randn(steps, rows)
    y, _ = module(x)
    if not all_steps:
        # the last step of each direction: for the backward one, the first in time
        y = torch.cat([y[-1, :units], y[0, units:]]) if bidirectional else y[-1]
    else:
        y = y.T
    layer = {"layer": kind, "units": units, "bidirectional": bidirectional, "all_steps": all_steps}
    add(case, [layer], recurrent(module, 0), x.T.reshape(1, rows, steps), y)


for kind in ("lstm", "gru"):
    sequence(kind, kind, 24)
    sequence(f"{kind} all steps", kind, 16, all_steps=True)
    sequence(f"bidirectional {kind}", kind, 12, bidirectional=True)
    sequence(f"bidirectional {kind} all steps", kind, 9, bidirectional=True, all_steps=True)

# the paper's speech network, with narrower layers
first, second, dense = torch.nn.LSTM(13, 32), torch.nn.LSTM(32, 16), torch.nn.Linear(16, 8)
x = torch.randn(40, 13)
add(
    "paper speech",
    [
        {"layer": "lstm", "units": 32, "all_steps": True},
        {"layer": "dropout", "rate": 0.3},
        {"layer": "lstm", "units": 16},
        {"layer": "dense", "units": 8},
    ],
    {**recurrent(first, 0), **recurrent(second, 2), "3.weight": dense.weight, "3.bias": dense.bias},
    x.T.reshape(1, 13, 40),
    dense(second(first(x)[0])[0][-1]),
)


def norm(channels):
    """A batch normalisation that has seen something; gives scale and shift."""
    module = torch.nn.BatchNorm2d(channels).eval()
    module.running_mean.normal_(0, 0.3)
    module.running_var.uniform_(0.5, 2)
    module.weight.data.uniform_(-1, 1.5)
    module.bias.data.normal_(0, 0.3)
    scale = module.weight / torch.sqrt(module.running_var + module.eps)
    return module, scale, module.bias - module.running_mean * scale


def folded(conv, scale, shift):
    return {"weight": conv.weight * scale[:, None, None, None], "bias": conv.bias * scale + shift}


def under(path, weights):
    return {f"{path}.{name}": value for name, value in weights.items()}


# the paper's face network, smaller
convs = [torch.nn.Conv2d(a, b, 3, padding=1) for a, b in ((1, 8), (8, 16), (16, 20))]
norms = [norm(c) for c in (8, 16, 20)]
wide, last = torch.nn.Linear(20 * 9, 24), torch.nn.Linear(24, 7)
x = torch.rand(1, 12, 12)
h, weights, layers = x[None], {}, []
for n, (conv, (module, scale, shift)) in enumerate(zip(convs, norms)):
    h = module(F.relu(conv(h)))
    h = F.max_pool2d(h, 2) if n < 2 else h
    weights |= under(n, {"weight": conv.weight, "bias": conv.bias, "scale": scale, "shift": shift})
    layers.append({"layer": "conv", "out": conv.out_channels, "kernel": [3, 3], "norm": "after_relu"})
    if n < 2:
        layers[-1]["pool"] = [2, 2]
weights |= under(4, {"weight": wide.weight, "bias": wide.bias}) | under(5, {"weight": last.weight, "bias": last.bias})
layers += [{"layer": "flatten"}, {"layer": "dense", "units": 24, "relu": True}, {"layer": "dense", "units": 7}]
add("paper face", layers, weights, x, last(F.relu(wide(h.flatten(1)))))

# a residual network with squeeze and excitation
stem, down, inner, short = (
    torch.nn.Conv2d(1, 16, 3, padding=1),
    torch.nn.Conv2d(16, 24, 3, padding=1, stride=2),
    torch.nn.Conv2d(24, 24, 3, padding=1),
    torch.nn.Conv2d(16, 24, 1, stride=2),
)
squeeze, expand, last = torch.nn.Linear(24, 6), torch.nn.Linear(6, 24), torch.nn.Linear(24, 7)
parts = {name: norm(c.out_channels) for name, c in (("stem", stem), ("down", down), ("inner", inner), ("short", short))}
x = torch.randn(1, 11, 11)
h = F.relu(parts["stem"][0](stem(x[None])))
long = parts["inner"][0](inner(F.relu(parts["down"][0](down(h)))))
long = long * torch.sigmoid(expand(F.relu(squeeze(long.mean((2, 3))))))[:, :, None, None]
h = F.relu(long + parts["short"][0](short(h)))
conv = lambda out, side, **more: {"out": out, "kernel": [side, side], **more}
add(
    "residual",
    [
        {"layer": "conv", **conv(16, 3)},
        {
            "layer": "residual",
            "body": [
                {"layer": "conv", **conv(24, 3, stride=[2, 2])},
                {"layer": "conv", **conv(24, 3, relu=False)},
                {"layer": "squeeze_excite", "hidden": 6},
            ],
            "shortcut": conv(24, 1, stride=[2, 2], relu=False),
        },
        {"layer": "global_average"},
        {"layer": "dense", "units": 7},
    ],
    under("0", folded(stem, *parts["stem"][1:]))
    | under("1.body.0", folded(down, *parts["down"][1:]))
    | under("1.body.1", folded(inner, *parts["inner"][1:]))
    | under("1.body.2.squeeze", {"weight": squeeze.weight, "bias": squeeze.bias})
    | under("1.body.2.expand", {"weight": expand.weight, "bias": expand.bias})
    | under("1.shortcut", folded(short, *parts["short"][1:]))
    | under("3", {"weight": last.weight, "bias": last.bias}),
    x,
    last(h.mean((2, 3))),
)

# convolutions over speech, then attention-weighted statistics; and mean and maximum
conv, causal = torch.nn.Conv2d(1, 12, 5, padding=2, stride=2), torch.nn.Conv2d(12, 10, (1, 3))
x = torch.randn(1, 10, 31)
h = F.relu(causal(F.pad(F.relu(conv(x[None])), (2, 0))))[0]
front = [
    {"layer": "conv", "out": 12, "kernel": [5, 5], "stride": [2, 2]},
    {"layer": "conv", "out": 10, "kernel": [1, 3], "causal": True},
]
weights = under(0, {"weight": conv.weight, "bias": conv.bias}) | under(1, {"weight": causal.weight, "bias": causal.bias})
rows = h.flatten(0, 1)
hidden, score = torch.nn.Linear(50, 9), torch.nn.Linear(9, 1)
a = torch.softmax(score(torch.tanh(hidden(rows.T))), 0)[:, 0]
mean = (rows * a).sum(1)
deviation = ((rows**2 * a).sum(1) - mean**2).clamp(min=1e-6).sqrt()
add(
    "attentive statistics",
    front + [{"layer": "attentive_statistics", "hidden": 9}],
    weights
    | under("2.hidden", {"weight": hidden.weight, "bias": hidden.bias})
    | under("2.score", {"weight": score.weight, "bias": score.bias}),
    x,
    torch.cat([mean, deviation]),
)
add("mean and maximum", front + [{"layer": "mean_max"}], weights, x, torch.cat([rows.mean(1), rows.amax(1)]))

path = pathlib.Path(__file__).with_name("goldens.safetensors")
save_file(tensors, path, {"cases": json.dumps(cases), "torch": torch.__version__})
print(path, path.stat().st_size, "bytes,", len(cases), "cases")
