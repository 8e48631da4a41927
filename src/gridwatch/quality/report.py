"""An Outcome as Markdown, such as for a Prefect artifact."""

from __future__ import annotations

from gridwatch.quality.outcome import Check, Outcome

__all__ = ["markdown"]


def markdown(outcome: Outcome, *, title: str = "") -> str:
    """Return a heading, a table of all expectations, and the failing rows that are named."""
    verdict = "passed" if outcome.success else "FAILED"
    lines = [
        f"## {_cell(title or outcome.suite)}: {verdict}",
        "",
        f"{outcome.rows} rows against suite `{outcome.suite}`: {len(outcome.checks) - len(outcome.failures)} of "
        f"{len(outcome.checks)} expectations met." + (f" [Data Docs]({outcome.report})" if outcome.report else ""),
        "",
        "| | expectation | column | failing | why |",
        "|---|---|---|---:|---|",
    ]
    lines += [
        f"| {'✓' if check.success else '✗'} | `{check.expectation}` | {_cell(check.column or '')} | "
        f"{check.failing or ''} | {_cell(check.reason)} |"
        for check in sorted(outcome.checks, key=lambda check: check.success)
    ]
    for check in outcome.failures:
        lines += _rows(check)
    return "\n".join(lines) + "\n"


def _rows(check: Check) -> list[str]:
    if not check.rows:
        return []
    names = list(dict.fromkeys(name for row in check.rows for name in row))
    names.sort(key=lambda name: name != "ts")
    shown = f"the first {len(check.rows)} of {check.failing}" if check.failing > len(check.rows) else "all"
    return [
        "",
        f"### `{check.expectation}`{f' on {_cell(check.column)}' if check.column else ''}: {shown}",
        "",
        f"| {' | '.join(map(_cell, names))} |",
        f"|{'---|' * len(names)}",
        *(f"| {' | '.join(_cell(str(row.get(name, ''))) for name in names)} |" for row in check.rows),
    ]


def _cell(text: str) -> str:
    """Return text that does not break a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
