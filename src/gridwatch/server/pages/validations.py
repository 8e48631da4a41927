"""Validations: whether the rows of each dataset were sound, and what was wrong with them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flask import Response, abort, current_app, render_template, send_file, url_for

from gridwatch.containers.catalog import VALIDATIONS
from gridwatch.provenance.addresses import data_docs_url, flow_run_url
from gridwatch.server.pages.asked import range_of, text_of
from gridwatch.server.pages.paging import paging_of
from gridwatch.server.pages.shell import page_blueprint
from gridwatch.server.state import state

if TYPE_CHECKING:
    from gridwatch.containers import Store
    from gridwatch.server.state import State

__all__ = ["blueprint"]

blueprint = page_blueprint("validations", __name__)

_COLUMNS = (
    'id, dataset, container, suite, run_ms, success, "rows", from_ms, to_ms, expectations, failed, failures, '
    "report, flow_run_id"
)
_OUTCOMES = ("passed", "failed")
_SITE = Path("gx/uncommitted/data_docs/local_site")

# Great Expectations' own pages: they may show themselves, and run nothing.
_DOCS_POLICY = (
    "default-src 'none'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; font-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'; sandbox"
)


@blueprint.get("/validations")
def page() -> str:
    """List validations, the newest first."""
    store = state(current_app).store
    if store.container(VALIDATIONS.name) is None:
        return render_template("validations.html", rows=[], datasets=[], outcomes=_OUTCOMES, paging=paging_of(0))
    where, values = _where()
    counted = store.sql(f"SELECT COUNT(*) AS n FROM {VALIDATIONS.name} WHERE {where}", values)  # noqa: S608 - constants
    paging = paging_of(int(counted.column(0)[0].as_py()))
    rows = store.sql(
        f"SELECT {_COLUMNS} FROM {VALIDATIONS.name} WHERE {where} ORDER BY run_ms DESC, id "  # noqa: S608 - constants
        f"LIMIT {paging.size} OFFSET {paging.offset}",
        values,
    ).to_pylist()
    return render_template(
        "validations.html",
        rows=[row | {"named": _named(row["failures"])} for row in rows],
        datasets=_datasets(store),
        outcomes=_OUTCOMES,
        paging=paging,
    )


@blueprint.get("/validations/<key>")
def one(key: str) -> str:
    """Show one validation: what was looked at, and each expectation that was not met."""
    parts = state(current_app)
    row = _row(parts.store, key)
    report = _report(parts, row["report"])
    elsewhere = data_docs_url(parts.settings, row["report"])
    docs = elsewhere or (url_for("validations.docs", path=report.as_posix()) if report else None)
    return render_template(
        "validation.html",
        row=row,
        failures=_failures(row["failures"]),
        docs=docs,
        flow_run=flow_run_url(parts.settings, row["flow_run_id"]),
    )


@blueprint.get("/data_docs/<path:path>")
def docs(path: str) -> Response:
    """Give a file of the Data Docs, locked in."""
    site = (state(current_app).settings.home / "data_docs" / _SITE).resolve()
    file = (site / path).resolve()
    if not file.is_relative_to(site) or not file.is_file():
        abort(404, f"The Data Docs have no page {path[:120]!r}, or no longer: the newest 200 runs are kept.")
    answer = (
        Response(_quiet(file.read_text(encoding="utf-8", errors="replace")))
        if file.suffix == ".html"
        else send_file(file)
    )
    answer.headers["Content-Security-Policy"] = _DOCS_POLICY
    return answer


def _quiet(page: str) -> str:
    """Return a page of Great Expectations without what it would ask of other machines; the policy forbids it anyway."""
    return re.sub(r"<script\b.*?</script>|<(?:link|img)\b[^>]*[\"']https?://[^>]*>", "", page, flags=re.DOTALL)


def _where() -> tuple[str, list[Any]]:
    from_ms, to_ms = range_of()
    outcome, dataset = text_of("outcome"), text_of("dataset")
    if outcome is not None and outcome not in _OUTCOMES:
        abort(400, f"There is no outcome {outcome[:40]!r}; there are {', '.join(_OUTCOMES)}.")
    asked: list[tuple[str, Any]] = [
        ("dataset = ?", dataset),
        ("success = ?", None if outcome is None else outcome == "passed"),
        ("run_ms >= ?", from_ms),
        ("run_ms <= ?", to_ms),
    ]
    given = [(text, value) for text, value in asked if value is not None]
    return " AND ".join(["id IS NOT NULL", *(text for text, _ in given)]), [value for _, value in given]


def _row(store: Store, key: str) -> dict[str, Any]:
    rows = store.get(VALIDATIONS.name, [key]).to_pylist() if store.container(VALIDATIONS.name) else []
    if not rows:
        abort(404, f"There is no validation {key[:60]!r}.")
    found: dict[str, Any] = rows[0]
    return found


def _datasets(store: Store) -> list[str]:
    found = store.sql(f"SELECT DISTINCT dataset FROM {VALIDATIONS.name}").column(0).to_pylist()  # noqa: S608 - constant
    return sorted(name for name in found if name)


def _failures(text: str | None) -> list[dict[str, Any]]:
    """Return what failed; what is no list of objects, as somebody else may have written it, as nothing."""
    try:
        found = json.loads(text or "[]")
    except ValueError:
        return []
    items = [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []
    return [item | {"first": [_line(row) for row in item.get("rows") or []]} for item in items]


def _line(row: object) -> str:
    return ", ".join(f"{name}={value}" for name, value in row.items()) if isinstance(row, dict) else str(row)


def _named(text: str | None) -> list[str]:
    """Return the failures of a row in a few words each."""
    return [
        f"{item.get('expectation', '?')}{' on ' + str(item['column']) if item.get('column') else ''}"
        for item in _failures(text)
    ]


def _report(parts: State, report: str | None) -> Path | None:
    """Return the report's path below the folder that is served; None where it is elsewhere, or gone."""
    site = (parts.settings.home / "data_docs" / _SITE).resolve()
    file = Path(report).resolve() if report else site
    return file.relative_to(site) if file.is_relative_to(site) and file.is_file() else None
