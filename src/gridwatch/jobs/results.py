"""Results as rows of the store: written under keys that follow from what they are about, and looked up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from gridwatch.jobs import sql
from gridwatch.jobs.result_tables import record_id, tables_of
from gridwatch.jobs.tables import BUCKETS, INFLUENCERS, MODEL_PLOT, RECORDS

if TYPE_CHECKING:
    from gridwatch.containers import ContainerInfo, Store
    from gridwatch.jobs.analysis import Results
    from gridwatch.jobs.config import JobConfig

__all__ = ["Kind", "Page", "ResultRows", "Wanted", "record_id"]

Kind: TypeAlias = Literal["buckets", "records", "influencers", "model_plot"]

_TABLES: dict[Kind, ContainerInfo] = {
    "buckets": BUCKETS,
    "records": RECORDS,
    "influencers": INFLUENCERS,
    "model_plot": MODEL_PLOT,
}
_SCORES: dict[Kind, str] = {
    "buckets": "anomaly_score",
    "records": "record_score",
    "influencers": "influencer_score",
}
_SORTABLE: dict[Kind, tuple[str, ...]] = {
    "buckets": ("ts", "anomaly_score", "event_count", "probability"),
    "records": ("ts", "record_score", "probability", "detector_index", "actual", "typical"),
    "influencers": ("ts", "influencer_score", "probability", "field_name", "field_value"),
    "model_plot": ("ts",),
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which results.

    Attributes:
        start_ms: First bucket wanted, UTC epoch ms.
        end_ms: First not wanted any more.
        score_min: Least score.
        interim: Whether results that may change are wanted.
        sort: Column, by which each kind has its own.
        descending: Greatest first.
        start: How many to pass over.
        size: Most to return.
    """

    start_ms: int | None = None
    end_ms: int | None = None
    score_min: float = 0.0
    interim: bool = True
    sort: str = "ts"
    descending: bool = False
    start: int = 0
    size: int = 100


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the results, as rows of their container, and how many there are in all."""

    count: int
    rows: list[dict[str, Any]]


class ResultRows:
    """The result containers of a store, which are made when missing.

    Args:
        store: Any backend.
        make: Whether they are.
    """

    def __init__(self, store: Store, *, make: bool = True) -> None:
        self.store = store
        for info in _TABLES.values() if make else ():
            store.put_container(info, modifiable=True)

    def write(self, job: JobConfig, results: Results) -> None:
        """Upsert results; the same results again change nothing."""
        tables = tables_of(job, results)
        if tables:
            self.store.put_many(tables)

    def drop_interim(self, job_id: str) -> None:
        """Delete the results that may still have changed."""
        for kind in ("buckets", "records", "influencers"):
            ids = self._ids(_TABLES[kind], job_id, sql.compose("({} = {})", sql.name("is_interim"), sql.value(True)))
            self.store.delete(_TABLES[kind].name, ids)

    def drop(self, job_id: str, *, before_ms: int | None = None) -> None:
        """Delete the results of a job: all, or those of buckets that start before an instant, UTC epoch ms."""
        old = sql.TRUE
        if before_ms is not None:
            old = sql.compose("({} < {})", sql.name("ts"), sql.value(_time(before_ms)))
        for info in _TABLES.values():
            ids = self._ids(info, job_id, old)
            if ids:
                self.store.delete(info.name, ids)

    def find(self, kind: Kind, job_ids: Sequence[str], wanted: Wanted) -> Page:
        """Return results of some jobs.

        Raises:
            ValueError: They cannot be sorted by that column.
        """
        allowed = _SORTABLE[kind]
        if wanted.sort not in allowed:
            # Their times are asked for, and answered, by another name than the column's.
            names = ", ".join("timestamp" if one == "ts" else one for one in allowed)
            raise ValueError(f"{kind} are sorted by {names}, not by {wanted.sort!r}.")
        if not job_ids:
            return Page(0, [])
        info = _TABLES[kind]
        where = _where(kind, job_ids, wanted)
        counted = sql.compose("SELECT COUNT(*) FROM {} WHERE {}", sql.name(info.name), where)
        count = int(self.store.sql(counted.text, counted.parameters).column(0)[0].as_py())
        # The key makes pages of rows with equal values follow one another.
        order = sql.compose("ORDER BY {} DESC, {}", sql.name(wanted.sort), sql.name("id"))
        if not wanted.descending:
            order = sql.compose("ORDER BY {}, {}", sql.name(wanted.sort), sql.name("id"))
        found = sql.compose("SELECT * FROM {} WHERE {} {}", sql.name(info.name), where, order)
        # GridDB takes no parameter here; whole numbers are what int() leaves.
        text = f"{found.text} LIMIT {int(wanted.size)} OFFSET {int(wanted.start)}"
        return Page(count, self.store.sql(text, found.parameters).to_pylist())

    def scores(self, job_ids: Sequence[str], wanted: Wanted) -> list[dict[str, Any]]:
        """Return `job_id`, `ts`, `anomaly_score` and `is_interim` of all buckets wanted, oldest first."""
        if not job_ids:
            return []
        columns = sql.joined(", ", [sql.name(one) for one in ("job_id", "ts", "anomaly_score", "is_interim")])
        found = sql.compose(
            "SELECT {} FROM {} WHERE {} ORDER BY {}",
            columns, sql.name(BUCKETS.name), _where("buckets", job_ids, wanted), sql.name("ts"),
        )  # fmt: skip
        rows: list[dict[str, Any]] = self.store.sql(found.text, found.parameters).to_pylist()
        return rows

    def _ids(self, info: ContainerInfo, job_id: str, also: sql.Sql) -> list[str]:
        where = sql.all_of([sql.compose("({} = {})", sql.name("job_id"), sql.value(job_id)), also])
        found = sql.compose("SELECT {} FROM {} WHERE {}", sql.name("id"), sql.name(info.name), where)
        return [str(one) for one in self.store.sql(found.text, found.parameters).column(0).to_pylist()]


def _where(kind: Kind, job_ids: Iterable[str], wanted: Wanted) -> sql.Sql:
    parts = [sql.any_of(sql.compose("({} = {})", sql.name("job_id"), sql.value(one)) for one in job_ids)]
    if wanted.start_ms is not None:
        parts.append(sql.compose("({} >= {})", sql.name("ts"), sql.value(_time(wanted.start_ms))))
    if wanted.end_ms is not None:
        parts.append(sql.compose("({} < {})", sql.name("ts"), sql.value(_time(wanted.end_ms))))
    if wanted.score_min > 0 and kind in _SCORES:
        parts.append(sql.compose("({} >= {})", sql.name(_SCORES[kind]), sql.value(float(wanted.score_min))))
    if not wanted.interim and kind != "model_plot":
        parts.append(sql.compose("({} = {})", sql.name("is_interim"), sql.value(False)))
    return sql.all_of(parts)


def _time(ms: int) -> datetime:
    # By whole numbers: a float would be off by a millisecond now and then.
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=ms)
