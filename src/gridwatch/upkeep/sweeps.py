"""What retention asks for: one sweep a container, with how long its rows are kept."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from gridwatch.settings import Settings
    from gridwatch.sources import Dataset

__all__ = ["DAY_MS", "Kind", "Sweep", "UpkeepReport", "days_of", "wants_upkeep"]

DAY_MS = 86_400_000

Kind: TypeAlias = Literal["rows", "scores", "anomalies", "deliveries", "validations", "results", "messages"]


@dataclass(frozen=True, slots=True)
class Sweep:
    """What retention did with one container, or would do.

    Attributes:
        container: Its name.
        kind: What it holds.
        days: How long that is kept.
        before_ms: What is older has been kept long enough, UTC epoch ms.
        rows: Rows deleted; of a dry run, those that would be.
        kept: Older rows that stay, since something needs them.
        needed_by: What that is, a few words each.
    """

    container: str
    kind: Kind
    days: int
    before_ms: int
    rows: int
    kept: int = 0
    needed_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UpkeepReport:
    """What one run of upkeep did.

    Attributes:
        dry_run: Whether nothing was deleted.
        sweeps: One a container that has a retention and is there.
        freed_bytes: By how much the embedded store's file is smaller; None for other stores.
        note: Why nothing was done; empty when something was.
    """

    dry_run: bool
    sweeps: list[Sweep] = field(default_factory=list)
    freed_bytes: int | None = None
    note: str = ""

    @property
    def rows(self) -> int:
        """Rows deleted in all."""
        return sum(sweep.rows for sweep in self.sweeps)


def days_of(kind: Literal["rows", "scores", "anomalies"], dataset: Dataset | None, settings: Settings) -> int | None:
    """Return how many days a series' rows are kept, None for ever; a dataset's own word wins."""
    own = getattr(dataset.retention, f"{kind}_days") if dataset else None
    general = None if kind == "rows" else getattr(settings.retention, f"{kind}_days")
    return own if own is not None else general


def wants_upkeep(settings: Settings, datasets: Iterable[Dataset]) -> bool:
    """Tell whether anything has a retention."""
    said = [settings.retention.model_dump(), *(one.retention.model_dump() for one in datasets)]
    return any(name.endswith("_days") and value is not None for one in said for name, value in one.items())
