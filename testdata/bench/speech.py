"""Compares the whole way from 48 kHz samples to scores with librosa and PyTorch: the paper's LSTM, one thread, in one run.

    python -m venv bench && bench/bin/pip install -r testdata/bench/requirements-speech.txt
    cargo build --release -p demeanor --example time_speech
    bench/bin/python testdata/bench/speech.py [--rounds 20] [SOUND.wav]

Both do what the paper's recipe says: resample to 16 kHz, trim, peak, 13 MFCC of 25 ms every 10 ms, z-score, LSTM 128 and
64, dense. The sound is three seconds at 48 kHz: drawn, or the first three of a recording. Both programs take turns, so that
a busy machine slows both. The ratio printed is the peer's best (median) time by ours; outputs are compared too, and a
difference over 1e-2 of the largest is an error (the resamplers differ).
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

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[name] = "1"

import librosa
import numpy as np
import soundfile
import torch
from safetensors.numpy import save_file

RATE = 48000
LAYERS = [
    {"layer": "lstm", "units": 128, "all_steps": True},
    {"layer": "dropout", "rate": 0.3},
    {"layer": "lstm", "units": 64},
    {"layer": "dense", "units": 8},
]


def voice(chance):
    """Three seconds as busy as a voice: a gliding tone with harmonics, louder and softer, over a little noise."""
    t = np.arange(3 * RATE) / RATE
    phase = 2 * np.pi * np.cumsum(140 + 40 * np.sin(2 * np.pi * 0.7 * t)) / RATE
    tone = sum(np.sin(h * phase) / h for h in range(1, 25))
    return (0.2 * tone * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * t)) + chance.normal(0, 1e-3, t.size)).astype(np.float32)


class Peer(torch.nn.Module):
    def __init__(self, chance, mean, deviation):
        super().__init__()
        self.first = torch.nn.LSTM(13, 128, batch_first=True)
        self.second = torch.nn.LSTM(128, 64, batch_first=True)
        self.dense = torch.nn.Linear(64, 8)
        self.mean, self.deviation = torch.from_numpy(mean), torch.from_numpy(deviation)
        with torch.no_grad():
            for parameter in self.parameters():
                scale = (1 / parameter.shape[-1]) ** 0.5
                parameter.copy_(torch.from_numpy(chance.uniform(-scale, scale, parameter.shape)))
            self.first.bias_hh_l0.zero_()
            self.second.bias_hh_l0.zero_()

    def forward(self, x):
        x, _ = self.first((x - self.mean) / self.deviation)
        _, (h, _) = self.second(x)
        return self.dense(h[-1])

    def tensors(self):
        named = {"3.weight": self.dense.weight, "3.bias": self.dense.bias}
        for n, layer in ((0, self.first), (2, self.second)):
            named[f"{n}.input.weight"] = layer.weight_ih_l0
            named[f"{n}.recurrent.weight"] = layer.weight_hh_l0
            named[f"{n}.bias"] = layer.bias_ih_l0
        return {name: tensor.detach().numpy().copy() for name, tensor in named.items()}


def coefficients(sound):
    y = librosa.resample(sound, orig_sr=RATE, target_sr=16000)
    y, _ = librosa.effects.trim(y, top_db=30)
    y = y / np.abs(y).max()
    settings = dict(sr=16000, n_fft=512, win_length=400, hop_length=160, window="hamming")
    return librosa.feature.mfcc(y=y, n_mfcc=13, n_mels=40, **settings).T


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sound", nargs="?")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--program", default="target/release/examples/time_speech")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    chance = np.random.default_rng(1)
    sound = voice(chance)
    if arguments.sound:
        sound, rate = soundfile.read(arguments.sound, dtype="float32", always_2d=True)
        if rate != RATE:
            sys.exit(f"{arguments.sound}: {rate} Hz; expected {RATE}")
        sound = np.ascontiguousarray(sound[: 3 * RATE].mean(1))
    first = coefficients(sound)
    mean, deviation = first.mean(0).astype(np.float32), first.std(0).astype(np.float32)
    peer = Peer(chance, mean, deviation).eval()

    def peer_run():
        with torch.inference_mode():
            return peer(torch.from_numpy(np.ascontiguousarray(coefficients(sound), np.float32))[None])[0].numpy()

    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        recipe = {
            "rate": 16000, "trim_db": 30.0, "level": "peak", "frame": 400, "hop": 160, "fft": 512,
            "features": {"mfcc": {"bands": 40, "coefficients": 13, "deltas": 0}}, "max_frames": 500,
            "mean": mean.tolist(), "deviation": deviation.tolist(),
        }
        (folder / "recipe.json").write_text(json.dumps(recipe))
        (folder / "network.json").write_text(json.dumps({"layers": LAYERS, "input": [1, 13, 500]}))
        weights = peer.tensors()
        # as model files store them
        half = {n: v.astype(np.float16) if v.ndim == 2 else v for n, v in weights.items()}
        save_file(half, folder / "weights.safetensors")
        sound.tofile(folder / "sound.bin")
        ours = subprocess.Popen(
            [arguments.program, folder, str(RATE)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

        def ask(line):
            ours.stdin.write(f"{line}\n")
            ours.stdin.flush()
            return [float(word) for word in ours.stdout.readline().split()]

        expected, found = peer_run(), np.array(ask("output"))
        difference = np.abs(found - expected).max() / np.abs(expected).max()
        count = 20
        ask(count)
        best, medians = [[], []], [[], []]
        for _ in range(arguments.rounds):
            for place, (a, b) in ((0, ask(count)), (1, timed(peer_run, count))):
                best[place].append(a)
                medians[place].append(b)
        ours.stdin.close()
        ours.wait()
    (ours_best, peer_best), (ours_median, peer_median) = map(min, best), map(statistics.median, medians)
    features = timed(lambda: coefficients(sound), count)[1]
    print(
        f"48 kHz to scores, {sound.size / RATE:.1f} s, {len(first)} frames: ours {ours_best:.3f} best {ours_median:.3f} "
        f"median, librosa {librosa.__version__} + PyTorch {torch.__version__} {peer_best:.3f} best {peer_median:.3f} "
        f"median ms ({features:.3f} of them librosa); ratio {peer_best / ours_best:.2f} "
        f"({peer_median / ours_median:.2f}); outputs differ by {difference:.1e}"
    )
    sys.exit(0 if difference < 1e-2 else 1)


def timed(run, count):
    times = []
    for _ in range(count):
        start = time.perf_counter()
        run()
        times.append((time.perf_counter() - start) * 1e3)
    return min(times), statistics.median(times)


if __name__ == "__main__":
    main()
