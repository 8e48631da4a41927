"""`explain` and `replay` from the command line, over rows that an older gridwatch wrote: nothing has to be learnt."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from gridwatch.cli.app import app
from gridwatch.containers import open_store
from gridwatch.containers.catalog import anomaly_id, anomaly_info
from gridwatch.errors import ConfigError, ProvenanceError

KEY = anomaly_id("INTRADAY_X", "auto", "", 3 * 86_400_000)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRIDWATCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GRIDWATCH_DATASETS_DIR", str(tmp_path / "none"))
    with open_store(f"sqlite:///{tmp_path / 'home' / 'store.db'}") as store:
        store.put_container(anomaly_info("X"))
        row = {"id": KEY, "ts": pd.Timestamp(3, unit="D", tz="UTC"), "detector": "auto", "explanation": "Too high."}
        store.put("ANOMALY_X", pd.DataFrame([row | {"flow_run_id": "f-1", "validation_id": "v-1"}]))

    def run(*words: str) -> Result:
        done = CliRunner().invoke(app, list(words))
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done

    return run


def test_the_chain_as_a_table_and_as_json(run: Callable[..., Result]) -> None:
    done = run("explain", KEY[:8])
    assert done.exit_code == 0
    for words in (
        "X 1970-01-04 00:00:00 UTC, auto",
        "not configured",
        "Validation v-1 is not there any more",
        "Too high.",
    ):
        assert words in done.stdout
    assert done.stdout.endswith("Not sound: see the links above.\n")
    chain = json.loads(run("explain", KEY, "--json").stdout)
    assert (chain["id"], chain["sound"]) == (KEY, False)
    assert {"name": "flow run", "status": "not configured", "facts": {"flow_run_id": "f-1"}}.items() <= (
        next(link for link in chain["links"] if link["name"] == "flow run").items()
    )
    assert run("explain", KEY, "--strict").exit_code == 1


def test_what_cannot_be_computed_again_says_why(run: Callable[..., Result]) -> None:
    done = run("replay", KEY[:8])
    assert done.exit_code == 1
    assert "not replayed" in done.stdout
    assert "0 of 1 bit-equal." in done.stdout
    [one] = json.loads(run("replay", "--all", "--json").stdout)
    assert (one["id"], one["verdict"], one["columns"]) == (KEY, "not replayed", [])
    assert "nothing says which rows were scored" in one["text"]


@pytest.mark.parametrize("words", [(), (KEY, "--all"), (KEY, "--dataset", "x")])
def test_ids_or_all(run: Callable[..., Result], words: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="Name the anomalies to replay, or --all with or without --dataset"):
        run("replay", *words)


def test_no_such_anomaly(run: Callable[..., Result]) -> None:
    with pytest.raises(ProvenanceError, match="There is no anomaly 'abcdef'; `gridwatch anomalies` lists them"):
        run("explain", "abcdef")
