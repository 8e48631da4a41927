"""Score the rows of a dataset that have no score yet, and write the anomalies with all that led to them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import structlog

from gridwatch.containers.catalog import DETECTIONS, anomaly_info, score_info, series_name
from gridwatch.pipeline.anomaly_rows import Origin, anomaly_rows
from gridwatch.pipeline.judging import judge
from gridwatch.pipeline.labels import read_labels
from gridwatch.pipeline.models import load_model, rule_of
from gridwatch.pipeline.series import Series, gate, read_series

if TYPE_CHECKING:
    from gridwatch.containers.store import Store
    from gridwatch.detectors.base import Times
    from gridwatch.pipeline.scored import Scored
    from gridwatch.settings import Settings
    from gridwatch.sources.dataset import Dataset

__all__ = ["DetectReport", "detect"]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class DetectReport:
    """What a detection did.

    Attributes:
        dataset: Name of the dataset.
        scored: Rows that were scored.
        anomalies: Those of them at or above the threshold.
        late: Scored rows that came after later ones had been scored.
        revised: Scored rows that had a score, but whose value has changed since.
        nulls: Rows without a value, left out.
        from_ms: Time of the first scored row, UTC epoch ms; None if there was none.
        to_ms: Time of the last.
        model_uri: `models:/<name>/<version>`.
        model_version: Version of the registered model.
        sha256: Digest of the bytes that scored.
        validation_id: Validation of the rows.
        anomaly_container: Where the anomalies are.
        new_anomaly_ids: Keys of those that were not there before.
    """

    dataset: str
    scored: int
    anomalies: int
    late: int
    revised: int
    nulls: int
    from_ms: int | None
    to_ms: int | None
    model_uri: str
    model_version: str
    sha256: str
    validation_id: str | None
    anomaly_container: str
    new_anomaly_ids: list[str] = field(default_factory=list)


def detect(
    dataset: Dataset,
    store: Store,
    settings: Settings,
    *,
    now_ms: int,
    flow_run_id: str | None = None,
    force: bool = False,
) -> DetectReport:
    """Score new, late and revised rows with the champion; running it again changes nothing.

    Anomalies and scores are written together and the watermark last, so a crash in between repeats rows under the
    same keys. An anomaly that was written stays, with the time it was detected, even if its row is revised.

    Args:
        dataset: What to score. An open scoring range begins with the first row the champion was not trained on.
        store: Where its rows are, and where scores and anomalies go.
        settings: MLflow.
        now_ms: The present, UTC epoch ms; later rows wait.
        flow_run_id: Prefect flow run to name in the anomalies.
        force: Go on although the newest validation failed, is missing or older than the rows.

    Raises:
        ContainerNotFoundError: Nothing has been loaded.
        ValidationFailedError: The newest validation failed, is missing or too old, and `force` is not set.
        TrackingError: There is no champion, or MLflow failed.
        DetectorError: Rows that cannot be scored.
    """
    from gridwatch import tracking

    champion = tracking.champion(settings, dataset.model_name, dataset.name)
    model = load_model(champion.parts, dataset)
    start_ms, end_ms = dataset.range_ms(dataset.scoring)
    start_ms = model.unseen_from_ms if start_ms is None else start_ms
    series = read_series(dataset, store, start_ms, now_ms if end_ms is None else min(end_ms, now_ms))
    validation = gate(dataset, store, series, force=force, what="detect")
    scores_info, found_info = score_info(dataset.symbol), anomaly_info(dataset.symbol)
    for info in (scores_info, found_info, DETECTIONS):
        store.put_container(info, modifiable=True)
    watermark_ms = _watermark(dataset, store)
    work = _Work.find(series, store.read(scores_info.name, start_ms, end_ms, columns=["ts", "actual"]), watermark_ms)
    origin = Origin(dataset, champion, validation, flow_run_id, now_ms)
    labels = read_labels(store, series_name(dataset.symbol), now_ms)
    gone_through = model.say(dataset, store, series, work.todo, away=lambda times_ms: labels.away(times_ms, now_ms))
    rule = rule_of(dataset, model)
    verdicts = judge(gone_through, rule, labels, now_ms=now_ms, config=model.config)
    wanted = np.isin(gone_through.times_ms, series.times_ms[work.todo])
    scored = gone_through.pick(wanted)
    told = wanted & verdicts.flagged
    found = anomaly_rows(origin, model, rule, gone_through.pick(told), verdicts.pick(told))
    known = _detected_before(store, found_info.name, found)
    if len(scored):
        rows = [{**row, "detected_ms": known.get(row["id"], now_ms)} for row in found]
        # Anomalies first: a backend without transactions must not keep a score whose anomaly was lost.
        store.put_many(
            {
                found_info.name: pa.Table.from_pylist(rows, schema=found_info.arrow),
                scores_info.name: scored.table(scores_info.arrow, model.kind, champion.version),
            }
        )
        _move_watermark(store, origin, scored, len(series), len(found), watermark_ms)
    log.info("detected", dataset=dataset.name, scored=len(scored), anomalies=len(found), late=work.late(scored))
    return DetectReport(
        dataset=dataset.name,
        scored=len(scored),
        anomalies=len(found),
        late=work.late(scored),
        revised=work.revised(scored),
        nulls=series.nulls,
        from_ms=int(scored.times_ms[0]) if len(scored) else None,
        to_ms=int(scored.times_ms[-1]) if len(scored) else None,
        model_uri=champion.uri,
        model_version=champion.version,
        sha256=champion.sha256,
        validation_id=validation.id if validation else None,
        anomaly_container=found_info.name,
        new_anomaly_ids=[row["id"] for row in found if row["id"] not in known],
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Work:
    """Which rows of a series have no score, or one of another value."""

    todo: npt.NDArray[np.bool_]
    late_ms: Times
    revised_ms: Times

    @classmethod
    def find(cls, series: Series, scored: pa.Table, watermark_ms: int | None) -> _Work:
        before = Series.of(scored, "actual")
        place = np.searchsorted(before.times_ms, series.times_ms)
        has = np.zeros(len(series), bool)
        inside = place < len(before)
        has[inside] = before.times_ms[place[inside]] == series.times_ms[inside]
        changed = has.copy()
        changed[has] = before.values[place[has]] != series.values[has]
        new = ~has
        late = new & (series.times_ms <= (-1 if watermark_ms is None else watermark_ms))
        return cls(new | changed, series.times_ms[late], series.times_ms[changed])

    def late(self, scored: Scored) -> int:
        """Return how many of the scored rows came late."""
        return int(np.isin(scored.times_ms, self.late_ms).sum())

    def revised(self, scored: Scored) -> int:
        """Return how many of the scored rows had another value before."""
        return int(np.isin(scored.times_ms, self.revised_ms).sum())


def _detected_before(store: Store, container: str, found: list[dict[str, Any]]) -> dict[str, int]:
    """Return when those anomalies that are there already were detected, by key."""
    if not found:
        return {}
    rows = store.get(container, [row["id"] for row in found])
    return dict(zip(rows["id"].to_pylist(), rows["detected_ms"].to_pylist(), strict=True))


def _watermark(dataset: Dataset, store: Store) -> int | None:
    rows = store.get(DETECTIONS.name, [dataset.name])
    return rows["scored_to_ms"][0].as_py() if rows.num_rows else None


def _move_watermark(
    store: Store, origin: Origin, scored: Scored, rows: int, anomalies: int, watermark_ms: int | None
) -> None:
    newest_ms = int(scored.times_ms[-1])
    row = {
        "dataset": origin.dataset.name,
        "scored_to_ms": newest_ms if watermark_ms is None else max(newest_ms, watermark_ms),
        "ingested_rows": rows,
        "model_uri": origin.champion.uri,
        "model_sha256": origin.champion.sha256,
        "run_ms": origin.now_ms,
        "scored": len(scored),
        "anomalies": anomalies,
        "validation_id": origin.validation.id if origin.validation else None,
        "flow_run_id": origin.flow_run_id,
    }
    store.put(DETECTIONS.name, pa.Table.from_pylist([row], schema=DETECTIONS.arrow))
