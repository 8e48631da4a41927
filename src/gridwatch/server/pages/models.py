"""Models: how each training went, and champion against challenger on the same rows."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Any

from flask import Response, abort, current_app, jsonify, render_template, request

from gridwatch.containers.catalog import TRAININGS
from gridwatch.errors import GridwatchError
from gridwatch.provenance.addresses import flow_run_url, model_url
from gridwatch.server.pages.paging import paging_of
from gridwatch.server.pages.shell import page_blueprint
from gridwatch.server.state import state

if TYPE_CHECKING:
    from gridwatch.containers import Store
    from gridwatch.detectors.base import Floats
    from gridwatch.server.state import State
    from gridwatch.sources.dataset import Dataset

__all__ = ["blueprint"]

blueprint = page_blueprint("models", __name__)

_DRAWN_MAX = 200
_WAIT_S = 60.0

# Scoring takes seconds and a core: one at a time, whoever asks.
_scoring = threading.Lock()


@blueprint.get("/models")
def page() -> str:
    """List the datasets that were trained, each with its champion."""
    store = state(current_app).store
    rows = []
    for name, trainings in _datasets(store):
        champion = next(iter(_trainings(store, name, 1, 0, champions=True)), None)
        newest = _trainings(store, name, 1, 0)[0]
        rows.append({"name": name, "trainings": trainings, "champion": champion, "newest": newest})
    return render_template("models.html", rows=rows)


@blueprint.get("/models/<name>")
def one(name: str) -> str:
    """Show the trainings of one dataset."""
    parts = state(current_app)
    paging = paging_of(dict(_datasets(parts.store)).get(name, 0))
    if not paging.count:
        abort(404, f"No model of a dataset {name[:60]!r} was trained.")
    rows = _trainings(parts.store, name, paging.size, paging.offset)
    links = {row["run_id"]: model_url(parts.settings, row["model_uri"]) for row in rows}
    flows = {row["run_id"]: flow_run_url(parts.settings, row["flow_run_id"]) for row in rows}
    champion = next(iter(_trainings(parts.store, name, 1, 0, champions=True)), None)
    dataset = _dataset(parts, name)
    return render_template(
        "model.html",
        name=name,
        value=dataset.value if dataset else "value",
        known=dataset is not None,
        rows=rows,
        links=links,
        flows=flows,
        paging=paging,
        champion=champion,
        chosen=request.args.get("version") or rows[0]["model_version"],
    )


@blueprint.get("/pages/data/models/<name>")
def trainings(name: str) -> Response:
    """Give the errors of the newest trainings, oldest first: of the challenger, the champion so far, and naively."""
    rows = _trainings(state(current_app).store, name, _DRAWN_MAX, 0)[::-1]
    columns = ("trained_ms", "model_version", "champion", "val_mae", "champion_mae", "naive_mae", "val_loss")
    return jsonify({column: [row[column] for row in rows] for column in columns})


@blueprint.get("/pages/data/models/<name>/<version>/curves")
def curves(name: str, version: str) -> Response:
    """Give the metrics of one training epoch by epoch, as MLflow keeps them."""
    from gridwatch.tracking import training_curves

    parts = state(current_app)
    try:
        found = training_curves(parts.settings, _training(parts.store, name, version)["run_id"])
    except GridwatchError as error:
        abort(502, str(error))
    if found is None:
        abort(404, "MLflow has no such run any more.")
    return jsonify(
        {metric: {"epochs": [at for at, _ in v], "values": [y for _, y in v]} for metric, v in found.items()}
    )


@blueprint.get("/pages/data/models/<name>/<version>/sides")
def sides(name: str, version: str) -> Response:
    """Give what a version and the champion expect of the newest rows, which neither has learnt."""
    parts = state(current_app)
    dataset = _dataset(parts, name)
    if dataset is None:
        abort(404, f"There is no dataset file of {name[:60]!r} any more, which says how to read its rows.")
    chosen = _training(parts.store, name, version)
    if not _scoring.acquire(timeout=_WAIT_S):
        abort(503, "Other comparisons are at work; try again in a minute.")
    try:
        return jsonify(_sides(parts, dataset, chosen))
    except GridwatchError as error:
        abort(409, str(error))
    finally:
        _scoring.release()


def _sides(parts: State, dataset: Dataset, chosen: dict[str, Any]) -> dict[str, Any]:
    from gridwatch.pipeline.versions import same_rows
    from gridwatch.tracking import find_champion, recorded_version

    versions: dict[str, dict[str, bytes]] = {}
    champion = find_champion(parts.settings, dataset.model_name)
    if champion is not None:
        versions[champion.version] = champion.parts
    if chosen["model_version"] not in versions:
        recorded = recorded_version(parts.settings, chosen["model_uri"])
        if recorded is None or recorded.parts_error or not recorded.parts:
            why = recorded.parts_error if recorded else None
            abort(404, f"The bytes of {chosen['model_uri']} are not there any more{f': {why}' if why else ''}.")
        versions[chosen["model_version"]] = recorded.parts
    found = same_rows(dataset, parts.store, versions, now_ms=parts.clock())
    return {
        "champion": champion.version if champion else None,
        "chosen": chosen["model_version"],
        "value": dataset.value,
        "from_ms": found.from_ms,
        "unseen": found.unseen,
        "times_ms": found.times_ms.tolist(),
        "actual": _plain(found.actual),
        "naive_mae": found.naive_mae,
        "versions": [
            {
                "version": one.version,
                "detector": one.kind,
                "expected": _plain(one.expected),
                "mae": one.mae,
                "flagged": one.flagged,
            }
            for one in found.said
        ],
    }


def _plain(values: Floats) -> list[float | None]:
    """Return numbers as JSON knows them: no NaN."""
    return [value if math.isfinite(value) else None for value in values.tolist()]


def _dataset(parts: State, name: str) -> Dataset | None:
    from gridwatch.sources import load_datasets

    try:
        return load_datasets(parts.settings.datasets_dir, [name])[0]
    except GridwatchError:
        # No such file, or a wrong one: the trainings are shown all the same, and the page says what is missing.
        return None


def _datasets(store: Store) -> list[tuple[str, int]]:
    if store.container(TRAININGS.name) is None:
        return []
    found = store.sql(
        f"SELECT dataset, COUNT(*) AS n FROM {TRAININGS.name} GROUP BY dataset ORDER BY dataset"  # noqa: S608 - constant
    )
    return [(row["dataset"], row["n"]) for row in found.to_pylist() if row["dataset"]]


def _trainings(store: Store, name: str, size: int, offset: int, *, champions: bool = False) -> list[dict[str, Any]]:
    """Return trainings, newest first; only those that became champion when asked for."""
    if store.container(TRAININGS.name) is None:
        return []
    where, values = ("dataset = ? AND champion = ?", [name, True]) if champions else ("dataset = ?", [name])
    rows: list[dict[str, Any]] = store.sql(
        f"SELECT * FROM {TRAININGS.name} WHERE {where} "  # noqa: S608 - constants and whole numbers
        f"ORDER BY trained_ms DESC, run_id LIMIT {size} OFFSET {offset}",
        values,
    ).to_pylist()
    return rows


def _training(store: Store, name: str, version: str) -> dict[str, Any]:
    rows = []
    if store.container(TRAININGS.name) is not None:
        rows = store.sql(
            f"SELECT * FROM {TRAININGS.name} WHERE dataset = ? AND model_version = ? "  # noqa: S608 - constant
            "ORDER BY trained_ms DESC LIMIT 1",
            [name, version],
        ).to_pylist()
    if not rows:
        abort(404, f"Version {version[:20]!r} of a model of dataset {name[:60]!r} was never trained.")
    found: dict[str, Any] = rows[0]
    return found
