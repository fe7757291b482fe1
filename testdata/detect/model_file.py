"""The project's model files, as the scripts here read and write them: crates/demeanor/src/model.rs says how they are laid out."""
import hashlib
import json

import safetensors.numpy


def read(data):
    """The header of a model file, and its tensors."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["demeanor"])
    return header, safetensors.numpy.load(data)


def packed(header, tensors):
    """The bytes of a model file of tensors in half precision; the hash of its contents is put into the header."""
    header = {**header, "sha256": ""}
    text = lambda: json.dumps(header, separators=(",", ":"), ensure_ascii=False)
    digest = hashlib.sha256(text().encode())
    for name in sorted(tensors):
        shape = ", ".join(str(side) for side in tensors[name].shape)
        digest.update(f"{name} F16 [{shape}]\n".encode())
        digest.update(tensors[name].tobytes())
    header["sha256"] = digest.hexdigest()
    return safetensors.numpy.save(tensors, {"demeanor": text()})
