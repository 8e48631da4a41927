"""The LSTM detector: agreement of its two forms, its features, what it keeps."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from gridwatch.detectors import Limit, LstmDetector
from gridwatch.detectors import lstm as lstm_module
from gridwatch.detectors.onnx import OnnxModel
from gridwatch.detectors.testing import SMALL, random_walk
from gridwatch.detectors.training import train_lstm
from gridwatch.errors import DetectorError


def test_onnx_predicts_what_keras_predicts(learnt: LstmDetector) -> None:
    assert learnt.trained is not None
    windows = np.random.default_rng(1).standard_normal((300, SMALL.window)).astype(np.float32)
    keras = np.asarray(learnt.trained.model(windows[:, :, None], training=False))[:, 0]
    assert np.abs(keras - OnnxModel(learnt.trained.onnx).predict(windows)).max() < 1e-6


def test_two_layers_with_dropout_agree_too() -> None:
    config = replace(SMALL, units=(5, 4), dropout=0.2, epochs=1)
    windows = np.random.default_rng(1).standard_normal((80, SMALL.window)).astype(np.float32)
    targets = windows[:, -1]
    trained = train_lstm(config, (windows[:70], targets[:70]), (windows[70:], targets[70:]))
    keras = np.asarray(trained.model(windows[:, :, None], training=False))[:, 0]
    assert np.abs(keras - OnnxModel(trained.onnx).predict(windows)).max() < 1e-6


def test_a_model_that_differs_from_keras_is_refused(learnt: LstmDetector) -> None:
    assert learnt.trained is not None
    windows = np.random.default_rng(1).standard_normal((300, SMALL.window)).astype(np.float32)
    predicted = OnnxModel(learnt.trained.onnx).predict(windows)
    with pytest.raises(
        DetectorError, match=r"differs from the Keras model by 0\.\d+ standard deviations; at most 1e-05"
    ):
        lstm_module.check_agreement(learnt.trained.model, windows, predicted + 0.5)


def test_the_best_epoch_is_kept(learnt: LstmDetector) -> None:
    trained = learnt.trained
    assert trained is not None
    losses = [row["val_loss"] for row in trained.history]
    assert trained.best_epoch == int(np.argmin(losses)) + 1
    assert 1 <= len(losses) <= SMALL.epochs


def test_each_epoch_is_told(learnt: LstmDetector, told: list[tuple[int, int]]) -> None:
    assert learnt.trained is not None
    epochs = len(learnt.trained.history)
    assert told == [(epoch, SMALL.epochs) for epoch in range(1, epochs + 1)]


def test_expected_and_band_are_prices(learnt: LstmDetector) -> None:
    times, values = random_walk(200, seed=3)
    scores = learnt.score(times, values)
    rows = scores.scored
    previous = np.concatenate([[np.nan], values[:-1]])
    assert np.all(np.abs(scores.expected[rows] / previous[rows] - 1.0) < 0.01)
    assert np.all(scores.lower[rows] > 0.0)


@pytest.mark.parametrize("limit", [Limit("score", 95.0), Limit("score", 60.0), Limit("loss", 0.65)])
@pytest.mark.parametrize("name", ["learnt", "learnt_level"])
def test_the_band_is_where_the_limit_is(name: str, limit: Limit, request: pytest.FixtureRequest) -> None:
    detector: LstmDetector = request.getfixturevalue(name).with_limit(limit)
    times, values = random_walk(3_000, seed=7)
    values[2_000:] *= 5.0
    scores = detector.score(times, values)
    outside = (values < scores.lower) | (values > scores.upper)
    flagged = limit.flags(scores)
    assert flagged.any()
    # Scores are stepwise where the learnt ratios are, so a row exactly at the edge may fall on either side.
    assert np.mean(outside != flagged) < 2e-3


def test_the_seeds_rule_is_an_error_in_standard_deviations_of_the_level(learnt_level: LstmDetector) -> None:
    detector = learnt_level.with_limit(Limit("loss", 0.65))
    times, values = random_walk(400)
    raw = json.loads(learnt_level.save()["detector.json"])
    std = raw["scaler"]["std"]
    training = values[: 400 - learnt_level.validation_rows(400)]
    assert std == pytest.approx(training.std())
    expected = detector.score(times, values).expected
    values[300] = expected[300] + 0.66 * std
    values[310] = expected[310] + 0.0
    scores = detector.score(times, values)
    assert scores.loss[300] == pytest.approx(0.66, abs=1e-3)
    assert detector.limit.flags(scores)[300]


def test_zero_and_negative_prices_are_named(learnt: LstmDetector) -> None:
    times, values = random_walk(100)
    values[[40, 41]] = [0.0, -3.0]
    with pytest.raises(
        DetectorError, match=r"needs values above zero; 2 are not: 2023-.*\(0\), 2023-.*\(-3\).*\"level\""
    ):
        learnt.score(times, values)
    values[:20] = -1.0
    with pytest.raises(DetectorError, match=r"22 are not: .* and 17 more"):
        learnt.score(times, values)


def test_a_missing_file_is_named(learnt: LstmDetector) -> None:
    parts = learnt.save()
    del parts["model.onnx"]
    with pytest.raises(DetectorError, match=r"lacks model\.onnx; it has \['detector\.json'\]"):
        LstmDetector.load(parts)


@pytest.mark.parametrize(
    "damage",
    [b"{", b"[]", b'{"format": 1, "kind": "lstm"}', b'{"format": 1, "kind": "lstm", "config": {"units": 3}}', b"\xff"],
)
def test_a_damaged_description_is_told(learnt: LstmDetector, damage: bytes) -> None:
    with pytest.raises(DetectorError, match=r"detector\.json is damaged"):
        LstmDetector.load({**learnt.save(), "detector.json": damage})


def test_a_damaged_network_is_told(learnt: LstmDetector) -> None:
    with pytest.raises(DetectorError, match=r"model\.onnx \(7 bytes\) is damaged"):
        LstmDetector.load({**learnt.save(), "model.onnx": b"garbage"})


def test_a_later_format_is_told(learnt: LstmDetector) -> None:
    parts = learnt.save()
    raw = json.loads(parts["detector.json"])
    raw["format"] = 2
    with pytest.raises(DetectorError, match=r"holds a 'lstm' of format 2; this version reads 'lstm' of format 1"):
        LstmDetector.load({**parts, "detector.json": json.dumps(raw).encode()})


def test_scoring_never_imports_tensorflow(learnt: LstmDetector, tmp_path: object) -> None:
    code = """
import pathlib, sys, numpy as np
from gridwatch.detectors import LstmDetector
folder = pathlib.Path(sys.argv[1])
detector = LstmDetector.load({name: (folder / name).read_bytes() for name in ("detector.json", "model.onnx")})
scores = detector.score(np.arange(100) * 60_000, np.linspace(100.0, 101.0, 100))
heavy = {"tensorflow", "keras", "mlflow", "onnx", "numba"} & set(sys.modules)
print(int(scores.scored.sum()), sorted(heavy))
"""
    from pathlib import Path

    folder = Path(str(tmp_path))
    for name, content in learnt.save().items():
        (folder / name).write_bytes(content)
    run = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "91 []"


def test_the_split_of_2005_is_found_and_little_else() -> None:
    from bokeh_sampledata.stocks import data

    bars = data[data.ticker == "AAPL"]
    times = bars["date"].to_numpy().astype("datetime64[ms]").astype(np.int64)
    values = bars["close"].to_numpy(np.float64)
    begin, end = (int(np.searchsorted(bars["date"], np.datetime64(day))) for day in ("2005-01-01", "2006-01-01"))
    detector = LstmDetector()
    detector.learn(times[:begin], values[:begin])
    first = begin - detector.context_rows
    scores = detector.score(times[first:end], values[first:end])
    flagged = np.flatnonzero(detector.limit.flags(scores)) + first
    days = [str(bars["date"].iloc[row])[:10] for row in flagged if row >= begin]
    assert "2005-02-28" in days
    assert len(days) <= 3
    assert scores.score[int(np.searchsorted(bars["date"], np.datetime64("2005-02-28"))) - first] > 99.0
