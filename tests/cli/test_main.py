"""The command line itself: how fast it answers, how errors are told, what help teaches."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gridwatch.cli import app as root

COMMANDS = (
    *("demo", "init", "doctor", "up", "down", "status", "load", "ingest", "validate", "anomalies"),
    *("train", "detect", "models", "compare", "evaluate", "serve", "relay", "sink", "kafka", "bench"),
    *("jobs", "datafeeds", "transforms", "samples", "backup", "restore", "upkeep"),
)
GROUPS = ("kafka", "jobs", "datafeeds", "transforms")


def run(*arguments: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gridwatch.cli", *arguments],
        env={**os.environ, "GRIDWATCH_HOME": str(cwd / "home"), "COLUMNS": "200", **environ},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_help_names_every_command(tmp_path: Path) -> None:
    done = run("--help", cwd=tmp_path)
    assert done.returncode == 0
    shown = {words[1] for line in done.stdout.splitlines() if len(words := line.split()) > 2 and words[0] == "│"}
    assert shown >= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_teaches_by_example(command: str) -> None:
    from typer.main import get_command

    from gridwatch.cli.app import app

    found = get_command(app).commands[command]  # type: ignore[attr-defined]
    assert found.help
    examples = [found.epilog] if command not in GROUPS else [sub.epilog for sub in found.commands.values()]
    assert all(text and f"gridwatch {command}" in text for text in examples)


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    heavy = {"pandas", "pyarrow", "mlflow", "prefect", "tensorflow", "great_expectations", "kafka", "flask", "numpy"}
    code = (
        "import sys\nfrom gridwatch.cli.app import app\n"
        "try:\n    app(['--help'])\nexcept SystemExit:\n    pass\n"
        f"print(sorted({heavy!r} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stderr.strip() == "[]"


def test_a_configuration_error_is_one_line_and_status_2(tmp_path: Path) -> None:
    done = run("load", "aapl_daily", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: No dataset folder 'flows/datasets'")
    assert done.stderr.count("\n") == 1


def test_a_wrong_setting_is_told_without_its_value(tmp_path: Path) -> None:
    done = run("anomalies", cwd=tmp_path, GRIDWATCH_STORE_URL="griddb://me:hunter2@host:1/c/d")
    assert done.returncode == 2
    assert "GRIDWATCH_STORE_URL" in done.stderr
    assert "hunter2" not in done.stderr


def test_verbose_shows_the_traceback(tmp_path: Path) -> None:
    done = run("--verbose", "load", cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" in done.stderr


def test_a_wrong_option_is_status_2(tmp_path: Path) -> None:
    done = run("load", "--years", "3", cwd=tmp_path)
    assert done.returncode == 2
    assert "No such option: --years" in done.stderr


def test_a_defect_is_told_in_one_line_and_logged_in_full(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "run").write_text("a file where a folder belongs", encoding="utf-8")
    done = run("down", cwd=tmp_path)
    assert done.returncode == 0  # nothing was ever started: nothing to stop
    code = "import sys\nfrom gridwatch.cli import app as module\nmodule.app = lambda: 1 / 0\nmodule.main()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "GRIDWATCH_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    log = tmp_path / "home" / "logs" / "cli.log"
    assert done.returncode == 1
    assert done.stderr == f"error: ZeroDivisionError: division by zero (traceback in {log})\n"
    assert "Traceback" in log.read_text(encoding="utf-8")


def test_a_full_disk_is_told_without_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GRIDWATCH_HOME", str(tmp_path))
    monkeypatch.setattr(root, "app", lambda: Path("/dev/full").write_text("x"))
    with pytest.raises(SystemExit, match="1"):
        root.main()
    said = capsys.readouterr().err
    assert said == "error: The disk says: No space left on device. Free some space, and run this again.\n"
    assert not (tmp_path / "logs").exists(), "it is nobody's mistake"


def test_version(tmp_path: Path) -> None:
    from importlib.metadata import version

    assert run("--version", cwd=tmp_path).stdout == f"gridwatch {version('gridwatch')}\n"


def test_status_without_a_platform(tmp_path: Path) -> None:
    done = run("status", cwd=tmp_path)
    assert done.returncode == 1
    assert "Nothing was ever started" in done.stdout
    assert json.loads(run("status", "--json", cwd=tmp_path).stdout) == {"running": False, "services": []}


def test_up_wants_a_project(tmp_path: Path) -> None:
    done = run("up", cwd=tmp_path)
    assert done.returncode == 2
    assert "No prefect.yaml in" in done.stderr
    assert "gridwatch init DIR" in done.stderr


def test_anomalies_of_an_empty_store(tmp_path: Path) -> None:
    assert run("anomalies", cwd=tmp_path).stdout == "No anomalies.\n"
    assert json.loads(run("anomalies", "--json", cwd=tmp_path).stdout) == []


def test_off_a_terminal_logs_are_json_lines(tmp_path: Path) -> None:
    code = (
        "import structlog\nfrom gridwatch.cli._logging import configure\nconfigure()\n"
        "structlog.get_logger('x').info('rows_written', rows=3)\nstructlog.get_logger('x').debug('unseen')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    event = json.loads(done.stderr)
    assert (event["event"], event["rows"], event["level"]) == ("rows_written", 3, "info")
    assert done.stdout == ""


_LOGS = (
    "import sys, structlog\nfrom gridwatch.cli import _context\nfrom gridwatch.cli._logging import configure\n"
    "sys.stderr.isatty = lambda: TERMINAL\n_context.state.verbose = VERBOSE\nconfigure()\n_context.settings()\n"
    "for level in ('debug', 'info', 'warning', 'error'): getattr(structlog.get_logger('x'), level)(level + '_event')"
)


@pytest.mark.parametrize(
    ("line", "terminal", "verbose", "first"),
    [("", False, False, "info"), ("", True, False, "warning"), ("GRIDWATCH_LOG_LEVEL=ERROR", False, False, "error"),
     ("GRIDWATCH_LOG_LEVEL=INFO", True, False, "info"), ("GRIDWATCH_LOG_LEVEL=ERROR", False, True, "debug")],
)  # fmt: skip
def test_the_level_of_a_dotenv_file_counts(
    tmp_path: Path, line: str, terminal: bool, verbose: bool, first: str
) -> None:
    (tmp_path / ".env").write_text(line, encoding="utf-8")
    code = _LOGS.replace("TERMINAL", str(terminal)).replace("VERBOSE", str(verbose))
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GRIDWATCH_")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environ, capture_output=True, text=True, check=True
    )
    levels = ("debug", "info", "warning", "error")
    assert [one for one in levels if f"{one}_event" in done.stderr] == list(levels[levels.index(first) :])
