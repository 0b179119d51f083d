"""``python -m bamdmux`` is the command ``bamdmux``."""

import sys

from bamdmux.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
