"""The checks of `gridwatch doctor`: each looks at one thing and says what to do about it."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, SecretStr

from gridwatch.errors import GridwatchError
from gridwatch.settings import Settings

__all__ = ["Check", "checkup"]

_DISK_FREE_MIN = 2 * 1024**3


@dataclass(frozen=True)
class Check:
    """What was looked at and found.

    Args:
        name: What was looked at.
        state: ok; missing is not there, but nobody asked for it; bad is asked for and not there, or wrong.
        found: What was found.
        advice: What to do, where there is something to do.
    """

    name: str
    state: Literal["ok", "missing", "bad"]
    found: str
    advice: str = ""


def checkup(settings: Settings) -> list[Check]:
    """Look at everything; a check that fails is a finding, never an end."""
    checks = [_settings(settings), _python(), _disk(settings)]
    looks: tuple[tuple[str, Callable[[Settings], Check]], ...] = (
        ("java", _java),
        ("store", _store),
        ("kafka", _kafka),
        ("connect", _connect),
        ("mlflow", _mlflow),
        ("prefect", _prefect),
        ("handler", _handler),
        ("mail", _mail),
        ("jobs", _jobs),
    )
    for name, look in looks:
        try:
            checks.append(look(settings))
        except GridwatchError as error:
            checks.append(Check(name, "bad", " ".join(str(error).split())))
    return [*checks, *_datasets(settings)]


def changed(model: BaseModel, prefix: str = "GRIDWATCH_") -> Iterator[tuple[str, str]]:
    """Give each setting that is not at its default, and its value; secrets masked."""
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from changed(value, f"{prefix}{name.upper()}__")
        elif value != field.get_default(call_default_factory=True) and name != "home":
            yield f"{prefix}{name.upper()}", "****" if isinstance(value, SecretStr) else _shown(str(value))


def _settings(settings: Settings) -> Check:
    env = Path(".env")
    found = "; ".join(f"{name}={value}" for name, value in changed(settings)) or "all at their defaults"
    source = "environment and .env" if env.is_file() else "environment; no .env here"
    return Check("settings", "ok", f"home {settings.home} ({source}); {found}")


def _python() -> Check:
    return Check("python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}")


def _disk(settings: Settings) -> Check:
    place = next(path for path in (settings.home, *settings.home.parents) if path.exists())
    free = shutil.disk_usage(place).free
    text = f"{free / 1024**3:.1f} GiB free at {place}"
    if not os.access(place, os.W_OK):
        return Check("disk", "bad", f"{place} cannot be written", "set GRIDWATCH_HOME to a folder of yours")
    return Check("disk", "ok" if free > _DISK_FREE_MIN else "bad", text, "" if free > _DISK_FREE_MIN else "free some")


def _java(_: Settings) -> Check:
    from gridwatch.java.jre import find_java

    return Check("java", "ok", str(find_java(os.environ)))


def _store(settings: Settings) -> Check:
    path = Path(settings.store.removeprefix("sqlite:///"))
    if settings.store.startswith("sqlite:") and not path.exists():
        return Check("store", "missing", f"{path} is not there yet", "`gridwatch load` or `gridwatch up` makes it")
    from gridwatch.containers import open_store
    from gridwatch.containers._sqlite_format import FORMAT_VERSION
    from gridwatch.containers.griddb import GridDBStore

    # One of an older format is brought up to this, one of a newer is refused.
    version = f", format {FORMAT_VERSION}" if settings.store.startswith("sqlite:") else ""
    with open_store(settings.store, settings=settings) as store:
        names = store.containers()
        if isinstance(store, GridDBStore):
            version = ", GridDB {}.{}".format(*store.server_version)
    return Check("store", "ok", f"{settings.store}: {len(names)} containers{version}")


def _kafka(settings: Settings) -> Check:
    from gridwatch.streaming import Broker
    from gridwatch.streaming.clients import admin

    servers = settings.kafka.bootstrap_servers
    if servers is None:
        if Broker(settings).healthy():
            return Check("kafka", "ok", f"own broker at {Broker(settings).bootstrap_servers}")
        return Check("kafka", "missing", "no broker runs", "`gridwatch up` starts one; a load starts one for itself")
    with admin(settings, servers) as client:
        client.describe_cluster()
    return Check("kafka", "ok", servers)


def _connect(settings: Settings) -> Check:
    if not settings.connect.enabled and settings.connect.url is None:
        return Check("connect", "missing", "not used: rows go through gridwatch's own sink")
    from gridwatch.cli._connect_report import connect_report, failures

    report = connect_report(settings, timeout_s=5)
    if report["error"] is not None:
        started = settings.connect.url is not None
        return Check("connect", "bad" if started else "missing", report["error"], "`gridwatch up` starts it")
    failed = failures(report)
    if failed:
        return Check("connect", "bad", "; ".join(failed), "mend it, then `gridwatch connect restart`")
    connectors, tasks = len(report["connectors"]), sum(len(one["tasks"]) for one in report["connectors"])
    said = f"{connectors} connector{'' if connectors == 1 else 's'}; {tasks} task{' runs' if tasks == 1 else 's run'}"
    return Check("connect", "ok", f"{report['url']}: {said}")


def _mlflow(settings: Settings) -> Check:
    from gridwatch.supervisor.platform import answers

    uri = settings.mlflow.tracking_uri
    if uri is None:
        return Check("mlflow", "missing", f"no server; runs go to {settings.tracking_uri}", "`gridwatch up` starts one")
    if not uri.startswith("http"):
        return Check("mlflow", "ok", _shown(uri))
    if answers(f"{uri.rstrip('/')}/health", 5):
        return Check("mlflow", "ok", _shown(uri))
    return Check("mlflow", "bad", f"{_shown(uri)} does not answer", "start it, or unset GRIDWATCH_MLFLOW__TRACKING_URI")


def _prefect(settings: Settings) -> Check:
    from gridwatch.supervisor.platform import answers

    url = settings.prefect.api_url
    if url is None:
        return Check("prefect", "missing", "no server", "`gridwatch up` starts one; flows also run without")
    if answers(f"{url.rstrip('/')}/health", 5):
        return Check("prefect", "ok", _shown(url))
    return Check("prefect", "bad", f"{_shown(url)} does not answer", "start it, or unset GRIDWATCH_PREFECT__API_URL")


def _handler(settings: Settings) -> Check:
    from gridwatch.alerts.address import handler_url
    from gridwatch.supervisor.platform import answers

    url = handler_url(settings)
    base = url.split("/trigger")[0]
    if answers(f"{base}/healthz", 5):
        return Check("handler", "ok", url.split("/trigger")[0] + "/trigger")
    if settings.alerts.handler_url is None:
        return Check("handler", "missing", "not running; anomalies wait for it", "`gridwatch up` or `gridwatch serve`")
    return Check("handler", "bad", f"{base} does not answer", "start it, or unset GRIDWATCH_ALERTS__HANDLER_URL")


def _mail(settings: Settings) -> Check:
    if settings.sendgrid.api_key:
        if not settings.alerts.recipients:
            advice = "datasets that name no recipients tell nobody; set GRIDWATCH_ALERTS__RECIPIENTS"
            return Check("mail", "ok", f"SendGrid, from {settings.sendgrid.sender}", advice)
        return Check("mail", "ok", f"SendGrid, from {settings.sendgrid.sender}")
    return Check("mail", "missing", "no SendGrid key: mails stay in the local inbox", "set GRIDWATCH_SENDGRID__API_KEY")


def _jobs(settings: Settings) -> Check:
    from gridwatch.cli._jobs_report import jobs_report

    report = jobs_report(settings)
    if report is None:
        return Check("jobs", "missing", "none", "docs/jobs.md, if you come from Elasticsearch's")
    if report.wrong:
        said = "; ".join(f"{who}: {why}" for who, why in report.wrong)
        return Check("jobs", "bad", said, "`gridwatch jobs show ID` has the messages")
    said = f"{report.jobs} jobs, {report.opened} open; {report.started} datafeeds and transforms started"
    if report.started and not settings.jobs.run_feeds:
        return Check("jobs", "ok", said, "no server runs them: GRIDWATCH_JOBS__RUN_FEEDS is false")
    return Check("jobs", "ok", said)


def _shown(url: str) -> str:
    """Return an address without the user and password that it may carry; other text as it is."""
    scheme, mark, rest = url.partition("://")
    return f"{scheme}{mark}{rest.rpartition('@')[2]}" if mark else url


def _datasets(settings: Settings) -> list[Check]:
    from gridwatch.sources import load_datasets

    try:
        found = load_datasets(settings.datasets_dir)
    except GridwatchError as error:
        return [Check("datasets", "bad", str(error))]
    checks = []
    lines = _scheduled()
    for dataset in found:
        suite = settings.expectations_dir / f"{dataset.suite}.json"
        problems = [] if suite.is_file() else [f"its suite {suite} is missing"]
        wanted = {stage: getattr(dataset.schedule, stage) for stage in ("ingest", "detect", "train")}
        if lines is not None:
            zone = dataset.schedule.timezone
            gone = [f"{stage} {cron!r}" for stage, cron in wanted.items() if (cron, zone) not in lines.get(stage, ())]
            problems += [f"no schedule in prefect.yaml runs {', '.join(gone)} in {zone}"] if gone else []
        if getattr(dataset.source, "kind", "") == "alpha_vantage" and settings.alpha_vantage.api_key is None:
            checks.append(
                Check(f"dataset {dataset.name}", "missing", "no API key", "set GRIDWATCH_ALPHA_VANTAGE__API_KEY")
            )
        elif problems:
            checks.append(Check(f"dataset {dataset.name}", "bad", "; ".join(problems), "see docs/datasets.md"))
        else:
            checks.append(Check(f"dataset {dataset.name}", "ok", f"{dataset.source.kind} to {dataset.container}"))
    return checks


def _scheduled() -> dict[str, set[tuple[str, str]]] | None:
    """Return the cron lines of prefect.yaml with their zones by stage, or None where there is no such file."""
    import yaml

    path = Path("prefect.yaml")
    if not path.is_file():
        return None
    raw: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    stages = {"ingest-daily": "ingest", "detect": "detect", "train": "train"}
    return {
        stages[one["name"]]: {
            (schedule["cron"], schedule.get("timezone", "UTC"))  # Prefect's own default
            for schedule in one.get("schedules", [])
            if "cron" in schedule
        }
        for one in raw.get("deployments", [])
        if one.get("name") in stages
    }
