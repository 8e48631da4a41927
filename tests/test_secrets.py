"""Secrets in the home folder: made once, private, and refused when damaged."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gridwatch.errors import ConfigError
from gridwatch.secrets import SECRET_BYTES, secret


def test_many_at_once_get_the_same_secret_in_a_private_file(tmp_path: Path) -> None:
    home = tmp_path / "new" / "home"
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: secret(home, "session"), range(16)))
    assert len(found) == 1
    assert len(found.pop()) == SECRET_BYTES
    assert secret(home, "links") != secret(home, "session")
    for path in home.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(("text", "why"), [("00ff", "it holds 2 bytes and not 32"), ("no hex", "non-hexadecimal")])
def test_a_damaged_file_is_told(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "session.secret").write_text(text)
    with pytest.raises(ConfigError, match=rf"session\.secret' cannot be read or made: .*{why}.*remove a damaged"):
        secret(tmp_path, "session")


def test_a_name_is_no_path(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"got '\.\./x'"):
        secret(tmp_path, "../x")
