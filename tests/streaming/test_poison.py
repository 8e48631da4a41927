"""Every kind of bad record through the sink: a dead letter with place and reason, and its good neighbours stored."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest

from gridwatch.containers import open_store
from gridwatch.settings import KafkaSettings, Settings
from gridwatch.streaming import DeadLetter, Producer, drain, read_dead_letters
from tests.streaming import poison
from tests.streaming.poison import POISON, Poison

_COLUMNS = [column.name for column in poison.info("rows").columns]


@pytest.fixture(scope="module")
def through(bootstrap: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """All cases in one topic, a good record before and after each, with and without a schema in turn."""
    home = tmp_path_factory.mktemp("poison")
    topic = f"POISON_{uuid.uuid4().hex[:8]}"
    settings = Settings(home=home, kafka=KafkaSettings(group_id=topic))
    with open_store(f"sqlite:///{home / 'store.db'}") as store:
        with Producer(settings, bootstrap) as producer:
            producer.ensure_topics([topic])
            for number, case in enumerate(POISON):
                producer.repeat(topic, poison.good(2 * number), key=b"good", headers=[])
                producer.repeat(topic, case.value, key=case.key, headers=[("trace", b"7")])
                producer.repeat(topic, poison.plain(2 * number + 1), key=b"good", headers=[])
        report = drain(settings, bootstrap, store, [topic], timeout_s=60)
        letters = {letter.offset: letter for letter in read_dead_letters(settings, bootstrap, topic)}
        yield {"topic": topic, "report": report, "letters": letters, "rows": store.read(topic).to_pylist()}


@pytest.mark.parametrize(("number", "case"), list(enumerate(POISON)), ids=[case.name for case in POISON])
def test_a_bad_record_is_a_dead_letter(through: dict[str, Any], number: int, case: Poison) -> None:
    letter: DeadLetter = through["letters"][3 * number + 1]
    assert re.search(case.reason, letter.reason), letter.reason
    assert (letter.topic, letter.partition) == (through["topic"], 0)
    assert (letter.value, letter.key, letter.headers) == (case.value, case.key, (("trace", b"7"),))


def test_the_good_neighbours_are_all_stored(through: dict[str, Any]) -> None:
    count = 2 * len(POISON)
    assert (through["report"].rows, through["report"].dead_letters) == (count, len(POISON))
    assert len(through["letters"]) == len(POISON)
    expected = [
        poison.row(n) | {"ts": pd.Timestamp(poison.FIRST_MS + 60_000 * n, unit="ms", tz="UTC"), "data": b"\0\1\xff"}
        for n in range(count)
    ]
    assert [row | {"ratio": 0.5} for row in through["rows"]] == expected
