"""Brings estimates to Lab Streaming Layer: seven scores for each estimate, by the clock of LSL.

    pip install websockets pylsl
    demeanor live --serve
    python lsl.py ws://127.0.0.1:8642/v1/watch

What is fused is sent, else the face, else the voice. A live connection of `demeanor serve` is named by --key.
"""

import argparse
import asyncio
import json

import pylsl
import websockets

EMOTIONS = ["angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"]


async def main(url: str, key: str | None) -> None:
    info = pylsl.StreamInfo("demeanor", "Emotion", len(EMOTIONS), pylsl.IRREGULAR_RATE, pylsl.cf_float32, url)
    channels = info.desc().append_child("channels")
    for emotion in EMOTIONS:
        channels.append_child("channel").append_child_value("label", emotion)
    outlet = pylsl.StreamOutlet(info)
    async with websockets.connect(url) as watch:
        if key:
            await watch.send(json.dumps({"key": key}))
        async for line in watch:
            read = json.loads(line)
            readings = [read.get("fused"), *read.get("faces", []), read.get("voice")]
            for scores in (reading["scores"] for reading in readings if reading and reading.get("scores")):
                outlet.push_sample([scores.get(emotion, 0.0) for emotion in EMOTIONS])
                break


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("--key")
    args = parser.parse_args()
    asyncio.run(main(args.url, args.key))
