"""A CSV folder through Kafka into the store, against a script that does it row by row with the same broker."""

from __future__ import annotations

import csv
import json
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from kafka import KafkaConsumer, KafkaProducer

from benchmarks.figure import Figure
from benchmarks.store import minute_bars
from gridwatch.containers import open_store
from gridwatch.pipeline.load import load_batch
from gridwatch.settings import KafkaSettings, Settings
from gridwatch.sources import Dataset
from gridwatch.streaming import broker_for, ensure_topics

ROWS = 60_000
ROWS_PLAIN = 10_000
FIELDS = {"open": "double", "high": "double", "low": "double", "close": "double", "volume": "int64"}


def _row_by_row(path: Path, bootstrap: str, database: Path) -> None:
    """Do it as a first script would: a dictionary a row, default producer, one INSERT a record."""
    schema = {"type": "struct", "fields": [{"field": name, "type": kind} for name, kind in FIELDS.items()]}
    schema["fields"].insert(0, {"field": "ts", "type": "int64"})  # type: ignore[attr-defined]
    with closing(sqlite3.connect(database)) as store, path.open(newline="") as file:
        store.execute("PRAGMA journal_mode=WAL")
        store.execute("CREATE TABLE bars (ts INTEGER PRIMARY KEY, open, high, low, close, volume)")
        producer = KafkaProducer(bootstrap_servers=bootstrap)
        for row in csv.DictReader(file):
            at = datetime.fromisoformat(row["timestamp"]).replace(tzinfo=UTC)
            payload = {"ts": int(at.timestamp() * 1000), **{name: float(row[name]) for name in FIELDS}}
            producer.send("PLAIN", json.dumps({"schema": schema, "payload": payload}).encode())
        producer.flush()
        producer.close()
        consumer = KafkaConsumer(
            "PLAIN",
            bootstrap_servers=bootstrap,
            group_id="plain",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )
        done = 0
        while done < ROWS_PLAIN:
            for records in consumer.poll(500).values():
                for record in records:
                    values = tuple(json.loads(record.value)["payload"].values())
                    store.execute("INSERT OR REPLACE INTO bars VALUES (?, ?, ?, ?, ?, ?)", values)
                store.commit()
                consumer.commit()
                done += len(records)
        consumer.close()


def run() -> Iterator[Figure]:
    """Yield the figure; the baseline's time is scaled to the same number of rows."""
    frame = minute_bars(ROWS)
    frame["timestamp"] = frame.pop("ts").dt.strftime("%Y-%m-%d %H:%M:%S")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "csv").mkdir()
        frame.to_csv(folder / "csv" / "bars_history.csv", index=False)
        frame.head(ROWS_PLAIN).to_csv(folder / "plain.csv", index=False)
        source = {"kind": "csv_folder", "path": str(folder / "csv")}
        dataset = Dataset.model_validate({"name": "bars", "symbol": "BARS", "source": source, "timezone": "UTC"})
        own = Settings(home=folder)
        with broker_for(own) as bootstrap, open_store(own.store) as store:
            settings = own.model_copy(update={"kafka": KafkaSettings(bootstrap_servers=bootstrap)})
            ensure_topics(settings, bootstrap, ["PLAIN"])
            start = time.perf_counter()
            report = load_batch(dataset, store, settings, now_ms=time.time_ns() // 1_000_000)
            ours_s = time.perf_counter() - start
            start = time.perf_counter()
            _row_by_row(folder / "plain.csv", bootstrap, folder / "plain.db")
            plain_s = (time.perf_counter() - start) * ROWS / ROWS_PLAIN
            stored = store.read(dataset.container).num_rows
        note = f"{stored:,} rows stored, {report.rejected} rejected"
        yield Figure("CSV, Kafka, store", ROWS, "rows", ours_s, "a script, row by row", plain_s, note=note)
