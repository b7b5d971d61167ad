"""Memory that is free goes back to the system. A record is kept as it came until somebody asks for more than its
counts, then in a fifth of the room; what that frees lies between what is still used, and glibc keeps all of it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable


def _trimmer() -> Callable[[int], int] | None:
    try:
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (OSError, TypeError, AttributeError):  # another C library, another system
        return None
    return trim


_trim = _trimmer()


def give_back() -> None:
    """Give whole free pages back; nothing, where the C library has no way to say so. Holds up no other thread."""
    if _trim is not None:
        _trim(0)
