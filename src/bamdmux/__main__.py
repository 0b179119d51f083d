"""``python -m bamdmux`` is the command ``bamdmux``."""

import signal
import sys


def main() -> int:
    """Run the command line."""
    # Ctrl-C while we are still importing is no reason for a traceback. `bamdmux run` sets its own handlers.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from bamdmux.cli.main import main

    return main()


if __name__ == "__main__":
    sys.exit(main())
