"""The `gridwatch` script: finds a Python, makes the environment once, and syncs again when the lock changes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

FAKE_PYTHON = """#!/bin/sh
case "$*" in
    *"import ensurepip"*) exit ${NO_ENSUREPIP:-0} ;;
    *sys.version_info*) [ -n "${OLD_PYTHON:-}" ] && exit 1; echo 3.11 ;;
    -V) echo "Python 3.11.9" ;;
    "-m venv "*) mkdir -p "$3/bin"; cp "$0" "$3/bin/python" ;;
    *"pip install"*) echo '#!/bin/sh
echo "uv $*" >>"$(dirname "$0")/calls"; [ -z "${UV_FAILS:-}" ]' >"$(dirname "$0")/uv"; chmod +x "$(dirname "$0")/uv"
        echo '#!/bin/sh
echo "cli $*"' >"$(dirname "$0")/gridwatch"; chmod +x "$(dirname "$0")/gridwatch" ;;
esac
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with the script, a lock file, and a stand-in for Python that makes an environment of stand-ins."""
    shutil.copy(ROOT / "gridwatch", tmp_path / "gridwatch")
    (tmp_path / "requirements.lock").write_text("six==1 --hash=sha256:0\n")
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("sh", "dirname", "cat", "cmp", "cp", "mkdir", "rm", "sleep", "chmod", "env"):
        (tools / tool).symlink_to(shutil.which(tool) or pytest.skip(f"no {tool} on this machine"))
    (tools / "python3.11").write_text(FAKE_PYTHON)
    (tools / "python3.11").chmod(0o755)
    return tmp_path


def run(project: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [project / "gridwatch", *arguments],
        env={"PATH": str(project / "tools"), **environ},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def calls(project: Path) -> list[str]:
    return (project / ".venv" / "bin" / "calls").read_text().splitlines()


def test_first_use_makes_the_environment_and_hands_the_arguments_on(project: Path) -> None:
    done = run(project, "anomalies", "--json")
    assert done.stdout == "cli anomalies --json\n"
    assert "making a private environment" in done.stderr
    assert any("pip sync" in call and "--require-hashes" in call for call in calls(project))


def test_second_use_installs_nothing(project: Path) -> None:
    run(project)
    before = calls(project)
    assert run(project, "status").stdout == "cli status\n"
    assert calls(project) == before


def test_an_environment_named_from_here_is_found_in_the_root_too(project: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = subprocess.run(
        [project / "gridwatch", "test"],
        cwd=elsewhere,
        env={"PATH": str(project / "tools"), "GRIDWATCH_ENV": "mine"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (elsewhere / "mine" / "bin" / "calls").is_file()


def test_a_changed_lock_is_synced_again(project: Path) -> None:
    run(project)
    before = len(calls(project))
    (project / "requirements.lock").write_text("six==2 --hash=sha256:0\n")
    run(project)
    assert len(calls(project)) == 2 * before


def test_an_interrupted_sync_is_done_again(project: Path) -> None:
    failed = run(project, UV_FAILS="1")
    assert failed.returncode != 0
    assert not (project / ".venv.lock").exists()
    assert run(project, "status").stdout == "cli status\n"


def test_no_fitting_python_is_told(project: Path) -> None:
    done = run(project, OLD_PYTHON="1")
    assert done.returncode == 1
    assert "needs Python 3.11, 3.12 or 3.13" in done.stderr


def test_missing_ensurepip_names_the_debian_package(project: Path) -> None:
    done = run(project, NO_ENSUREPIP="1")
    assert done.returncode == 1
    assert "apt-get install python3.11-venv" in done.stderr


def test_a_lock_left_by_a_dead_run_is_taken_over(project: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (project / ".venv.lock").mkdir()
    (project / ".venv.lock" / "pid").write_text(str(dead.pid))
    assert run(project, "status").stdout == "cli status\n"


def test_a_second_start_waits_for_the_first(project: Path) -> None:
    (project / ".venv.lock").mkdir()
    (project / ".venv.lock" / "pid").write_text(str(os.getpid()))
    waiting = subprocess.Popen(
        [project / "gridwatch", "status"],
        env={"PATH": str(project / "tools")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert waiting.stderr is not None
    assert "waiting for it" in waiting.stderr.readline()
    time.sleep(0.2)
    assert waiting.poll() is None
    shutil.rmtree(project / ".venv.lock")
    output, _ = waiting.communicate(timeout=240)
    assert output == "cli status\n"
