"""From 3 s of 48 kHz samples to the scores of the paper's LSTM: this program against librosa and PyTorch.

    python -m venv bench && bench/bin/pip install librosa==0.11.0 numpy==2.4.6 torch==2.15.0 soundfile==0.14.0
    cargo build --release -p demeanor --example time_speech
    bench/bin/python testdata/speech/compare_speed.py [ROUNDS]

One thread each; both take turns, so that a busy machine slows both. Medians in milliseconds.
"""

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

HERE = pathlib.Path(__file__).parent
PROGRAM = os.environ.get("TIME_SPEECH", HERE.parent.parent / "target/release/examples/time_speech")
torch.set_num_threads(1)


class Paper(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.one = torch.nn.LSTM(13, 128, batch_first=True)
        self.two = torch.nn.LSTM(128, 64, batch_first=True)
        self.dense = torch.nn.Linear(64, 8)

    def forward(self, x):
        return self.dense(self.two(self.one(x)[0])[0][:, -1]).softmax(1)


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    y, rate = soundfile.read(HERE / "voice.wav", dtype="float32")
    # Speech all through, so that the trim leaves 3 s.
    y = np.tile(y[8000:44000], 2)[:48000]
    y48 = librosa.resample(y, orig_sr=rate, target_sr=48000).astype(np.float32)
    model = Paper().eval()
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "samples"
        y48.tofile(path)
        ours = subprocess.Popen([PROGRAM, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

        def ask(count):
            ours.stdin.write(f"{count}\n")
            ours.stdin.flush()
            return [float(word) for word in ours.stdout.readline().split()]

        def theirs():
            start = time.perf_counter()
            x = librosa.resample(y48, orig_sr=48000, target_sr=16000)
            resampled = time.perf_counter()
            x, _ = librosa.effects.trim(x, top_db=30)
            x = x / np.abs(x).max()
            mfcc = librosa.feature.mfcc(
                y=x, sr=16000, n_mfcc=13, n_mels=40, n_fft=512, win_length=400, hop_length=160, window="hamming"
            )
            prepared = time.perf_counter()
            with torch.inference_mode():
                model(torch.from_numpy(np.ascontiguousarray(mfcc.T) / 10)[None])
            end = time.perf_counter()
            return resampled - start, prepared - resampled, end - prepared, end - start

        ask(20)
        for _ in range(20):
            theirs()
        us, them = [], []
        for _ in range(rounds):
            us.append(ask(20))
            them += [theirs() for _ in range(20)]
        ours.stdin.close()
        ours.wait()
    us = [statistics.median(u[i] for u in us) for i in range(4)]
    them = [1e3 * statistics.median(t[i] for t in them) for i in range(4)]
    print(f"{'':12}{'ours':>9}{'peer':>9}{'ratio':>8}")
    for name, a, b in zip(("resampling", "features", "network", "whole"), us, them):
        print(f"{name:12}{a:9.3f}{b:9.3f}{b / a:8.1f}")
    print(f"librosa {librosa.__version__}, torch {torch.__version__}, one thread each, {rounds} rounds of 20")


main()
