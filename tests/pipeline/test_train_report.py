"""A training as Markdown."""

from __future__ import annotations

from gridwatch.pipeline.train import TrainReport
from gridwatch.pipeline.train_report import train_markdown

REPORT = TrainReport(
    dataset="aapl_daily", run_id="r1", model_name="gridwatch-aapl_daily", model_version="3",
    model_uri="models:/gridwatch-aapl_daily/3", sha256="ab", champion=True, why="It is better: 0.5 against 0.6.",
    rows=1234, validation_rows=60, from_ms=0, to_ms=1, epochs=9, val_loss=0.25, val_mae=0.5, champion_mae=None,
    naive_mae=0.75, anomaly_rate=0.001, validation_id=None, seconds=4.0, detector="auto",
)  # fmt: skip


def test_figures_reason_and_link() -> None:
    text = train_markdown(REPORT, "http://127.0.0.1:5000/")
    assert text.startswith("## gridwatch-aapl_daily version 3, champion\n\nIt is better: 0.5 against 0.6.")
    assert "(http://127.0.0.1:5000/#/models/gridwatch-aapl_daily/versions/3)" in text
    assert "| rows | 1,234 |" in text
    assert "| champion_mae |  |" in text
    assert "| val_mae | 0.5 |" in text


def test_without_a_server_there_is_no_link() -> None:
    assert "](" not in train_markdown(REPORT, "sqlite:///mlflow.db")
