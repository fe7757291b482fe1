"""The whole command line: `demeanor`, or `python -m demeanor`."""

import signal
import sys


def main() -> int:
    """Runs the command line and returns its exit status."""
    from ._demeanor import _main

    # the program has its own way with Ctrl-C
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return _main(["demeanor", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
