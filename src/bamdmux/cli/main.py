"""The command ``bamdmux``."""


def main() -> int:
    """Run the command line."""
    return 0
