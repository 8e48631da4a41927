"""A flow of records through real parts, and the faults that it meets."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from typing_extensions import override

from gridwatch.containers import Store, open_store
from gridwatch.errors import MissingServiceError
from gridwatch.settings import KafkaSettings, Settings
from gridwatch.streaming import ensure_topics
from gridwatch.streaming.clients import admin
from tests.faults.check import arrived, check_letters, check_rows, letters
from tests.faults.connect_part import ConnectPart
from tests.faults.parts import PATIENCE_S, BrokerPart, Child, Part, ServerPart, SinkPart, wait_for
from tests.faults.records import Source

__all__ = ["PARTITIONS", "Flow", "Platform", "ProducerPart", "again"]

PARTITIONS = 3

Offsets = dict[tuple[str, int], int]


@contextmanager
def again(seed: int, folder: Path) -> Iterator[None]:
    """Tell how to repeat a test that fails, and where its logs are."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"Again: GRIDWATCH_TEST_FAULTS_SEED={seed}. Logs are in {folder}.")
        raise


class ProducerPart(Child):
    """The process that sends the source's records, as far as it is allowed to.

    Args:
        folder: For its home and log.
        bootstrap: Address of the broker.
        source: What it sends.
    """

    def __init__(self, folder: Path, bootstrap: str, source: Source) -> None:
        script = str(Path(__file__).with_name("producer_process.py"))
        argv = [sys.executable, script, str(folder), bootstrap, source.name, str(source.seed), str(len(source))]
        super().__init__("producer", argv, folder / "producer.log")
        self._count = len(source)
        self._limit = 0
        self.acknowledged = 0

    def allow(self, limit: int) -> None:
        """Let it send the first `limit` records."""
        self._limit = min(limit, self._count)
        if self._popen is not None and self._popen.stdin is not None:
            self._tell(self._popen.stdin)

    def done(self) -> bool:
        """Tell whether all that it may send is acknowledged."""
        return self.acknowledged >= self._limit

    def sent(self, count: int) -> bool:
        """Tell whether so many records are acknowledged."""
        return self.acknowledged >= count

    @override
    def start_once(self) -> None:
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(
                # After a death it begins after the last chunk that was acknowledged: some records arrive twice.
                [*self.argv, str(self.acknowledged)],
                env=self._env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        threading.Thread(target=self._listen, args=(self._popen.stdout, self._popen.stdin), daemon=True).start()
        self._tell(self._popen.stdin)

    def _tell(self, pipe: IO[bytes]) -> None:
        try:
            pipe.write(f"{self._limit}\n".encode())
            pipe.flush()
        except (OSError, ValueError):
            # It has just been killed; the next one is told at its start.
            return

    def _listen(self, pipe: IO[bytes], stdin: IO[bytes]) -> None:
        with pipe:
            for line in pipe:
                self.acknowledged = max(self.acknowledged, int(line))
                if self.acknowledged >= self._count:
                    self._wanted.clear()
        with suppress(BrokenPipeError), stdin:
            return


class Platform:
    """What a flow runs on: broker and store server in one folder.

    Args:
        folder: For all data and logs.
    """

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(_env_file=None, home=folder, kafka=KafkaSettings(request_timeout_s=15))
        self.broker = BrokerPart(self.settings)
        (folder / "store").mkdir()
        self.server = ServerPart(folder / "store", folder / "server.log")

    def __enter__(self) -> Self:
        try:
            self.server.start()
            self.broker.start()
            self.broker.wait_ready()
            self.server.wait_ready()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.stop()
        self.broker.stop()


class Flow:
    """Records from a producer to sinks.

    Args:
        platform: Broker and store server, running.
        folder: For all data and logs.
        seed: Of the records and of all that is random about the faults.
        count: How many records.
    """

    def __init__(self, platform: Platform, folder: Path, seed: int, count: int) -> None:
        self.folder = folder
        self.chance = random.Random(f"faults/{seed}")
        self.source = Source(seed, count, f"FAULTS_{uuid.uuid4().hex[:6].upper()}")
        self.topics = self.source.topics
        self.settings = platform.settings
        self.broker, self.server = platform.broker, platform.server
        self.bootstrap = self.broker.bootstrap
        self.producer = ProducerPart(folder, self.bootstrap, self.source)
        self.sinks: list[SinkPart | ConnectPart] = []
        self.recoveries_s: list[float] = []
        self._asking = threading.Lock()
        self._admin: Any = None
        self._cleanup = ExitStack()

    def __enter__(self) -> Self:
        ensure_topics(self.settings, self.bootstrap, self.topics, partitions=PARTITIONS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._cleanup:
            for part in (self.producer, *self.sinks):
                part.stop()

    def add_sink(self, group: str = "", *, name: str = "Python sink", url: str = "", **more: Any) -> SinkPart:
        """Start a Python sink; several of one group share the work."""
        group = group or f"python-{self.source.name}"
        sink = SinkPart(name, self.folder, self.bootstrap, group, url or self.server.url, self.topics, **more)
        self.sinks.append(sink)
        sink.start()
        return sink

    def add_worker(self, name: str = "", *, url: str = "", **more: Any) -> ConnectPart:
        """Start a Connect worker with the connector; several of one name share the work."""
        name = name or f"worker-{self.source.name}"
        worker = ConnectPart(self.folder, self.bootstrap, name, url or self.server.url, self.topics, **more)
        self.sinks.append(worker)
        worker.start()
        return worker

    @property
    def groups(self) -> list[str]:
        """The consumer groups of all sinks."""
        return sorted({sink.group for sink in self.sinks})

    @property
    def parts(self) -> list[Part]:
        """All parts that can be killed."""
        return [self.broker, self.server, self.producer, *self.sinks]

    def open_store(self) -> Store:
        """Open the store file that is behind the server."""
        return open_store(f"sqlite:///{self.server.file}")

    def wait_for(self, condition: Callable[[], object], what: str, *, look_s: float = 0.05) -> None:
        """Wait until `condition()` is true; fails when it is not in time, or when a part cannot be kept up."""

        def met() -> bool:
            for part in self.parts:
                part.check()
            return bool(condition())

        wait_for(met, what, look_s=look_s)

    def ends(self) -> Offsets:
        """Return where each partition ends; waits for a broker that is away."""
        from kafka import TopicPartition
        from kafka.admin import OffsetSpec

        parts = [TopicPartition(topic, number) for topic in self.topics for number in range(PARTITIONS)]
        found = self._ask(lambda client: client.list_partition_offsets(dict.fromkeys(parts, OffsetSpec.LATEST)))
        return {(part.topic, part.partition): info.offset for part, info in found.items()}

    def committed(self, group: str) -> Offsets:
        """Return what a group has committed; waits for a broker that is away."""
        found = self._ask(lambda client: client.list_group_offsets({group: None}))[group]
        return {(part.topic, part.partition): info.offset for part, info in found.items() if info.offset >= 0}

    def _ask(self, question: Any) -> Any:
        from kafka.errors import KafkaError

        answers: list[Any] = []

        def ask() -> bool:
            with suppress(KafkaError, MissingServiceError), self._asking:
                if self._admin is None:
                    self._admin = self._cleanup.enter_context(admin(self.settings, self.bootstrap, timeout_s=10))
                answers.append(question(self._admin))
            return bool(answers)

        self.wait_for(ask, "the broker to answer", look_s=0.2)
        return answers[0]

    def caught_up(self) -> bool:
        """Tell whether all groups have committed all that is in the topics."""
        ends = self.ends()
        return all(have >= end for group in self.groups for _, end, have in self._state(group, ends))

    def wait_caught_up(self, ends: Offsets | None = None, *, groups: Sequence[str] = ()) -> None:
        """Wait until the groups have committed up to `ends`; fails when nothing moves for a long time."""
        goal = {part: end for part, end in (ends or self.ends()).items() if end}
        for group in groups or self.groups:
            moved, before = time.monotonic(), -1
            while behind := {part: (have, end) for part, end, have in self._state(group, goal) if have < end}:
                now = sum(self.committed(group).values())
                if now != before:
                    moved, before = time.monotonic(), now
                for part in self.parts:
                    part.check()
                assert time.monotonic() - moved < PATIENCE_S, f"group {group} stands still at {behind}"
                time.sleep(0.1)

    def _state(self, group: str, goal: Offsets) -> list[tuple[tuple[str, int], int, int]]:
        have = self.committed(group)
        return [(part, end, have.get(part, 0)) for part, end in goal.items()]

    def send(self, count: int) -> None:
        """Let so many more records be sent; wait until they are acknowledged."""
        self.producer.start()
        self.producer.allow(self.producer.acknowledged + count)
        self.wait_for(self.producer.done, "the producer")

    def work(self, part: Part) -> int:
        """Return a number that grows while a part does its work: records acknowledged, or offsets committed."""
        if part in (self.broker, self.producer):
            return self.producer.acknowledged
        groups = {sink.group for sink in self.sinks if part in (sink, self.server)}
        return sum(sum(self.committed(group).values()) for group in groups)

    def storm(self, parts: Sequence[Part], each: int) -> None:
        """Send all records; meanwhile kill each part so often, one part's kills regardless of the others'.

        A part is killed at a random moment after it has been seen at work again.
        """
        self.send(len(self.source) // 50)
        self.wait_caught_up()
        left = [each] * len(parts)
        seeds = [self.chance.random() for _ in parts]
        with ThreadPoolExecutor(len(parts)) as killers:
            kills = [
                killers.submit(self._kill_often, part, each, random.Random(seed), left, place)
                for place, (part, seed) in enumerate(zip(parts, seeds, strict=True))
            ]
            self.producer.start()
            count, total = len(self.source), each * len(parts)
            drop = max(1, count // 500)
            while sum(left):
                # As many as there were kills; and a few more all the time, so that there is always something to do.
                share = count * (total - sum(left) + 1) // (total + 1)
                self.producer.allow(max(share, self.producer.acknowledged + drop))
                if failed := [kill.exception() for kill in kills if kill.done()]:
                    assert not [error for error in failed if error is not None], failed
                time.sleep(0.2)
        self.send_all()

    def _kill_often(self, part: Part, times: int, chance: random.Random, left: list[int], place: int) -> None:
        for _ in range(times):
            working = partial(self._works, part, self.work(part))
            self.wait_for(working, f"the {part.name} to work", look_s=0.2)
            time.sleep(chance.uniform(0, 1))
            part.back_after_s = chance.uniform(0, 0.5)
            self.wait_for(part.kill, f"the {part.name} to be up, to be killed", look_s=0.01)
            left[place] -= 1

    def _works(self, part: Part, before: int) -> bool:
        return self.work(part) > before or self.producer.acknowledged >= len(self.source)

    def kill_in_turn(self, victim: Part, times: int) -> None:
        """Send all records; meanwhile kill a part so often, at random moments.

        After each kill all sinks catch up with what was sent by then; `recoveries_s` tells how long each took.
        """
        self.producer.start()
        size = len(self.source) / (times + 1)
        for turn in range(1, times + 1):
            begin = round((turn - self.chance.uniform(0.1, 0.9)) * size)
            self.producer.allow(round(turn * size))
            self.wait_for(partial(self.producer.sent, begin), "the producer", look_s=0.01)
            time.sleep(self.chance.uniform(0, 0.3))
            victim.back_after_s = self.chance.uniform(0, 0.5)
            self.wait_for(victim.kill, f"the {victim.name} to be up, to be killed", look_s=0.01)
            killed = time.monotonic()
            self.wait_for(self.producer.done, "the producer")
            self.wait_caught_up()
            victim.wait_ready()
            self.recoveries_s.append(time.monotonic() - killed)
        self.send_all()

    def send_all(self) -> None:
        """Send what is left of the records."""
        self.producer.start()
        self.producer.allow(len(self.source))
        self.wait_for(self.producer.done, "the producer")

    def check(self) -> dict[str, int]:
        """Wait until everything is through, then compare all rows and dead letters with the source.

        Returns:
            What was counted.
        """
        self.wait_caught_up()
        there = arrived(self.bootstrap, self.topics, self.source)
        counts = {"records": there.records, "dead letters": len(there.bad), "letters again": 0}
        with self.open_store() as store:
            for group in self.groups:
                sink = next(sink for sink in self.sinks if sink.group == group)
                for topic in self.topics:
                    check_rows(store, sink.prefix + topic, there.rows[topic])
                found = letters(self.bootstrap, sink.letter_topics)
                counts["letters again"] += check_letters(found, there.bad, self.source)
        return counts
