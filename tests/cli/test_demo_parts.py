"""What the demo says at its end, and how it follows the flow."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from gridwatch.cli._demo_prices import datasets_of
from gridwatch.cli._demo_result import Result, mlflow_page
from gridwatch.cli._demo_stages import Timeline
from gridwatch.errors import GridwatchError, SourceError
from gridwatch.sources import Dataset

SPLIT = {
    "ts_ms": 1109566800000, "score": 95.2, "severity_score": 99.6, "severity": "high", "mail": "sent",
    "mail_error": None, "actual": 44.86, "expected": 88.8, "lower": 85.5, "upper": 92.1, "driver": "value",
    "explanation": "44.86 is below.",
}  # fmt: skip
OTHER = {**SPLIT, "ts_ms": 1109566800000 + 86_400_000}


def _result(*rows: dict[str, Any]) -> Result:
    return Result(list(rows), 252, Path("plot.png"), ZoneInfo("America/New_York"))


def test_the_verdict_counts_the_others() -> None:
    assert _result(SPLIT).verdict().endswith("No other rows of 252 scored were flagged.")
    assert _result(OTHER, SPLIT).verdict().endswith("1 other row of 252 scored was flagged.")
    assert _result(OTHER, OTHER, SPLIT).verdict().endswith("2 other rows of 252 scored were flagged.")


def test_the_table_and_the_words_say_why(capsys: pytest.CaptureFixture[str]) -> None:
    result = _result(OTHER, SPLIT)
    result.table()
    shown = capsys.readouterr().out
    assert "85.50 to 92.10" in shown
    assert "99.60" in shown  # the number that the severity beside it goes by
    assert result.why() == ["44.86 is below."]
    assert result.summary() == "2 of 252 scored rows were flagged."
    empty = _result()
    empty.table()
    assert (capsys.readouterr().out, empty.why(), empty.shown) == ("", [], None)
    assert empty.summary() == "None of 252 scored rows were flagged."


def test_own_bars_are_a_dataset_a_symbol(tmp_path: Path) -> None:
    days = pd.date_range("2024-03-04", periods=4, freq="1D")
    for symbol, step in (("IBM", "1min"), ("BRK.B", "5min")):
        times = [time for day in days for time in pd.date_range(f"{day:%F} 09:30", periods=100, freq=step)]
        pd.DataFrame({"timestamp": times}).to_csv(tmp_path / f"{symbol}_bars.csv", index=False)
    (tmp_path / "notes.txt").write_text("no bars")
    brk, ibm = datasets_of(tmp_path, ["me@example.com"])
    assert (ibm["name"], ibm["interval"], brk["name"], brk["interval"]) == ("ibm", "60s", "brk_b", "300s")
    found = Dataset.model_validate(ibm)
    assert found.scoring.start is not None
    assert (f"{found.training.end}", f"{found.scoring.start}") == ("2024-03-06", "2024-03-07")
    assert found.detector.type == "auto"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"No CSV files in .*; bars are wanted in files SYMBOL_\*\.csv"),
        ("when,close\n2024-03-04,1\n", r"Cannot read the column 'timestamp' of the bars of X"),
        ("timestamp,close\nsoon,1\n", r"Cannot read the column 'timestamp' of the bars of X"),
        ("timestamp,close\n2024-03-04 09:30,1\n", r"X has 1 bars on 1 days .*at least 300 on two days are wanted"),
    ],
)
def test_a_folder_without_bars_is_told(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "X_1.csv").write_text(text)
    with pytest.raises(SourceError, match=message):
        datasets_of(tmp_path, [])


def test_the_comparison_is_told_once_it_is_there(tmp_path: Path) -> None:
    lines: list[str] = []
    timeline = Timeline(lines.append)
    assert not timeline.compared(tmp_path)
    (tmp_path / "detectors.json").touch()
    assert timeline.compared(tmp_path)
    assert "the same rows by an LSTM" in lines[0]


def test_without_the_split_the_demo_has_failed() -> None:
    with pytest.raises(GridwatchError, match="split of 2005-02-28 was not found among 252 scored rows"):
        _result(OTHER).verdict()


def test_without_the_mail_the_demo_has_failed() -> None:
    with pytest.raises(GridwatchError, match="mail about 2005-02-28 is dead, not sent: Forbidden"):
        _result({**SPLIT, "mail": "dead", "mail_error": "Forbidden"}).verdict()


RUNS = [
    {
        "name": "run-all aapl_daily 2026-01-01 00:00", "state_type": "COMPLETED", "state_name": "Completed",
        "start_time": None, "end_time": None,
    },
    {
        "name": "validate aapl_daily 2026-01-01 00:00", "state_type": "COMPLETED", "state_name": "Completed",
        "start_time": "2026-01-01T00:00:00Z", "end_time": "2026-01-01T00:00:02.500000Z",
    },
    {
        "name": "train aapl_daily 2026-01-01 00:00", "state_type": "FAILED", "state_name": "Failed",
        "start_time": "2026-01-01T00:00:00Z", "end_time": "2026-01-01T00:00:01Z",
    },
]  # fmt: skip


@pytest.fixture
def servers() -> Iterator[str]:
    """Answers as Prefect's flow run filter and MLflow's run do."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.answer(RUNS)

        def do_GET(self) -> None:
            self.answer({"run": {"info": {"experiment_id": "7"}}} if "run_id=r1" in self.path else {})

        def answer(self, value: object) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(value).encode())

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_each_stage_is_told_once_with_its_seconds(servers: str) -> None:
    lines: list[str] = []
    timeline = Timeline(lines.append)
    timeline.stages(f"{servers}/api")
    timeline.stages(f"{servers}/api")
    assert timeline.completed
    assert [line[10:].strip() for line in lines] == [
        "2.5 s  validate: Great Expectations holds them against the suite",
        "1.0 s  train: Failed",
    ]


def test_a_prefect_that_is_not_there_yet_tells_nothing() -> None:
    lines: list[str] = []
    timeline = Timeline(lines.append)
    timeline.stages("http://127.0.0.1:9/api")
    assert (lines, timeline.completed) == ([], False)


def test_the_page_of_a_run(servers: str) -> None:
    assert mlflow_page(servers, "r1") == f"{servers}/#/experiments/7/runs/r1"
    assert mlflow_page(servers, "r2") == servers
    assert mlflow_page("http://127.0.0.1:9", "r1") == "http://127.0.0.1:9"
