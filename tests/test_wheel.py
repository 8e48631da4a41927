"""The wheel, installed in an environment of its own, carries all that a project needs, and its flows run."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.timeout(1800)

ROWS = "timestamp,open,high,low,close,volume\n" + "".join(
    f"2026-01-05 {9 + minute // 60:02d}:{minute % 60:02d}:00,10,11,9,{10 + minute % 3 / 10},100\n"
    for minute in range(30, 90)
)

DATASET = """{
  "name": "pump", "symbol": "PUMP", "source": {"kind": "csv_folder", "path": "../../rows"},
  "interval": "1min", "calendar": null, "suite": "ohlcv"
}"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    [found] = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel in it; other packages are lent by the one that runs the tests."""
    folder = tmp_path_factory.mktemp("env")
    venv.create(folder, symlinks=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    uv = Path(sys.executable).with_name("uv")
    install = [uv, "pip", "install", "--offline", "--no-deps", "--quiet", "--python", folder / "bin" / "python", wheel]
    done = subprocess.run(list(map(str, install)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # At the end of the path, so that the wheel's own packages come before the editable ones of the tests.
    lent = [path for path in sys.path if path.endswith("site-packages")]
    (site / "lent.pth").write_text("\n".join(lent), encoding="utf-8")
    return folder / "bin" / "python"


def _run(python: Path, *arguments: str, cwd: Path) -> str:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("GRIDWATCH_", "PREFECT_"))}
    quiet = {"DO_NOT_TRACK": "1", "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "PREFECT_HOME": str(cwd / "prefect")}
    slow = {"PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "600"}
    done = subprocess.run(
        [str(python), *arguments],
        cwd=cwd,
        env={**environ, **quiet, **slow},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_wheel_carries_the_project_and_the_plugin(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    carried = {name.removeprefix("gridwatch/_project/") for name in names if name.startswith("gridwatch/_project/")}
    kept = {
        str(path.relative_to(ROOT))
        for top in ("flows", "expectations", "grafana", "kafka_connect/connectors")
        for path in (ROOT / top).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert carried == {*kept, "kafka_connect/griddb-sink.json", "prefect.yaml"}
    pages = {
        "static/vendor/uplot/uPlot.esm.js",
        "static/vendor/uplot/LICENSE",
        "static/chart.js",
        "templates/base.html",
    }
    assert {f"gridwatch/server/{name}" for name in pages} <= names
    assert {"gridwatch/py.typed", "mlflow_griddb/__init__.py", "gridwatch/java/locks/kafka.lock.toml"} <= names
    # What is compiled on first use.
    assert "gridwatch/containers/griddb_java/gridwatch/griddb/RowsIn.java" in names
    connector = ROOT / "kafka_connect" / "src" / "main"
    built = {str(path.relative_to(connector)) for path in connector.rglob("*") if path.is_file()}
    assert {"java/org/gridwatch/connect/GridDBSinkConnector.java"} < built
    assert built == {name.partition("/_connector/")[2] for name in names if "/_connector/" in name}


def test_a_project_from_the_wheel_runs_a_flow(python: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    where = _run(python, "-c", "import gridwatch; print(gridwatch.__file__)", cwd=tmp_path)
    assert str(python.parents[1]) in where
    command = python.with_name("gridwatch").read_text(encoding="utf-8")
    assert "from gridwatch.cli import main" in command
    assert "files written" in _run(python, str(python.with_name("gridwatch")), "init", str(project), cwd=tmp_path)
    (project / "rows").mkdir()
    (project / "rows" / "day.csv").write_text(ROWS, encoding="utf-8")
    for path in (project / "flows" / "datasets").glob("*.json"):
        path.unlink()
    (project / "flows" / "datasets" / "pump.json").write_text(DATASET, encoding="utf-8")
    # No server, no broker: Prefect's ephemeral API, and a Kafka for the duration.
    _run(python, "flows/load_batch.py", cwd=project)
    code = (
        "from gridwatch.containers import open_store\n"
        "print(open_store('sqlite:///.gridwatch/store.db').read('INTRADAY_PUMP').num_rows, 'rows')"
    )
    assert "60 rows" in _run(python, "-c", code, cwd=project)


def test_an_installed_gridwatch_builds_the_connector(python: Path, tmp_path: Path) -> None:
    where = "from gridwatch.java.connector import connector_sources; print(connector_sources())"
    assert _run(python, "-c", where, cwd=tmp_path).strip().endswith("/site-packages/gridwatch/java/_connector")
    command = [str(python.with_name("gridwatch")), "connect", "build", "--out", "plugins"]
    told = _run(python, *command, cwd=tmp_path)
    assert f"plugin.path={tmp_path / 'plugins'}\n" in told
    assert "org.gridwatch.connect.GridDBSinkConnector is in" in told
    assert list((tmp_path / "plugins").glob("gridwatch-griddb-sink/gridwatch-griddb-sink-*.jar"))
