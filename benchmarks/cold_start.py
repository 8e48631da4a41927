"""`gridwatch detect` from a cold start against a script that loads the same model through MLflow into Keras."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figure import Figure, compare
from gridwatch.containers import open_store
from gridwatch.pipeline.train import train
from gridwatch.pipeline.validate import validate
from gridwatch.settings import Settings
from gridwatch.sources import load_dataset, open_source

ROOT = Path(__file__).parents[1]

SCRIPT = """
import sys
import mlflow
import numpy as np
from gridwatch.containers import open_store

mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.keras.load_model("models:/gridwatch-aapl_daily@champion")
with open_store(sys.argv[2]) as store:
    closes = store.read("INTRADAY_AAPL")["close"].to_numpy()
returns = np.diff(np.log(closes))
window = model.input_shape[1]
windows = np.lib.stride_tricks.sliding_window_view(returns, window)[-252:]
model.predict(((windows - returns.mean()) / returns.std()).astype("float32")[:, :, None], verbose=0)
"""


def run() -> Iterator[Figure]:
    """Yield the figure for scoring one year of daily bars in a new process."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder), expectations_dir=ROOT / "expectations")
        environ = {**os.environ, "GRIDWATCH_HOME": folder, "GRIDWATCH_DATASETS_DIR": str(ROOT / "flows" / "datasets")}
        dataset = load_dataset(ROOT / "flows" / "datasets" / "aapl_daily.json")
        now_ms = time.time_ns() // 1_000_000
        with open_store(settings.store) as store:
            store.put_container(dataset.info)
            for batch in open_source(dataset, settings).history(now_ms=now_ms, months=240, done=()):
                store.put(dataset.container, batch.frame)
            validate(dataset, store, settings, now_ms=now_ms)
            os.environ["GRIDWATCH_HOME"] = folder  # MLflow's plugin reads its own settings
            train(dataset, store, settings, now_ms=now_ms)

        reports: list[str] = []

        def ours() -> None:
            # Each round scores: what the last one wrote is taken away.
            with open_store(settings.store) as store:
                for name in ("SCORE_AAPL", "ANOMALY_AAPL", "detections"):
                    store.drop_container(name)
            reports.append(_run([sys.executable, "-m", "gridwatch.cli", "detect", "aapl_daily", "--json"], environ))

        def theirs() -> None:
            _run([sys.executable, "-c", SCRIPT, settings.tracking_uri, settings.store], environ)

        ours_s, theirs_s = compare(ours, theirs)
        note = f"{json.loads(reports[-1])[0]['scored']} rows scored"
        yield Figure("detect, cold start", 1, "runs", ours_s, "mlflow.keras + predict", theirs_s, aim=5, note=note)


def _run(arguments: list[str], environ: dict[str, str]) -> str:
    done = subprocess.run(arguments, env=environ, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments[:4])} failed:\n{done.stderr[-2000:]}")
    return done.stdout
