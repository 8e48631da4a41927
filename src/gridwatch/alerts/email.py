"""The mail about one anomaly: subject, HTML with the plot inside, plain text, and what SendGrid needs around them."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from gridwatch.alerts.anomaly import Anomaly
from gridwatch.alerts.background import Background, backgrounds
from gridwatch.alerts.mail_plot import anomaly_plot
from gridwatch.alerts.page_links import anomaly_url, label_links
from gridwatch.alerts.wording import NONE, change, change_in_words, moment, number, one_in, span

if TYPE_CHECKING:
    from jinja2 import Environment

    from gridwatch.containers import Store
    from gridwatch.settings import Settings
    from gridwatch.sources.dataset import Dataset

__all__ = [
    "COLOURS",
    "KEY_ARGUMENT",
    "PLOT_ID",
    "Told",
    "compose",
    "envelope",
    "inline_picture",
    "score_of",
    "subject_of",
    "warm_up",
]

KEY_ARGUMENT = "gridwatch_key"
"""Custom argument that carries the idempotency key; webhooks of SendGrid give it back."""

COLOURS = {"critical": "#b42318", "high": "#c4320a", "medium": "#b54708", "low": "#175cd3"}
PLOT_ID = "gridwatch-plot"
"""Content id of the picture."""


@dataclass(frozen=True, slots=True)
class Told:
    """How the series of an anomaly is called and told."""

    symbol: str
    value: str
    zone: ZoneInfo
    interval_ms: int | None

    @classmethod
    def of(cls, anomaly: Anomaly, dataset: Dataset | None) -> Told:
        """Return how its dataset calls it, or what its container says where there is none."""
        if dataset is None:
            return cls(anomaly.series, "value", ZoneInfo("UTC"), None)
        return cls(dataset.symbol, dataset.value, ZoneInfo(dataset.timezone), dataset.interval_ms)

    def when(self, ts_ms: int | None) -> str:
        """A row's time."""
        return moment(ts_ms, self.zone, interval_ms=self.interval_ms)


def subject_of(anomaly: Anomaly, dataset: Dataset | None) -> str:
    """Return the subject line: what, how bad, when, and by how much."""
    series = Told.of(anomaly, dataset)
    text = (
        f"[gridwatch] {series.symbol}: {anomaly.severity or 'unrated'} anomaly {series.when(anomaly.ts_ms)}, "
        f"{series.value} {number(anomaly.actual)}, expected {number(anomaly.expected)} (score {score_of(anomaly)})"
    )
    # A line break in a subject would start a new header at some servers.
    return re.sub(r"\s+", " ", text)[:250]


def compose(
    anomaly: Anomaly,
    dataset: Dataset | None,
    store: Store,
    settings: Settings,
    *,
    recipients: list[str],
    key: str,
    possible_duplicate: bool = False,
    now_ms: int | None = None,
    background: Background | None = None,
) -> dict[str, Any]:
    """Return the body of `/v3/mail/send` for one anomaly.

    Args:
        anomaly: As read from the store by its key.
        dataset: The dataset that found it, where its file is there; gives names, units of time and zone.
        store: Holds the scored rows for the plot.
        settings: Sender and page address.
        recipients: At least one address, none twice.
        key: Idempotency key of the delivery.
        possible_duplicate: An earlier try may have arrived; the mail says so.
        now_ms: The present, UTC epoch ms, from which label links count their days; None: the mail carries none.
        background: What is told of the rows around, as read for several mails at once; None: it is read here.

    Raises:
        StoreError: The store failed.
        ConfigError: The secret of label links can be neither read nor made.
    """
    series = Told.of(anomaly, dataset)
    known = background or backgrounds(store, [anomaly])[0]
    rows = known.rows
    title = f"{series.symbol} {series.value}, {series.when(anomaly.ts_ms)}"
    picture = anomaly_plot(rows, anomaly, title=title, zone=series.zone, label=series.value) if rows else None
    validation = _validation(anomaly, known.validated)
    words = _words(anomaly, dataset, series, settings, validation, key=key, possible_duplicate=possible_duplicate)
    words["plot"] = f"cid:{PLOT_ID}" if picture else None
    words["labels"] = [] if now_ms is None else label_links(settings, anomaly, recipients, now_ms=now_ms)
    severity = (anomaly.severity or "unrated").lower()
    mail = envelope("anomaly", words, settings, recipients=recipients, key=key, possible_duplicate=possible_duplicate)
    mail["subject"] = subject_of(anomaly, dataset)
    mail["categories"] = list(dict.fromkeys(["gridwatch", severity[:255], series.symbol[:255]]))
    mail["custom_args"] |= {"anomaly_id": anomaly.id, "container": anomaly.container}
    if picture:
        mail["attachments"] = [inline_picture(picture, series.symbol)]
    return mail


def envelope(
    template: str,
    words: dict[str, Any],
    settings: Settings,
    *,
    recipients: list[str],
    key: str,
    possible_duplicate: bool,
) -> dict[str, Any]:
    """Return what every mail has in `/v3/mail/send`: people, both parts from a template, key, and no tracking."""
    mail: dict[str, Any] = {
        "personalizations": [{"to": [{"email": address} for address in recipients]}],
        "from": {"email": settings.sendgrid.sender, "name": "gridwatch"},
        "content": [
            {"type": "text/plain", "value": _templates().get_template(f"{template}.txt").render(words)},
            {"type": "text/html", "value": _templates().get_template(f"{template}.html").render(words)},
        ],
        "custom_args": {KEY_ARGUMENT: key},
        "headers": {"X-Gridwatch-Key": key},
        # An alert's links are for its readers alone, not for a click counter.
        "tracking_settings": {"click_tracking": {"enable": False}, "open_tracking": {"enable": False}},
    }
    if possible_duplicate:
        mail["custom_args"]["possible_duplicate"] = "true"
        mail["headers"]["X-Gridwatch-Possible-Duplicate"] = "true"
    return mail


def inline_picture(picture: bytes, name: str) -> dict[str, str]:
    """Return a PNG as an attachment that the HTML part shows where it says `cid:` and `PLOT_ID`."""
    return {
        "content": b64encode(picture).decode("ascii"),
        "type": "image/png",
        "filename": f"{re.sub(r'[^A-Za-z0-9_-]', '_', name)}.png",
        "disposition": "inline",
        "content_id": PLOT_ID,
    }


def warm_up() -> None:
    """Load templates, matplotlib's ticks, Pillow and the sendgrid library ahead of the first mail."""
    import pyarrow as pa
    import sendgrid  # noqa: F401

    for name in ("anomaly.txt", "anomaly.html", "digest.txt", "digest.html"):
        _templates().get_template(name)
    ts = pa.array([0, 60_000], pa.timestamp("ms", "UTC"))
    nothing = Anomaly("ANOMALY_X", "", 0, actual=0.0)
    anomaly_plot(pa.table({"ts": ts, "actual": [0.0, 1.0]}), nothing, title="warm-up")


def score_of(anomaly: Anomaly) -> str:
    """Return the number that the severity goes by, so that word and number agree wherever both stand."""
    return NONE if anomaly.severity_score is None else f"{anomaly.severity_score:.4g}"


def _hundred(score: float | None) -> str:
    return NONE if score is None else f"{score:.4g} of 100"


def _severity(anomaly: Anomaly) -> str:
    word = anomaly.severity or "unrated"
    return f"{word} ({anomaly.severity_band})" if anomaly.severity_band else word


def _words(
    anomaly: Anomaly,
    dataset: Dataset | None,
    series: Told,
    settings: Settings,
    validation: _Validation,
    *,
    key: str,
    possible_duplicate: bool,
) -> dict[str, Any]:
    """Everything the templates print, as text; escaping is theirs."""
    band = f"{number(anomaly.lower)} to {number(anomaly.upper)}"
    why = anomaly.why
    facts = [
        ("Actual", number(anomaly.actual)),
        ("Expected", number(anomaly.expected)),
        ("Difference", change(anomaly.actual, anomaly.expected)),
        ("Expected range", NONE if anomaly.lower is None and anomaly.upper is None else band),
        *([("What stood out", why.odd), ("Normal would be", why.normal)] if why else []),
        ("Driven by", anomaly.driver or NONE),
        ("Severity", _severity(anomaly)),
        *([("Alarm score", _hundred(anomaly.anomaly_score))] if anomaly.anomaly_score is not None else []),
        # Where there is an alarm score, the mail's score is the greater of both.
        ("Score" if anomaly.anomaly_score is None else "Score by itself", _hundred(anomaly.score)),
        ("By chance", one_in(anomaly.p_value)),
        *([("Segment score", _hundred(anomaly.segment_score))] if anomaly.segment_score is not None else []),
        ("Loss", number(anomaly.loss)),
    ]
    source = [
        ("Dataset", dataset.name if dataset else NONE),
        ("Container", anomaly.container),
        ("Row", anomaly.id),
        ("Detector", " / ".join(part for part in (anomaly.detector, anomaly.partition) if part) or NONE),
        ("Found", moment(anomaly.detected_ms, series.zone)),
        ("Scored from", span(anomaly.input_from_ms, anomaly.input_to_ms, series.zone, interval_ms=series.interval_ms)),
        ("Model", anomaly.model_uri or NONE),
        ("Model sha256", anomaly.model_sha256 or NONE),
        ("MLflow run", anomaly.run_id or NONE),
        ("Validation", validation.text),
        ("Prefect flow run", anomaly.flow_run_id or NONE),
    ]
    return {
        "symbol": series.symbol,
        "value": series.value,
        "when": series.when(anomaly.ts_ms),
        "severity": anomaly.severity or "unrated",
        "colour": COLOURS.get((anomaly.severity or "").lower(), "#475467"),
        "score": score_of(anomaly),
        "actual": number(anomaly.actual),
        "expected": number(anomaly.expected),
        "sentence": " ".join(part for part in (_sentence(anomaly), validation.warning) if part),
        "facts": facts,
        "source": source,
        "description": dataset.description if dataset else "",
        "link": anomaly_url(settings, anomaly),
        "key": key,
        "possible_duplicate": possible_duplicate,
    }


@dataclass(frozen=True, slots=True)
class _Validation:
    """How the rows' validation is told, and what to warn of where they were scored in spite of it."""

    text: str
    warning: str = ""


def _validation(anomaly: Anomaly, passed: bool | None) -> _Validation:
    if anomaly.validation_id is None:
        return _Validation(NONE, "The rows were not validated before they were scored.")
    if passed is None:
        return _Validation(f"{anomaly.validation_id} (no longer there)")
    if passed:
        return _Validation(f"{anomaly.validation_id} (passed)")
    return _Validation(
        f"{anomaly.validation_id} (failed)", "The rows failed their validation and were scored all the same."
    )


def _sentence(anomaly: Anomaly) -> str:
    if anomaly.explanation:
        return anomaly.explanation
    if anomaly.why:
        return anomaly.why.sentence()
    off, chance = change_in_words(anomaly.actual, anomaly.expected), one_in(anomaly.p_value)
    words = [off and f"{off}.", chance != NONE and f"By chance, {chance} would be as unusual."]
    return " ".join(word for word in words if word)


@cache
def _templates() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    return Environment(
        loader=PackageLoader("gridwatch.alerts"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        # They are files of the package; to look at each before each mail finds nothing.
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
