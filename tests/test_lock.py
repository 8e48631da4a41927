"""`requirements.lock` pins all that pyproject.toml asks for, by hash and without an address."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
ASKED = PROJECT["project"]["dependencies"] + PROJECT["dependency-groups"]["dev"]


def pins() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", LOCK, re.MULTILINE):
        found.setdefault(canonicalize_name(name), []).append(version)
    return found


@pytest.mark.parametrize("text", ASKED)
def test_what_is_asked_for_is_locked(text: str) -> None:
    wanted = Requirement(text)
    versions = pins().get(canonicalize_name(wanted.name), [])
    assert versions, f"{wanted.name} is not in requirements.lock; make it anew with `uv export` (docs/development.md)"
    assert all(wanted.specifier.contains(version) for version in versions)


def test_each_pin_has_a_hash() -> None:
    blocks = re.split(r"^(?=[A-Za-z0-9])", LOCK, flags=re.MULTILINE)[1:]
    assert [block.splitlines()[0] for block in blocks if "--hash=sha256:" not in block] == []


def test_no_address() -> None:
    assert re.findall(r"\w+://\S+|--(?:extra-)?index\S*|--find-links\S*", LOCK) == []
