"""Writes goldens.safetensors: what librosa makes of voice.wav and of edge cases.

    pip install librosa==0.11.0 numpy==2.4.6 scipy==1.17.1 soundfile safetensors
    python librosa_goldens.py                     # the goldens
    python librosa_goldens.py RAVDESS OUT         # the same of 48 clips of RAVDESS (every 30th), not to be passed on
"""

import pathlib
import sys

import librosa
import numpy as np
import soundfile
from safetensors.numpy import save_file

HERE = pathlib.Path(__file__).parent
SETTINGS = dict(sr=16000, n_fft=512, win_length=400, hop_length=160, window="hamming")


def features(y, prefix, out):
    """Trim, peak, then features, in the order of the recipe."""
    out[prefix + "trim30"] = np.array(librosa.effects.trim(y, top_db=30)[1], np.int64)
    out[prefix + "trim60"] = np.array(librosa.effects.trim(y, top_db=60)[1], np.int64)
    y, _ = librosa.effects.trim(y, top_db=30)
    y = y / np.abs(y).max()
    mfcc = librosa.feature.mfcc(y=y, n_mfcc=13, n_mels=40, **SETTINGS)
    parts = [mfcc]
    if mfcc.shape[1] >= 9:
        parts += [librosa.feature.delta(mfcc), librosa.feature.delta(mfcc, order=2)]
    out[prefix + "mfcc"] = np.ascontiguousarray(np.vstack(parts).T, np.float32)
    mel = librosa.feature.melspectrogram(y=y, n_mels=64, **SETTINGS)
    out[prefix + "log_mel"] = np.ascontiguousarray(np.log10(mel + 1e-4).T, np.float32)


def main():
    out = {}
    if len(sys.argv) == 3:
        for path in sorted(pathlib.Path(sys.argv[1]).glob("Actor_*/*.flac"))[::30]:
            y, rate = soundfile.read(path, dtype="float32", always_2d=True)
            y = y[:, 0]
            # Every third sample without a filter: the comparison is of features, not of resamplers.
            out[path.stem + "/samples"] = np.ascontiguousarray(y[:: rate // 16000])
            features(out[path.stem + "/samples"], path.stem + "/", out)
        save_file(out, sys.argv[2])
        return
    for rate, fft, bands in [(16000, 512, 40), (16000, 512, 64), (16000, 512, 128), (8000, 256, 26)]:
        out[f"mel/{rate}/{fft}/{bands}"] = librosa.filters.mel(sr=rate, n_fft=fft, n_mels=bands)
    y, _ = soundfile.read(HERE / "voice.wav", dtype="float32")
    features(y, "voice/", out)
    features(y[9000:9700], "short/", out)
    save_file(out, HERE / "goldens.safetensors")


main()
