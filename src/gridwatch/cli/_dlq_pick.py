"""Which dead letters a command is about, and what is changed in them."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gridwatch.cli._output import Progress
from gridwatch.errors import ConfigError

if TYPE_CHECKING:
    from gridwatch.settings import Settings
    from gridwatch.streaming.dead_letter_fix import Fix
    from gridwatch.streaming.dead_letters import DeadLetter, Place

__all__ = ["Lines", "Picker", "edit", "fix_of", "picker"]

_AGO = re.compile(r"(\d+)\s*(s|min|m|h|d|w)")
_UNIT_MS = {"s": 1_000, "m": 60_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


@dataclass(frozen=True, slots=True)
class Picker:
    """Picks dead letters.

    Args:
        places: These, or
        within: all of these dead-letter topics; empty: of all that end in `.dlq`.
        topics: Of records that were for these topics only; empty: for any.
        reason: A regular expression that the reason has to match.
        since_ms: Not older than this, epoch ms.
    """

    places: tuple[Place, ...] = ()
    within: tuple[str, ...] = ()
    topics: frozenset[str] = frozenset()
    reason: re.Pattern[str] | None = None
    since_ms: int | None = None

    def letters(self, settings: Settings, bootstrap: str, progress: Progress | None = None) -> Iterator[DeadLetter]:
        """Give the letters, as a stream.

        Raises:
            MissingServiceError: Kafka does not answer.
            StreamError: It stops answering, or one of `places` is not there.
        """
        from gridwatch.streaming.dead_letter_reader import dead_letter_topics, fetch_dead_letters, read_letters

        found: Iterable[DeadLetter]
        if self.places:
            found = fetch_dead_letters(settings, bootstrap, self.places)
        else:
            names = self.within or dead_letter_topics(settings, bootstrap)
            found = read_letters(settings, bootstrap, names, progress=progress)
        return (letter for letter in found if self.wants(letter))

    def wants(self, letter: DeadLetter) -> bool:
        """Tell whether a letter passes the filters."""
        return (
            (not self.topics or letter.topic in self.topics)
            and (self.since_ms is None or letter.written_ms >= self.since_ms)
            and (self.reason is None or self.reason.search(letter.reason) is not None)
        )


def picker(
    *,
    now_ms: int,
    places: Iterable[str] | None = None,
    within: Iterable[str] | None = None,
    topics: Iterable[str] | None = None,
    reason: str | None = None,
    since: str | None = None,
) -> Picker:
    """Return a picker from what was given on the command line.

    Raises:
        ConfigError: A place, an expression or a time cannot be read.
    """
    from gridwatch.streaming.dead_letters import Place

    try:
        pattern = re.compile(reason) if reason is not None else None
    except re.error as error:
        raise ConfigError(f"--reason {reason!r} is no regular expression: {error}.") from error
    return Picker(
        places=tuple(Place.parse(text) for text in places or ()),
        within=tuple(within or ()),
        topics=frozenset(topics or ()),
        reason=pattern,
        since_ms=None if since is None else _since_ms(since, now_ms),
    )


def _since_ms(text: str, now_ms: int) -> int:
    """Return the epoch ms of a time, or of so long ago.

    >>> _since_ms("2h", 10_000_000), _since_ms("1970-01-01T00:00:05Z", 0)
    (2800000, 5000)
    """
    ago = _AGO.fullmatch(text.strip())
    if ago:
        return now_ms - int(ago[1]) * _UNIT_MS[ago[2]]
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise ConfigError(
            f"--since {text!r} is no time; write 30min, 2h, 3d or 2024-07-01T09:30 (UTC unless it says otherwise)."
        ) from error
    return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000)


def fix_of(
    sets: Iterable[str] | None,
    drops: Iterable[str] | None,
    renames: Iterable[str] | None,
    time_fields: Iterable[str] | None,
    time_pattern: str | None,
    time_zone: str | None,
) -> Fix:
    """Return the changes that the options ask for.

    Raises:
        ConfigError: One cannot be read.
    """
    from gridwatch.streaming import TimeFormat
    from gridwatch.streaming.dead_letter_fix import Fix

    times = TimeFormat(time_pattern, time_zone or "UTC") if time_pattern or time_zone or time_fields else None
    return Fix(
        renames=tuple(_pair("--rename", "OLD=NEW", text) for text in renames or ()),
        drops=tuple(drops or ()),
        sets=tuple((name, _json(text)) for name, text in (_pair("--set", "FIELD=VALUE", one) for one in sets or ())),
        times=times,
        time_fields=tuple(time_fields or ("ts",)),
    )


def _pair(option: str, form: str, text: str) -> tuple[str, str]:
    name, mark, value = text.partition("=")
    if not mark or not name:
        raise ConfigError(f"{option} {text!r} is not of the form {form}.")
    return name, value


def _json(text: str) -> Any:
    """Return a value of the command line: JSON where it is JSON, else the text itself."""
    try:
        return json.loads(text, parse_constant=str)
    except ValueError:
        return text


class Lines:
    """A file of letters as lines of JSON; only where each line begins is kept in memory.

    Args:
        path: As `gridwatch dlq show --json` writes it.

    Raises:
        ConfigError: It cannot be read, or a line is none; names the line.
    """

    def __init__(self, path: Path) -> None:
        from gridwatch.streaming.dead_letter_text import place_of_line

        self._path = path
        self._begins: dict[Place, tuple[int, int]] = {}
        try:
            with path.open("rb") as lines:
                begin = 0
                for number, line in enumerate(lines, 1):
                    if line.strip():
                        place = place_of_line(self._read(line, number))
                        if place in self._begins:
                            raise ConfigError(f"{path}, line {number}: letter {place} stands here twice.")
                        self._begins[place] = begin, number
                    begin += len(line)
        except OSError as error:
            raise ConfigError(f"Cannot read {str(path)!r}: {error.strerror}.") from error

    @property
    def places(self) -> tuple[Place, ...]:
        """The letters, in the order of the lines."""
        return tuple(self._begins)

    def __getitem__(self, place: Place) -> dict[str, Any]:
        begin, number = self._begins[place]
        with self._path.open("rb") as lines:
            lines.seek(begin)
            return self._read(lines.readline(), number)

    def _read(self, line: bytes, number: int) -> dict[str, Any]:
        from gridwatch.streaming.dead_letter_text import read_line

        try:
            return read_line(line.decode())
        except (ConfigError, UnicodeDecodeError) as error:
            raise ConfigError(f"{self._path}, line {number}: {error}") from error


def edit(letters: Iterable[DeadLetter], editor: str | None) -> Lines | None:
    """Let a person change letters in their editor; None when nothing was left or there was nothing.

    Lines that are taken out stay in the dead letters. The file is kept when a line cannot be read.

    Args:
        letters: Which.
        editor: Command line of the editor; None: vi.

    Raises:
        ConfigError: The editor fails, or a line is wrong; names the file, to go on with `--from`.
    """
    from gridwatch.streaming.dead_letter_text import document_of

    # `mkstemp` makes it for its owner alone: it holds whatever the records hold.
    handle, name = tempfile.mkstemp(prefix="gridwatch-dlq-", suffix=".ndjson")
    path, count = Path(name), 0
    with os.fdopen(handle, "w", encoding="utf-8") as out:
        for letter in letters:
            out.write(json.dumps(document_of(letter)) + "\n")
            count += 1
    if not count:
        path.unlink()
        return None
    try:
        done = subprocess.run([*shlex.split(editor or "vi"), name], check=False)
    except (OSError, ValueError) as error:
        path.unlink()
        raise ConfigError(f"Cannot run the editor {editor or 'vi'!r}: {error}. Set EDITOR.") from error
    if done.returncode:
        raise ConfigError(f"The editor ended with status {done.returncode}; nothing was sent. Your letters: {name}")
    try:
        lines = Lines(path)
    except ConfigError as error:
        raise ConfigError(f"{error} Mend it, and go on with --from {name}") from error
    if not lines.places:
        path.unlink()
        return None
    return lines
