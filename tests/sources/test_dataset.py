"""Dataset files: what ships, what a file may say, and what is told when it says something else."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from gridwatch.errors import DatasetError
from gridwatch.quality.suites import read_suite
from gridwatch.sources import Dataset, load_dataset, load_datasets, topics_pattern
from gridwatch.sources.dataset import (
    AlphaVantageSource,
    CsvFolderSource,
    DateRange,
    DetectorChoice,
    LstmModel,
    SampleSource,
    Schedule,
    Threshold,
)

ROOT = Path(__file__).parents[2]
BASE: dict[str, Any] = {
    "name": "pump",
    "symbol": "pump-7",
    "source": {"kind": "csv_folder", "path": "data"},
    "columns": [{"name": "pressure"}],
    "value": "pressure",
}
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(name: str = "pump", **fields: Any) -> Path:
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(BASE | {"name": name} | fields))
        return path

    return write


def test_every_dataset_that_ships_is_valid_and_has_its_suite() -> None:
    datasets = load_datasets(ROOT / "flows" / "datasets")
    assert {dataset.name for dataset in datasets} >= {"aapl_daily", "buoy_temperature", "stocks_ibm_intraday"}
    for dataset in datasets:
        assert read_suite(ROOT / "expectations", dataset.suite)["name"] == dataset.suite


def test_a_small_file_is_enough(write: Write) -> None:
    dataset = load_dataset(write())
    assert (dataset.container, dataset.interval_ms, dataset.model_name) == ("INTRADAY_pump_7", 60_000, "gridwatch-pump")
    assert [column.name for column in dataset.info.columns] == ["ts", "pressure"]


def test_a_relative_folder_is_taken_from_the_file(write: Write, tmp_path: Path) -> None:
    source = load_dataset(write()).source
    assert isinstance(source, CsvFolderSource)
    assert source.path == tmp_path / "data"


@pytest.mark.parametrize(
    ("zone", "span"),
    [("America/New_York", (1110171600000, 1111121999999)), ("UTC", (1110153600000, 1111103999999))],
)
def test_a_range_of_days_is_one_of_the_zone(write: Write, zone: str, span: tuple[int, int]) -> None:
    days = DateRange.model_validate({"start": "2005-03-07", "end": "2005-03-17"})
    assert load_dataset(write(timezone=zone)).range_ms(days) == span


def test_a_day_without_midnight_has_a_range(write: Write) -> None:
    days = DateRange.model_validate({"start": "2019-09-08", "end": "2019-09-08"})
    start_ms, end_ms = load_dataset(write(timezone="America/Santiago")).range_ms(days)
    assert start_ms is not None
    assert end_ms is not None
    assert end_ms - start_ms + 1 == 23 * 3_600_000


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"intervall": "1D"}, r"intervall: unknown field, did you mean 'interval'\. See docs/datasets\.md"),
        ({"zzz": 1}, r"zzz: unknown field, there are name, description, enabled, symbol"),
        ({"model": {"windows": 3}}, r"model\.windows: unknown field, did you mean 'window'"),
        (
            {"source": {"kind": "csv_folder", "path": "x", "patern": "y"}},
            r"patern: unknown field, did you mean 'pattern'",
        ),
        ({"source": {"kind": "sample"}}, r"source\.sample\.series: is missing"),
        ({"source": {"kind": "ftp"}}, r"source: .*'ftp'.*'sample', 'alpha_vantage', 'csv_folder'"),
        ({"symbol": ""}, r"symbol: .*at least 1 character"),
        ({"container": "pump-7"}, r"container: String should match pattern .*\(got 'pump-7'\)"),
        ({"container": "7up"}, r"container: String should match pattern"),
        ({"container": "p" * 201}, r"container: String should match pattern"),
        ({"container": None}, r"container: Input should be a valid string"),
        ({"container": "Score_pump"}, r"container: 'Score_pump' starts with one of SCORE_, ANOMALY_, ML_, __, which"),
        ({"container": "anomaly_pump"}, r"container: 'anomaly_pump' starts with one of"),
        ({"container": "ml_jobs"}, r"container: 'ml_jobs' starts with one of"),
        ({"container": "__consumer_offsets"}, r"container: '__consumer_offsets' starts with one of"),
        ({"container": "Loads"}, r"container: 'Loads' is a container that gridwatch keeps for itself"),
        ({"timezone": "Mars"}, r"timezone: unknown time zone 'Mars'; use a name such as America/New_York"),
        ({"schedule": {"timezone": "Mars"}}, r"schedule\.timezone: unknown time zone 'Mars'"),
        ({"schedule": {"ingest": "daily"}}, r"schedule\.ingest: 'daily' is no cron line; five fields"),
        ({"calendar": "XNYZ"}, r"calendar: unknown exchange calendar 'XNYZ'; use a code such as XNYS"),
        ({"calendar": "../xnys"}, r"calendar: unknown exchange calendar '\.\./xnys'"),
        ({"interval": "often"}, r"interval: 'often' is no interval; use one such as 1min"),
        ({"interval": "NaT"}, r"interval: 'NaT' is shorter than 1ms"),
        ({"value": "presure"}, r"value 'presure' is none of the columns \['pressure'\]"),
        (
            {"columns": [{"name": "pressure", "type": "STRING"}]},
            r"value 'pressure' is a STRING column; it must be a number",
        ),
        (
            {"columns": [{"name": "pressure"}, {"name": "x", "type": "BLOB"}]},
            r"columns \['x'\] are BLOB, which no source",
        ),
        (
            {"columns": [{"name": "pressure"}, {"name": "x", "type": "TIMESTAMP(6)"}]},
            r"columns \['x'\] are TIMESTAMP\(6\), which no source",
        ),
        ({"columns": [{"name": "pressure"}, {"name": "Pressure"}]}, r"repeat a name, or use 'ts'"),
        ({"columns": [{"name": "pressure"}, {"name": "TS"}]}, r"repeat a name, or use 'ts'"),
        ({"columns": [{"name": "7up"}]}, r"columns\.0\.name: String should match"),
        ({"columns": []}, r"columns: List should have at least 1 item"),
        ({"training": {"start": "2005-01-02", "end": "2005-01-01"}}, r"start 2005-01-02 is after end 2005-01-01"),
        ({"training": {"end": "soon"}}, r"training\.end: .*\(got 'soon'\)"),
        ({"recipients": ["me"]}, r"recipients: 'me' is no mail address"),
        ({"threshold": {"value": 0}}, r"threshold\.value: Input should be greater than 0 \(got 0\)"),
        ({"detector": {"type": "prophet"}}, r"detector\.type: Input should be 'auto', .* \(got 'prophet'\)"),
        ({"detector": {"kind": "auto"}}, r"detector\.kind: unknown field, there are type"),
        (
            {"detector": {"type": "lstm"}, "threshold": {"rule": "alarm"}},
            r"threshold rule 'alarm' is none of detector 'lstm'; use score or loss",
        ),
        ({"suite": "../secret"}, r"suite: String should match"),
    ],
)
def test_a_wrong_field_is_named_with_a_hint(write: Write, fields: dict[str, Any], message: str) -> None:
    path = write(**fields)
    with pytest.raises(DatasetError, match=message) as caught:
        load_dataset(path)
    assert str(path) in str(caught.value)


def test_an_alias_of_a_calendar_is_known(write: Write) -> None:
    assert load_dataset(write(calendar="NYSE")).calendar == "NYSE"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"Cannot read dataset file .*Expecting"),
        ("[]", r"is wrong: dataset: .*"),
        ("\udcff", r"Cannot read dataset"),
    ],
)
def test_a_file_that_is_no_json_object_is_told(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "pump.json"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(DatasetError, match=message):
        load_dataset(path)


def test_a_missing_file_or_folder_tells_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"No dataset file .*gone\.json'; `gridwatch init DIR` lays out examples"):
        load_dataset(tmp_path / "gone.json")
    with pytest.raises(DatasetError, match=r"No dataset folder .*gone'; set GRIDWATCH_DATASETS_DIR or run"):
        load_datasets(tmp_path / "gone")


def test_a_file_is_named_after_its_dataset(write: Write) -> None:
    path = write()
    path = path.rename(path.with_name("valve.json"))
    with pytest.raises(DatasetError, match=r"valve\.json' has the name 'pump'; name the file pump\.json"):
        load_dataset(path)


def test_names_pick_datasets_and_unknown_ones_are_told(write: Write, tmp_path: Path) -> None:
    write()
    write("valve", symbol="valve")
    assert [dataset.name for dataset in load_datasets(tmp_path, ["valve"])] == ["valve"]
    assert [dataset.name for dataset in load_datasets(tmp_path)] == ["pump", "valve"]
    with pytest.raises(DatasetError, match=r"No dataset 'pmp' in .*; there are \['pump', 'valve'\]"):
        load_datasets(tmp_path, ["pmp"])


def test_a_dataset_names_its_own_container(write: Write) -> None:
    dataset = load_dataset(write(container="pressures"))
    assert (dataset.container, dataset.info.name) == ("pressures", "pressures")
    assert Dataset.model_validate_json(dataset.model_dump_json()) == dataset


def test_topics_of_any_dataset_match_the_pattern() -> None:
    pattern = topics_pattern(["pressures", "INTRADAY_pump_7"])
    names = [
        "pressures",
        "INTRADAY_pump_7",
        "INTRADAY_added_later",
        "pressures2",
        "pressures.dlq",
        "__consumer_offsets",
    ]
    assert [name for name in names if re.match(pattern, name)] == names[:3]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"symbol": "PUMP.7"},
            r"\('PUMP\.7'\) and 'pump' \('pump-7'\) both map to container 'SCORE_pump_7'.*one symbol",
        ),
        ({"container": "apart"}, r"both map to container 'SCORE_pump_7', and their scores .*rename one symbol"),
        (
            {"symbol": "x", "container": "intraday_PUMP_7"},
            r"both map to container 'INTRADAY_pump_7', and their rows .*give one another `container`",
        ),
    ],
)
def test_two_datasets_that_write_to_one_container_are_refused(
    write: Write, tmp_path: Path, fields: dict[str, Any], message: str
) -> None:
    write()
    write("other", **fields)
    with pytest.raises(DatasetError, match=message):
        load_datasets(tmp_path)


def test_two_datasets_of_one_symbol_are_refused(write: Write, tmp_path: Path) -> None:
    write()
    write("again")
    with pytest.raises(DatasetError, match=r"'again' .*'pump' .*their scores would overwrite each other; rename one"):
        load_datasets(tmp_path)


def test_a_disabled_dataset_is_worked_on_only_when_it_is_named(write: Write, tmp_path: Path) -> None:
    write()
    write("valve", symbol="valve", enabled=False)
    assert [dataset.name for dataset in load_datasets(tmp_path, disabled=False)] == ["pump"]
    assert [dataset.name for dataset in load_datasets(tmp_path, ["valve"], disabled=False)] == ["valve"]


def test_a_dataset_is_made_without_a_file_too() -> None:
    assert Dataset.model_validate(BASE).rows_min == 60


@pytest.mark.parametrize(
    "model",
    [
        Dataset,
        AlphaVantageSource,
        CsvFolderSource,
        SampleSource,
        LstmModel,
        Threshold,
        Schedule,
        DateRange,
        DetectorChoice,
    ],
)
def test_every_field_is_documented(model: type[BaseModel]) -> None:
    text = (ROOT / "docs" / "datasets.md").read_text()
    known = {"kind", "rule"}
    assert [name for name in model.model_fields if name not in known and f"`{name}`" not in text] == []


def test_the_example_of_the_documentation_is_valid() -> None:
    text = (ROOT / "docs" / "datasets.md").read_text()
    example = text.split("```json\n")[1].split("```")[0]
    assert Dataset.model_validate_json(example).container == "INTRADAY_pump_7"


@pytest.mark.parametrize(
    ("fields", "kind", "feature", "rule", "value"),
    [
        ({}, "auto", "log_return", "alarm", None),
        ({"detector": {"type": "auto"}, "threshold": {"value": 90}}, "auto", "log_return", "alarm", 90.0),
        ({"detector": {"type": "lstm"}}, "lstm", "log_return", "score", 95.0),
        ({"detector": {"type": "lstm-fixed"}}, "lstm-fixed", "level", "loss", 0.65),
        ({"detector": {"type": "lstm-fixed"}, "feature": "log_return"}, "lstm-fixed", "log_return", "loss", 0.65),
        # Files from before there was a choice.
        ({"model": {"window": 10}}, "lstm", "log_return", "score", 95.0),
        ({"threshold": {"rule": "loss", "value": 0.8}}, "lstm", "log_return", "loss", 0.8),
        ({"threshold": {"rule": "score", "value": 99}}, "auto", "log_return", "score", 99.0),
    ],
)
def test_the_detector_decides_what_is_not_said(
    fields: dict[str, Any], kind: str, feature: str, rule: str, value: float | None
) -> None:
    dataset = Dataset.model_validate(BASE | fields)
    assert (dataset.detector.type, dataset.feature) == (kind, feature)
    assert (dataset.threshold.rule, dataset.threshold.value) == (rule, value)
    assert Dataset.model_validate_json(dataset.model_dump_json()) == dataset
