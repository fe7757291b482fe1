#!/usr/bin/env python3
"""Converts a cascade of OpenCV (new XML format, stumps of upright Haar features) to the compact file that is embedded.

    python3 testdata/detect/convert_cascade.py \
        /usr/share/opencv4/haarcascades/haarcascade_frontalface_default.xml \
        crates/demeanor/src/face/detect/frontal.cascade

The XML is in the Debian package opencv-data (4.6.0+dfsg-12 was used; the file has not changed for years). With --check
the target is compared instead of written. Only the standard library is needed.

The file, all numbers little-endian:
    8 bytes   "DMCASC01"
    u8 u8     width and height of the window, pixels
    u16       stages
    per stage u16 stumps, f32 threshold (of the XML, as f32)
              per stump  u8 rectangles (2 or 3), each u8 x, y, width, height and i8 weight;
                         f32 threshold, f32 value below it, f32 value otherwise
    32 bytes  SHA-256 of everything before
"""
import hashlib
import struct
import sys
import xml.etree.ElementTree as ElementTree


def convert(path):
    cascade = ElementTree.parse(path).getroot().find("cascade")
    text = lambda name: cascade.find(name).text.strip()
    if text("stageType") != "BOOST" or text("featureType") != "HAAR":
        sys.exit(f"{path}: expected a boosted cascade of Haar features")
    features = cascade.find("features")
    stages = cascade.find("stages")
    out = b"DMCASC01" + struct.pack("<BBH", int(text("width")), int(text("height")), len(stages))
    for stage in stages:
        stumps = stage.find("weakClassifiers")
        out += struct.pack("<Hf", len(stumps), float(stage.find("stageThreshold").text))
        for stump in stumps:
            node = stump.find("internalNodes").text.split()
            leaves = stump.find("leafValues").text.split()
            if len(node) != 4 or len(leaves) != 2 or node[:2] != ["0", "-1"]:
                sys.exit(f"{path}: expected stumps, found a tree")
            feature = features[int(node[2])]
            if feature.findtext("tilted", "0").strip() != "0":
                sys.exit(f"{path}: tilted features are not supported")
            rects = [r.text.split() for r in feature.find("rects")]
            out += struct.pack("<B", len(rects))
            for x, y, width, height, weight in rects:
                if float(weight) != int(float(weight)):
                    sys.exit(f"{path}: expected whole weights, found {weight}")
                out += struct.pack("<BBBBb", int(x), int(y), int(width), int(height), int(float(weight)))
            out += struct.pack("<fff", float(node[3]), float(leaves[0]), float(leaves[1]))
    return out + hashlib.sha256(out).digest()


def main():
    args = [a for a in sys.argv[1:] if a != "--check"]
    if len(args) != 2:
        sys.exit(__doc__)
    data = convert(args[0])
    if "--check" in sys.argv:
        if open(args[1], "rb").read() != data:
            sys.exit(f"{args[1]} differs from what {args[0]} gives")
        print(f"{args[1]}: as converted, {len(data)} bytes")
    else:
        open(args[1], "wb").write(data)
        print(f"{args[1]}: {len(data)} bytes")


if __name__ == "__main__":
    main()
