"""The connector's files for those who build it with Maven."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

from gridwatch import __version__
from gridwatch.java.connector import connector_sources
from gridwatch.java.jars import lock_path, read_lock

_SPACE = {"m": "http://maven.apache.org/POM/4.0.0"}


def test_the_pom_has_the_versions_that_are_locked() -> None:
    pom = ElementTree.parse(connector_sources().parents[1] / "pom.xml").getroot()  # noqa: S314 - our own
    locked = dict(jar.coordinate.rsplit(":", 1) for name in ("kafka", "griddb") for jar in read_lock(lock_path(name)))
    wanted = {"m:version": __version__} | {
        f"m:properties/m:{name}.version": locked[artifact]
        for name, artifact in (
            ("kafka", "org.apache.kafka:connect-api"),
            ("griddb", "com.github.griddb:gridstore"),
            ("jackson", "com.fasterxml.jackson.core:jackson-databind"),
        )
    }
    assert {path: pom.findtext(path, namespaces=_SPACE) for path in wanted} == wanted
