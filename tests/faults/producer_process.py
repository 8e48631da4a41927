"""Run as a script by the harness: sends records through faults, as far as it is told to.

Usage: producer_process.py HOME BOOTSTRAP NAME SEED COUNT FIRST

Reads numbers from standard input, each the number of records that may be sent by now, and writes to standard output
after each chunk how many have been acknowledged.
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

from gridwatch.errors import StreamError
from gridwatch.settings import KafkaSettings, Settings
from gridwatch.streaming import Producer
from tests.faults.records import NUMBER_HEADER, Source

_CHUNK = 100


class _Limit:
    """How many records may be sent by now, as standard input says."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._limit = 0
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in sys.stdin:
            with self._changed:
                self._limit = int(line)
                self._changed.notify_all()

    def wait_for_more_than(self, sent: int) -> int:
        with self._changed:
            self._changed.wait_for(lambda: self._limit > sent)
            return self._limit


def main(home: str, bootstrap: str, name: str, seed: int, count: int, first: int) -> None:
    source, limit, sent = Source(seed, count, name), _Limit(), first
    settings = Settings(_env_file=None, home=Path(home), kafka=KafkaSettings(request_timeout_s=30))
    while sent < count:
        try:
            # One that could not deliver is given up: what it still holds must not arrive after what is sent next.
            with Producer(settings, bootstrap) as producer:
                while sent < count:
                    end = min(limit.wait_for_more_than(sent), sent + _CHUNK, count)
                    for number in range(sent, end):
                        record = source[number]
                        header = (NUMBER_HEADER, str(number).encode())
                        producer.repeat(record.topic, record.value, key=record.key, headers=[header])
                    producer.flush()
                    sent = end
                    print(sent, flush=True)
        except StreamError as error:
            print(f"sent again from record {sent}: {error}", file=sys.stderr, flush=True)
            time.sleep(0.5)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], *map(int, sys.argv[4:]))
