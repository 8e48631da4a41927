"""The task over a writer that fails on purpose: retries, halving, order, and what is told of it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.connect.mapping import Mapping


def batch(*records: list[Any], script: str = "") -> dict[str, Any]:
    """Records `[topic, id, v]`, and the outcomes of the writer's next calls; all later ones go well."""
    return {"records": list(records), "script": script.split()}


def puts(answer: dict[str, Any]) -> list[Any]:
    """Return the calls that put or delete, as `{container: [[id, v]]}` or `[[id]]`."""
    return [what for call, what in answer["calls"] if call in {"put", "delete"}]


def test_a_batch_goes_in_one_request_for_all_containers(mapping: Mapping) -> None:
    (answer,) = mapping.play(batch(["a", 1, 10], ["B", 2, 20], ["a", 1, 11]))
    assert puts(answer) == [{"a": [["1", "10"], ["1", "11"]], "B": [["2", "20"]]}]
    assert answer["figures"] == {
        "RowsWritten": 3, "RowsDeleted": 0, "Batches": 1, "Retries": 0, "RecordsRefused": 0, "LastError": "",
    }  # fmt: skip


def test_rows_go_in_requests_of_the_size_that_is_asked_for(mapping: Mapping) -> None:
    (answer,) = mapping.play(batch(*(["a", place, 0] for place in range(5))), batch__max__rows=2)
    assert [len(put["a"]) for put in puts(answer)] == [2, 2, 1]


def test_what_passes_at_once_is_tried_again_at_once(mapping: Mapping) -> None:
    (answer,) = mapping.play(batch(["a", 1, 1], script="ok ok ok retriable retriable"))
    assert puts(answer) == [{"a": [["1", "1"]]}] * 3
    assert "thrown" not in answer
    assert (answer["figures"]["Retries"], answer["figures"]["LastError"]) == (2, "the server is away")


def test_what_does_not_pass_is_handed_back_and_nothing_is_reported_twice(mapping: Mapping) -> None:
    away = batch(["a", 1, 1], ["a", 2, -1], ["a", 3], script="ok ok ok retriable retriable retriable")
    again = away | {"script": []}
    first, second = mapping.play(away, again)
    assert (first["thrown"], first["message"]) == ("RetriableException", "the server is away")
    assert first["timeout_ms"] == 1
    assert first["reported"] == []
    assert "thrown" not in second
    assert second["reported"] == [
        "2: tombstone (null value): rows are deleted only with delete.enabled=true",
        "1: -1 is refused",
    ]
    assert puts(second)[-2:] == [{"a": [["1", "1"]]}, {"a": [["2", "-1"]]}]


def test_waits_grow_and_the_task_gives_up_where_it_is_told_to(mapping: Mapping) -> None:
    away = batch(["a", 1, 1], script="retriable")
    answers = mapping.play(*[away] * 4, retries__max=3, retry__backoff__ms=100, retry__backoff__max__ms=150)
    assert [answer["thrown"] for answer in answers] == ["RetriableException"] * 3 + ["ConnectException"]
    waits = [answer["timeout_ms"] for answer in answers[:3]]
    assert 50 <= waits[0] <= 100
    assert all(75 <= wait <= 150 for wait in waits[1:])
    assert answers[3]["message"] == "Given up after 3 repetitions (retries.max): the server is away"


def test_a_batch_that_goes_well_forgives_the_failures_before(mapping: Mapping) -> None:
    away, well = batch(["a", 1, 1], script="retriable retriable retriable"), batch(["a", 1, 1])
    answers = mapping.play(away, well, away, well, retries__max=1)
    assert [answer.get("thrown") for answer in answers] == ["RetriableException", None] * 2


def test_a_refused_login_fails_the_task(mapping: Mapping) -> None:
    (answer,) = mapping.play(batch(["a", 1, 1], script="fatal"))
    assert (answer["thrown"], answer["message"]) == ("ConnectException", "the login is refused")


def test_refused_rows_are_found_by_halving_and_all_others_are_written(mapping: Mapping) -> None:
    bad = {7, 8, 63}
    (answer,) = mapping.play(batch(*(["a", place, -1 if place in bad else place] for place in range(64)), ["b", 1, 1]))
    assert answer["reported"] == [f"{place}: -1 is refused" for place in sorted(bad)]
    written = [row for put in puts(answer) for row in put.get("a", ()) if all(one[1] != "-1" for one in put["a"])]
    assert sorted(int(row[0]) for row in written) == [place for place in range(64) if place not in bad]
    assert answer["figures"]["RowsWritten"] == 62
    assert len(puts(answer)) < 40


def test_a_bad_record_without_anybody_to_report_it_to_fails_the_task(mapping: Mapping) -> None:
    (answer,) = mapping.play(batch(["a", 1, 1], ["a", 2, -1]), reports=False)
    assert answer["thrown"] == "ConnectException"
    assert answer["message"] == (
        "Bad record a-0-1: -1 is refused (with errors.tolerance=all, such records go to the dead letters)"
    )


def test_rows_are_made_anew_for_a_container_that_has_changed(mapping: Mapping) -> None:
    (answer,) = mapping.play(batch(["a", 1, 5], ["a", 2, 6], script="ok ok ok widened"))
    assert puts(answer) == [{"a": [["1", "5"], ["2", "6"]]}, {"a": [["1", "null", "5"], ["2", "null", "6"]]}]
    assert answer["reported"] == []


def test_columns_are_added_once_and_all_rows_of_the_batch_have_them(mapping: Mapping) -> None:
    _, answer = mapping.play(
        batch(["a", 1, 1]), batch(["a", 2, 2], ["a", 3, 3, 30], ["a", 4, 4, 40]), auto__evolve=True
    )
    assert [what for call, what in answer["calls"] if call == "add"] == [["w"]]
    assert puts(answer) == [{"a": [["2", "2", "null"], ["3", "3", "30"], ["4", "4", "40"]]}]


def test_a_container_is_looked_up_once_and_then_again_for_records_that_do_not_fit(mapping: Mapping) -> None:
    first, second, third = mapping.play(batch(["a", 1, 1]), batch(["a", 1, 1]), batch(["a", 1, 1, 1], ["a", 2, 2, 2]))
    assert [call for call, _ in first["calls"]] == ["look", "create", "look", "put"]
    assert [call for call, _ in second["calls"]] == ["put"]
    assert [call for call, _ in third["calls"]] == ["look"]
    assert third["reported"] == [f"{place}: unknown field 'w'; the container has id, v" for place in (0, 1)]


def test_a_container_that_cannot_be_made_is_tried_once_a_batch(mapping: Mapping) -> None:
    (answer,) = mapping.play(batch(["a", 1, 1], ["a", 2, 2], script="ok refused"))
    assert [call for call, _ in answer["calls"]] == ["look", "create"]
    assert answer["reported"] == ["0: the rows are refused", "1: the rows are refused"]


def test_a_name_that_the_server_refuses_is_a_bad_record(mapping: Mapping) -> None:
    _, answer = mapping.play(batch(["b", 1, 1]), batch(["a", 1, 1], ["b", 2, 2], script="refused"))
    assert answer["reported"] == ["0: the rows are refused"]
    assert puts(answer) == [{"b": [["2", "2"]]}]


def test_a_missing_container_is_said_to_be_missing(mapping: Mapping) -> None:
    (answer,) = mapping.play(batch(["a", 1, 1]), auto__create=False)
    assert answer["reported"] == ["0: there is no container 'a'; make it, or set auto.create=true"]


def test_operations_on_one_key_keep_their_order(mapping: Mapping) -> None:
    records: list[list[Any]] = [["a", 1, 1], ["a", 2, 2], ["a", 1], ["b", 1], ["a", 1, 3], ["b", 1, 1], ["a", 9]]
    (answer,) = mapping.play(batch(*records), delete__enabled=True)
    assert [(call, what) for call, what in answer["calls"] if call in {"put", "delete"}] == [
        ("put", {"a": [["1", "1"], ["2", "2"]]}),
        ("delete", [["1"]]),
        ("delete", [["1"]]),
        ("put", {"a": [["1", "3"]], "b": [["1", "1"]]}),
        ("delete", [["9"]]),
    ]
    assert (answer["figures"]["RowsWritten"], answer["figures"]["RowsDeleted"]) == (4, 3)


@pytest.mark.parametrize("script", ["ok ok ok ok retriable retriable retriable", "ok ok ok ok fatal"])
def test_a_deletion_that_fails_is_not_forgotten(mapping: Mapping, script: str) -> None:
    first, second = mapping.play(batch(["a", 1, 1], ["a", 1], script=script), batch(["a", 1]), delete__enabled=True)
    assert first["thrown"] in {"RetriableException", "ConnectException"}
    assert puts(second) == [[["1"]]]


def test_a_batch_may_have_more_containers_than_are_kept_in_mind(mapping: Mapping) -> None:
    names = [f"c{place}" for place in range(1005)]
    first, second = mapping.play(
        batch(*([name, 1, 1] for name in names)), batch(*([name, 2, 2] for name in [*names, "c0"])), auto__create=True
    )
    (put,) = puts(first)
    assert len(put) == len(names)
    # Some were forgotten in between: they are looked up again, and are there.
    (put,) = puts(second)
    assert len(put) == len(names)
    assert {call for call, _ in second["calls"]} == {"look", "put"}
    assert first["reported"] == second["reported"] == []


def test_bad_records_are_left_out_where_errors_are_tolerated_and_nobody_takes_them(mapping: Mapping) -> None:
    (answer,) = mapping.play(batch(["a", 1, 1], ["a", 2, -1], ["a", 3, 3]), reports=False, errors__tolerance="all")
    assert "thrown" not in answer
    assert answer["figures"]["RowsWritten"] == 2
    assert answer["figures"]["RecordsRefused"] == 1


def test_a_batch_that_is_refused_whole_costs_few_questions(mapping: Mapping) -> None:
    (answer,) = mapping.play(batch(*(["a", place, -1] for place in range(64))))
    assert len(answer["reported"]) == 64
    assert [call for call, _ in answer["calls"]].count("look") <= 4


def test_rows_that_are_refused_for_a_container_that_changes_meanwhile_are_made_anew(mapping: Mapping) -> None:
    # The refused rows are two before anybody widens the container, and the last of them is refused for that alone.
    script = "ok ok ok refused ok refused widened"
    (answer,) = mapping.play(batch(["a", 1, 5], ["a", 2, 6], script=script))
    assert answer["reported"] == []
    assert puts(answer)[-1] == {"a": [["1", "null", "5"], ["2", "null", "6"]]}
