"""Records in which something is not as it should be."""

from __future__ import annotations

STRANGE = [
    10**400,
    2**63,
    2**62,
    -1,
    -(10**30),
    1e308,
    -1e308,
    5e-324,
    0.5,
    "",
    "x" * 5000,
    "2024-99-99T10:00:00Z",
]
STRANGE += [None, True, [], {}]


def changed(rng, value):
    """Some value somewhere in it is another; or a field is gone."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        name = rng.choice(list(value))
        rest = {other: found for other, found in value.items() if other != name}
        return rest if rng.random() < 0.1 else {**value, name: changed(rng, value[name])}
    if isinstance(value, list) and value and rng.random() < 0.9:
        at = rng.randrange(len(value))
        return [*value[:at], changed(rng, value[at]), *value[at + 1 :]]
    return rng.choice(STRANGE)
