"""A run over the files in a folder, for the test that kills it: daft_run.py FOLDER OUTPUT."""

import json
import sys

import daft

from demeanor.integrations.daft import read_files

if __name__ == "__main__":
    frame = daft.from_glob_path(sys.argv[1] + "/*").select("path")
    # Daft names local files as URLs
    frame = frame.with_column("path", frame["path"].replace("file://", ""))
    print(json.dumps(read_files(frame, sys.argv[2], workers=2).to_pylist()))
