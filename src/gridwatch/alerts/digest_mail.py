"""The mail about many anomalies: a table, worst first, with the picture of the worst."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gridwatch.alerts.email import COLOURS, PLOT_ID, Told, envelope, inline_picture, score_of
from gridwatch.alerts.mail_plot import anomaly_plot
from gridwatch.alerts.page_links import anomaly_url, label_links
from gridwatch.alerts.plot import rows_around
from gridwatch.alerts.wording import number

if TYPE_CHECKING:
    from gridwatch.alerts.address_book import AddressBook
    from gridwatch.alerts.anomaly import Anomaly
    from gridwatch.alerts.receipts import Receipt
    from gridwatch.containers import Store
    from gridwatch.settings import Settings

__all__ = ["compose_digest"]

_WHY = {
    "digest": "More came within an hour than the limit of single mails (GRIDWATCH_ALERTS__MAILS_PER_HOUR)",
    "quiet": "They came in the quiet hours",
    "snoozed": "They came while their series were snoozed",
}


def compose_digest(
    entries: Sequence[tuple[Receipt, Anomaly]],
    address_book: AddressBook,
    store: Store,
    settings: Settings,
    *,
    recipients: list[str],
    key: str,
    now_ms: int,
) -> dict[str, Any]:
    """Return the body of `/v3/mail/send` for several anomalies.

    Args:
        entries: Deliveries with their anomalies, worst first.
        address_book: Knows the series' names and zones.
        store: Holds the scored rows for the plot.
        settings: Sender and page address.
        recipients: At least one address, none twice.
        key: Idempotency key of the digest.
        now_ms: The present, UTC epoch ms, from which label links count their days.

    Raises:
        StoreError: The store failed.
        ConfigError: The secret of label links can be neither read nor made.
    """
    worst = entries[0][1]
    told = Told.of(worst, address_book.dataset(worst.container))
    rows = rows_around(store, worst)
    title = f"{told.symbol} {told.value}, {told.when(worst.ts_ms)}"
    picture = anomaly_plot(rows, worst, title=title, zone=told.zone, label=told.value) if rows else None
    severities = Counter(_severity(anomaly) for _, anomaly in entries)
    series = list(dict.fromkeys(Told.of(one, address_book.dataset(one.container)).symbol for _, one in entries))
    counted = ", ".join(f"{count} {word}" for word, count in severities.items())
    of = series[0] if len(series) == 1 else f"{len(series)} series"
    words = {
        "head": f"{len(entries)} anomalies of {of}: {counted}",
        "why": _why(entries),
        "colour": COLOURS.get(_severity(worst), "#475467"),
        "rows": [_row(anomaly, address_book, settings, recipients, now_ms) for _, anomaly in entries],
        "plot": f"cid:{PLOT_ID}" if picture else None,
        "key": key,
        "possible_duplicate": any(receipt.possible_duplicate for receipt, _ in entries),
    }
    mail = envelope(
        "digest",
        words,
        settings,
        recipients=recipients,
        key=key,
        possible_duplicate=bool(words["possible_duplicate"]),
    )
    mail["subject"] = re.sub(r"\s+", " ", f"[gridwatch] {words['head']}")[:250]
    mail["categories"] = ["gridwatch", "digest"]
    mail["custom_args"]["anomalies"] = str(len(entries))
    if picture:
        mail["attachments"] = [inline_picture(picture, told.symbol)]
    return mail


def _severity(anomaly: Anomaly) -> str:
    return (anomaly.severity or "unrated").lower()


def _why(entries: Sequence[tuple[Receipt, Anomaly]]) -> str:
    found = [text for held, text in _WHY.items() if any(receipt.held == held for receipt, _ in entries)]
    return "; ".join([found[0], *(text[0].lower() + text[1:] for text in found[1:])]) + "." if found else ""


def _row(
    anomaly: Anomaly, address_book: AddressBook, settings: Settings, recipients: list[str], now_ms: int
) -> dict[str, Any]:
    labels = label_links(settings, anomaly, recipients, now_ms=now_ms)
    told = Told.of(anomaly, address_book.dataset(anomaly.container))
    return {
        "id": anomaly.id,
        "symbol": told.symbol,
        "value": told.value,
        "when": told.when(anomaly.ts_ms),
        "severity": _severity(anomaly),
        "colour": COLOURS.get(_severity(anomaly), "#475467"),
        "actual": number(anomaly.actual),
        "expected": number(anomaly.expected),
        "score": score_of(anomaly),
        "link": anomaly_url(settings, anomaly),
        "labels": labels,
        # Plain text has one address an anomaly, not three: its page asks which of them it was.
        "label": labels[0][1].partition("?")[0] if labels else None,
    }
