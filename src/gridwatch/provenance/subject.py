"""An anomaly with all columns of its row, old or new."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from gridwatch.alerts.anomalies import anomaly_containers
from gridwatch.alerts.anomaly import PREFIX
from gridwatch.containers.catalog import anomaly_container
from gridwatch.errors import ProvenanceError

if TYPE_CHECKING:
    from gridwatch.containers import Store
    from gridwatch.settings import Settings

__all__ = ["JOBS", "Subject", "find_subject", "subjects"]

JOBS = "jobs:/"
"""How the `model_uri` of a job's anomalies begins."""

_ID = re.compile(r"[0-9a-f]{6,32}")


@dataclass(frozen=True, slots=True)
class Subject:
    """One row of `ANOMALY_<S>`.

    Attributes:
        container: Where it is.
        row: Its columns by name, `ts` as UTC epoch ms; None for what is null or what an older gridwatch did not write.
        said: What its column `provenance` holds.
    """

    container: str
    row: dict[str, Any]
    said: dict[str, Any]

    @classmethod
    def of(cls, container: str, row: dict[str, Any]) -> Subject:
        """Make one from a row of the store.

        Raises:
            ProvenanceError: The row has no time.
        """
        when = row.get("ts")
        if not isinstance(when, datetime):
            raise ProvenanceError(f"Anomaly {row.get('id')!r} of {container!r} has no time in `ts`.")
        try:
            said = json.loads(row.get("provenance") or "{}")
        except ValueError:
            said = {}
        return cls(
            container,
            {**row, "ts": round(when.astimezone(UTC).timestamp() * 1000)},
            said if isinstance(said, dict) else {},
        )

    def __getitem__(self, column: str) -> Any:
        """Return a column; None where the row has none of that name."""
        return self.row.get(column)

    @property
    def id(self) -> str:
        """Key of the row."""
        return str(self.row["id"])

    @property
    def ts_ms(self) -> int:
        """Time of the row, UTC epoch ms."""
        return int(self.row["ts"])

    @property
    def series(self) -> str:
        """The `<S>` of container names."""
        return self.container[len(PREFIX) :]

    @property
    def job_id(self) -> str | None:
        """The job that found it; None for a dataset's anomaly."""
        uri = self.row.get("model_uri") or ""
        return uri.removeprefix(JOBS) if uri.startswith(JOBS) else None

    def source(self, settings: Settings) -> tuple[str, str] | None:
        """Return container and column of the rows, of older rows by the dataset files; None where nothing says it."""
        if self["source"] and self["source_column"]:
            return self["source"], self["source_column"]
        from gridwatch.alerts.address_book import AddressBook

        dataset = AddressBook(settings).dataset(self.container) if self.job_id is None else None
        return None if dataset is None else (dataset.container, dataset.value)


def find_subject(store: Store, key: str) -> Subject:
    """Return the anomaly of an id, or of the first six digits or more of one.

    Raises:
        ProvenanceError: There is none, or several begin so.
    """
    if not _ID.fullmatch(key):
        raise ProvenanceError(
            f"{key[:60]!r} is no id of an anomaly: 32 digits of 0-9 and a-f, or the first six of them or more; "
            "`gridwatch anomalies` lists them."
        )
    found: list[Subject] = []
    for container in anomaly_containers(store):
        if len(key) == 32:
            rows = store.get(container, [key])
        else:
            rows = store.sql(f'SELECT * FROM "{container}" WHERE id LIKE ? LIMIT 3', [f"{key}%"])  # noqa: S608 - checked
        found += [Subject.of(container, row) for row in rows.to_pylist()]
    if not found:
        raise ProvenanceError(f"There is no anomaly {key!r}; `gridwatch anomalies` lists them.")
    if len(found) > 1:
        named = ", ".join(sorted(one.id for one in found)[:3])
        raise ProvenanceError(f"Several anomalies begin with {key!r}: {named}; give more digits.")
    return found[0]


def subjects(store: Store, symbol: str | None = None) -> list[Subject]:
    """Return all anomalies, or those of one series, oldest first."""
    wanted = anomaly_container(symbol).lower() if symbol else None
    found = [
        Subject.of(container, row)
        for container in anomaly_containers(store)
        if wanted in {None, container.lower()}
        for row in store.read(container).to_pylist()
    ]
    return sorted(found, key=lambda one: (one.container, one.ts_ms, one.id))
