"""A Java main over the connector's classes in a JVM of its own: JSON lines in, JSON lines out."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from gridwatch.java.compiler import compile_java
from gridwatch.java.connector import PLUGIN, build_connector
from gridwatch.java.jars import jars
from gridwatch.java.jre import find_java


class Jvm:
    """A JVM; use it as a context manager. A subclass names the folder of the sources beside this file and the main."""

    sources: str
    main: str

    def __enter__(self) -> Self:
        plugin = sorted((build_connector(os.environ) / PLUGIN).glob("*.jar"))
        needed = [*plugin, *jars("kafka", os.environ)]
        classes = compile_java(Path(__file__).with_name(self.sources), needed, os.environ, version=17)
        path = os.pathsep.join(map(str, [classes, *needed]))
        command = [str(find_java(os.environ)), "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", path, self.main]
        # What goes to standard error is slf4j's greeting.
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8"
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait(120)
        self._process.stdout.close()

    def say(self, asked: Mapping[str, Any]) -> Any:
        """Return the answer to one line."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())
