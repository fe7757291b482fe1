"""Sends pictures to `demeanor serve` as frames of a stream, and prints what is estimated as lines of JSON.

    pip install websockets
    python live.py ws://127.0.0.1:8642/v1/live *.jpg

With --token FILE the token of the server is shown. The pictures are taken to follow each other by a tenth of a second.
"""

import argparse
import asyncio
import json
import struct

import websockets

PICTURE_FILE = 1


async def main(url: str, token: str | None, paths: list[str]) -> None:
    async with websockets.connect(url) as live:
        if token:
            await live.send(json.dumps({"token": token}))
        json.loads(await live.recv())  # {"key": ...}, by which others may watch
        for number, path in enumerate(paths):
            with open(path, "rb") as file:
                await live.send(struct.pack("<Bd", PICTURE_FILE, number / 10) + file.read())
            print(await live.recv())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("picture", nargs="+")
    parser.add_argument("--token", type=argparse.FileType())
    args = parser.parse_args()
    asyncio.run(main(args.url, args.token and args.token.read().strip(), args.picture))
