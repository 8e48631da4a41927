"""How good a detector is, on labelled files: NAB's score, VUS-PR, whole alarms, and whether p-values hold.

Pure functions of arrays. Windows are (first row, last row) pairs, both included; docs/detection.md explains each.
"""

from gridwatch.detectors.evaluation.events import Events
from gridwatch.detectors.evaluation.nab import (
    PROFILES,
    Marked,
    Profile,
    Sweep,
    Window,
    check_windows,
    every_other,
    mark,
    probation_rows,
)
from gridwatch.detectors.evaluation.rates import LEVELS, Rates
from gridwatch.detectors.evaluation.vus_pr import BUFFER_ROWS, vus_pr

__all__ = [
    "BUFFER_ROWS",
    "LEVELS",
    "PROFILES",
    "Events",
    "Marked",
    "Profile",
    "Rates",
    "Sweep",
    "Window",
    "check_windows",
    "every_other",
    "mark",
    "probation_rows",
    "vus_pr",
]
