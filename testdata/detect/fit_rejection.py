"""Learns what is no face from what BlazeFace sees of candidates, and writes the model with it.

    python3 testdata/detect/fit_rejection.py SETS/tune LOOKS crates/demeanor-models/blazeface-v1 crates/demeanor-models/blazeface-v1.1

SETS is what make_sets.py made; LOOKS holds, for each of CELLS and of NEGATIVES, NAME.txt (a list of pictures) and NAME.bin (what
`cargo run --release -p demeanor-train --no-default-features --example looks` gives for it). make_negatives.py makes NEGATIVES.
Needs numpy, scikit-learn and safetensors (requirements_sets.txt).

A logistic regression on standardised features; ridge C. Composites and `empty` are split by picture into two halves: what stands
behind "cross-validated" was learnt without them, and so is the threshold set. (`pasted` has cut-outs of `empty`, and is in all
fits.) The held half of the sets is not read.
"""

import json
import pathlib
import sys

import numpy as np
from model_file import packed, read
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

CELLS = "tilt0 tilt15 tilt30 tilt45 light0.3 light0.12 light0.05 size24 size32 size48 size96".split()
NEGATIVES = ["crops", "pasted", "dimmed"]
C = 0.003
# sources of the half `tune`: make_sets.py takes them in turn
SOURCES = 35
# the share of empty pictures that may yield a face at the default confidence, and that confidence
FALSE, CONFIDENCE = 0.004, 0.65
# numbers read of the first look, and the share of found faces that may be lost by it (most have other candidates)
FIRST, LOST = 481, 0.01
# pictures made dim have many more candidates than others
DIM = 0.3
# real faces lie some ten units above the threshold: scaled, so that their confidence still tells them apart
SCALE = 0.5


def looks(folder, name):
    lists = pathlib.Path(folder, f"{name}.txt").read_text().split("\n")
    rows = np.fromfile(pathlib.Path(folder, f"{name}.bin"), np.float32).reshape(-1, 4 + 675)
    return [pathlib.Path(lists[int(n)]).name for n in rows[:, 0]], rows[:, 1:4], rows[:, 4:]


def matched(truth, names, places):
    """The number of the face that a candidate is, or -1."""
    out = np.full(len(names), -1)
    for i, (name, (x, y, side)) in enumerate(zip(names, places)):
        for number, (at, to, size, _) in enumerate(truth[name]):
            if np.hypot(x - at, y - to) < 0.5 * size and 0.5 < side / size < 2:
                out[i] = number
    return out


def fit(features, faces, weight):
    scaler = StandardScaler().fit(features)
    model = LogisticRegression(C=C, max_iter=500).fit(scaler.transform(features), faces, weight)
    weights = model.coef_[0] / scaler.scale_
    return weights, float(model.intercept_[0] - weights @ scaler.mean_)


def main():
    sets, folder, source, target = map(pathlib.Path, sys.argv[1:5])
    cells = {}
    for cell in CELLS:
        names, places, features = looks(folder, cell)
        truth = json.loads((sets / f"{cell}.json").read_text())
        half = np.array([int(name.split(".")[0]) % 2 for name in names])
        cells[cell] = names, features, matched(truth, names, places), half, truth
    each = [looks(folder, name)[2] for name in NEGATIVES]
    negatives = np.concatenate(each)
    weights_of = np.concatenate([np.full(len(rows), DIM if name == "dimmed" else 1.0) for name, rows in zip(NEGATIVES, each)])
    names, _, empty = looks(folder, "empty")
    pictures = json.loads((sets / "empty.json").read_text())
    # halves by source
    half_of = np.array([int(name.split(".")[0]) % SOURCES % 2 for name in names])

    def learn(halves):
        kept = [(f[np.isin(half, halves)], m[np.isin(half, halves)] >= 0) for _, f, m, half, _ in cells.values()]
        own = empty[np.isin(half_of, halves)]
        none = np.concatenate([negatives, own])
        features = np.concatenate([f for f, _ in kept] + [none])
        faces = np.concatenate([m for _, m in kept] + [np.zeros(len(none), bool)])
        ones = np.ones(len(faces) - len(none))
        weight = np.concatenate([ones, weights_of, np.ones(len(own))])
        return fit(features, faces, weight), fit(features[:, :FIRST], faces, weight)

    crossed = [learn([1])[0], learn([0])[0]]

    def unseen(features, half):
        """Scores by the model that was learnt from the other half."""
        scores = [features @ weights + bias for weights, bias in crossed]
        return np.where(half == 0, *scores)

    (weights, bias), (first, first_bias) = learn([0, 1])

    # each picture's highest score, by the model that was learnt without it
    best = dict.fromkeys(pictures, -np.inf)
    for name, score in zip(names, unseen(empty, half_of)):
        best[name] = max(best[name], score)
    best = np.sort(list(best.values()))[::-1]
    threshold = float(best[int(FALSE * len(best))])
    print(f"{len(negatives) + len(empty)} candidates of pictures without faces; threshold {threshold:.3f}")
    for share in (0.034, 0.015, 0.008, 0.004, 0.002):
        limit, found = best[int(share * len(best))], []
        for cell, (own, features, number, half, truth) in cells.items():
            hits = {(n, k) for n, k, s in zip(own, number, unseen(features, half)) if s > limit and k >= 0}
            found.append(f"{cell} {100 * len(hits) / sum(len(t) for t in truth.values()):.1f}")
        print(f"cross-validated, {100 * share:.1f} % of empty pictures with a face: " + ", ".join(found))

    # the first look alone: what all but a few of the faces pass
    passed = np.concatenate([(f[:, :FIRST] @ first + first_bias)[(m >= 0) & (f @ weights + bias > threshold)] for _, f, m, _, _ in cells.values()])
    least = float(np.quantile(passed, LOST))
    share = (empty[:, :FIRST] @ first + first_bias > least).mean()
    print(f"{100 * share:.0f} % of the candidates in empty pictures are worth more than one look")

    shift = np.log(CONFIDENCE / (1 - CONFIDENCE))
    header, tensors = read((source / "model.safetensors").read_bytes())
    tensors["rejection.weight"] = (SCALE * weights).astype(np.float16)
    tensors["rejection.bias"] = np.array([SCALE * (bias - threshold) + shift], np.float16)
    tensors["rejection.first.weight"] = first.astype(np.float16)
    tensors["rejection.first.bias"] = np.array([first_bias - least], np.float16)
    header["name"] = target.name
    header["layout"]["rejection"] = True
    header["source"] += "; rejection.* learnt by the Demeanor project"
    target.mkdir(exist_ok=True)
    (target / "model.safetensors").write_bytes(packed(header, tensors))


if __name__ == "__main__":
    main()
