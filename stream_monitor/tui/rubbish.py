"""When Python looks for unreachable cycles: while nobody presses a key.

The search stops everything: 70 ms over what is young, 0.5 s over the rows of 2,000 series. What is drawn is cycles
(a strip of Textual's is in its own cache), some 120 objects each second, and a few thousand for each key.
"""

from __future__ import annotations

import gc
import time

_QUIET_S, _LONG_QUIET_S = 2.0, 10.0
"""Since the last key, before what is young is looked through, and before everything is."""
_MANY, _DATA = 50_000, 200_000
"""So many new objects are worth a look; so many are mostly rows of a range, and left to the next whole one."""
_YOUNG_S, _ALL_S = 60.0, 1800.0
"""How often there is a look in any case: at what is young, at everything."""


class Rubbish:
    """In place of Python's own times for it, in this process."""

    def __init__(self) -> None:
        gc.disable()
        self._young_s = self._all_s = time.monotonic()

    def look(self, quiet_s: float) -> None:
        """Perhaps look for it now; `quiet_s`: since the last key."""
        if quiet_s < _QUIET_S:
            return
        now, new = time.monotonic(), gc.get_count()[0]
        if now - self._all_s > _ALL_S and quiet_s > _LONG_QUIET_S:
            gc.unfreeze()
            gc.collect()
            self._all_s = self._young_s = now
        elif new > _DATA:
            gc.freeze()
        elif new > _MANY or now - self._young_s > _YOUNG_S:
            gc.collect(1)
            self._young_s = now
