"""The comparison of LSTM jobs for real, small, with a network that nobody had to train; what it finds is not tested."""

from __future__ import annotations

import re
from typing import Any

import pytest

import benchmarks.networks
from gridwatch.jobs.analysis.lstm_learning import Taught
from gridwatch.jobs.analysis.lstm_lesson import Lesson
from tests.jobs.lstm_parts import network


def test_networks_are_compared_with_the_usual_model(monkeypatch: pytest.MonkeyPatch) -> None:
    def learn(_job: Any, lesson: Lesson) -> Taught:
        assert lesson.enough
        return Taught(network(benchmarks.networks.WINDOW, lesson.to_ms, lesson.memory_rows), None, [])

    monkeypatch.setattr(benchmarks.networks, "learn", learn)
    monkeypatch.setattr(benchmarks.networks, "SERIES", 2)
    monkeypatch.setattr(benchmarks.networks, "DAYS", 4)
    figures = list(benchmarks.networks.run())
    assert [figure.unit for figure in figures] == ["windows"] * 4
    for figure in figures:
        assert len(re.findall(r"(?:a burst|nothing, once|an hour|90 minutes) \d+%, \d+%", figure.note)) == 4
        assert len(re.findall(r"[\d.]+ records and [\d.]+ critical", figure.note)) == 2
