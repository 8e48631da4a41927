"""What has been kept long enough goes: found first, as `Sweep`s, then deleted in pieces while others work.

Retention is never forced: rows that something still needs stay, and the sweep says how many and why.
"""

from gridwatch.upkeep.sweeping import run_upkeep
from gridwatch.upkeep.sweeps import Sweep, UpkeepReport, wants_upkeep

__all__ = ["Sweep", "UpkeepReport", "run_upkeep", "wants_upkeep"]
