"""Whether the native pump is used: where it was built, unless ``BAMDMUX_PUMP=python`` says no."""

import os
from typing import Final

from bamdmux.errors import UsageError
from bamdmux.pump import native

VARIABLE: Final = "BAMDMUX_PUMP"


def pump_is_wanted() -> bool:
    """What the environment says.

    Raises:
        UsageError: it says something else.
    """
    choice = os.environ.get(VARIABLE, "")
    if choice not in ("", "native", "python"):
        raise UsageError(f"{VARIABLE}={choice} is neither native nor python")
    if choice == "native" and native is None:
        raise UsageError(
            f"{VARIABLE}=native, but the native pump was not built: install again with a compiler"
        )
    return native is not None and choice != "python"
