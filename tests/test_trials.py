"""The trials of the detector's variants, on a few made-up series."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from gridwatch.errors import SourceError
from gridwatch.settings import load_settings
from gridwatch.sources.synthetic import make_series, write_series
from gridwatch.tracking.client import mlflow_client


def test_trials_tell_of_each_variant_and_draw_and_keep_them_in_mlflow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GRIDWATCH_HOME", str(tmp_path / "home"))
    write_series(tmp_path / "made", make_series(1, 4, rows=700))
    options = ["--variant", "light", "--draws", "1", "--splits", "3", "--json", str(tmp_path / "trials.json")]
    assert main(["trials", str(tmp_path / "made"), *options]) == 0
    trials = json.loads((tmp_path / "trials.json").read_text())
    assert [(one["variant"], one["draw"], one["folder"], len(one["halves"])) for one in trials] == [
        ("light", 0, "made", 3),
        ("light", 1, "made", 3),
    ]
    assert trials[0]["best"] != trials[1]["best"] or trials[0]["vus"] != trials[1]["vus"]
    printed = capsys.readouterr().out
    assert "2 trials, each with 3 random halves." in printed
    with mlflow_client(load_settings()) as client:
        parent = client.get_run(printed.split("MLflow run ")[1].split()[0])
        children = client.search_runs(
            [parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
        )
    assert {child.data.params["draw"] for child in children} == {"0", "1"}
    assert sorted(child.data.metrics["best"] for child in children) == sorted(one["best"] for one in trials)


def test_a_folder_without_labels_is_refused_by_the_trials(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="combined_windows"):
        main(["trials", str(tmp_path)])
