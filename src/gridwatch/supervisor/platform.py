"""What the platform is made of: which services this configuration needs, where they listen, what they are told."""

from __future__ import annotations

import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from gridwatch.errors import ConfigError, DatasetError
from gridwatch.settings import Settings, environment
from gridwatch.supervisor.process import Command
from gridwatch.supervisor.state import ports
from gridwatch.supervisor.watch import Service

if TYPE_CHECKING:
    from gridwatch.streaming.broker import Broker

__all__ = ["WORK_POOL", "Platform", "answers", "plan", "with_addresses"]

log = structlog.get_logger(__name__)

Progress = Callable[[int, int | None], None]

WORK_POOL = "gridwatch"
"""Prefect's work pool of the deployments; no setting, since prefect.yaml names it too."""

_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Platform:
    """The services to run, the settings with their addresses filled in, and the environment of every child."""

    services: tuple[Service, ...]
    settings: Settings
    env: Mapping[str, str] = field(repr=False)
    addresses: dict[str, str]


def answers(url: str, timeout_s: float = 1.0) -> bool:
    """Whether a GET of `url` answers 200."""
    try:
        with urllib.request.urlopen(url, timeout=timeout_s) as answer:  # noqa: S310  # our own loopback addresses
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError, ValueError):
        return False


def with_addresses(settings: Settings, addresses: Mapping[str, str]) -> Settings:
    """Return the settings with each address filled in that they leave open."""
    kafka, mlflow, prefect, alerts = settings.kafka, settings.mlflow, settings.prefect, settings.alerts
    connect = settings.connect
    return settings.model_copy(
        update={
            "kafka": kafka.model_copy(update={"bootstrap_servers": kafka.bootstrap_servers or addresses.get("kafka")}),
            "connect": connect.model_copy(
                update={
                    # A worker that runs for those who do not use it is not for them.
                    "url": connect.url or (addresses.get("connect") if connect.enabled else None),
                    "store_url": connect.store_url or addresses.get("webapi"),
                }
            ),
            "mlflow": mlflow.model_copy(update={"tracking_uri": mlflow.tracking_uri or addresses.get("mlflow")}),
            "prefect": prefect.model_copy(update={"api_url": prefect.api_url or addresses.get("prefect")}),
            "alerts": alerts.model_copy(update={"handler_url": alerts.handler_url or addresses.get("handler")}),
        }
    )


def child_env(settings: Settings) -> dict[str, str]:
    """Return what every child is told: all settings, for it may work where their `.env` is not; no telemetry.

    Holds secrets in clear: for environments only, never for a command line or a file.
    """
    given = {
        **environment(settings),
        # With the default filled in: a child's home is the same, but a variable that it inherits could say otherwise.
        "GRIDWATCH_STORE_URL": settings.store,
        "MLFLOW_TRACKING_URI": settings.tracking_uri,
        "PREFECT_API_URL": settings.prefect.api_url,
    }
    quiet = {
        "DO_NOT_TRACK": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        # Profiles, database and results of this platform, never of another Prefect on the machine.
        "PREFECT_HOME": str(settings.home / "prefect"),
        "PREFECT_LOGGING_EXTRA_LOGGERS": "gridwatch",
        # Without it a log line of gridwatch outside a run is a warning.
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
        # One thread for each numerical library: several processes share the machine.
        "OPENBLAS_NUM_THREADS": os.environ.get("OPENBLAS_NUM_THREADS", "1"),
        "TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "3"),
        "PYTHONUNBUFFERED": "1",
    }
    return {**{key: value for key, value in given.items() if value is not None}, **quiet}


def plan(settings: Settings, *, project: Path, deploy: bool = True, progress: Progress | None = None) -> Platform:
    """Decide what to run for these settings; a service whose address is set is someone else's and is not started.

    Args:
        settings: As configured.
        project: Folder with `flows/` and `prefect.yaml`.
        deploy: Register the deployments of `prefect.yaml` once Prefect runs.
        progress: Told of Kafka's jars when they must be downloaded first.

    Raises:
        ConfigError: The project folder is none.
        JavaError: Kafka's jars or a Java runtime cannot be had.
    """
    if deploy and not (project / "prefect.yaml").is_file():
        raise ConfigError(f"No prefect.yaml in {str(project)!r}; run `gridwatch init DIR`, then start from there.")
    wanted: dict[str, int] = {}
    if settings.mlflow.tracking_uri is None:
        wanted["mlflow"] = 0
    if settings.prefect.api_url is None:
        wanted["prefect"] = 0
    if settings.alerts.handler_url is None:
        wanted["server"] = settings.server.port
    if settings.connect.enabled and settings.connect.url is None:
        wanted["connect"] = settings.connect.rest_port
    from gridwatch.alerts.address import url_of  # its package takes a second to import

    # Only gridwatch's own server and Connect can be told to listen elsewhere than on loopback.
    bound = {"server": settings.server.host, "connect": settings.connect.rest_host}
    port = ports(settings.home, wanted, bound)
    addresses = {
        name: url_of(bound.get(service, _LOOPBACK), port[service]) + path
        for service, name, path in (
            ("mlflow", "mlflow", ""),
            ("prefect", "prefect", "/api"),
            ("server", "handler", "/trigger"),
            ("connect", "connect", ""),
        )
        if service in port
    }
    if settings.connect.enabled and "handler" in addresses and settings.store.startswith("sqlite:"):
        from gridwatch.streaming.connect_files import served_url

        addresses["webapi"] = served_url(addresses["handler"].removesuffix("/trigger"), settings.server.cluster)
    broker = _broker(settings, progress)
    if broker is not None:
        addresses["kafka"] = broker.bootstrap_servers
        # Ours listens on loopback without a login; one that is set for another cluster is not for it.
        plain = settings.kafka.model_copy(update={"security_protocol": "PLAINTEXT"})
        settings = settings.model_copy(update={"kafka": plain})
    told = with_addresses(settings, addresses)
    env = child_env(told)

    def command(*argv: str, **more: str) -> Callable[[], Command]:
        # Prefect finds flows from the project.
        folder = project if argv[1] == "prefect" else None
        return lambda: Command((sys.executable, *argv), {**env, **more}, folder)

    services = [_kafka(broker)] if broker is not None and not broker.healthy() else []
    if "mlflow" in port:
        backend = settings.tracking_uri
        services.append(_mlflow(command, port["mlflow"], backend, settings.mlflow.artifact_root, addresses["mlflow"]))
    services.extend(_prefect(command, port.get("prefect"), str(told.prefect.api_url), deploy=deploy))
    services.extend(_own(command, told, port, addresses.get("handler"), {s.name for s in services}))
    if _retains(told):
        services.append(Service("upkeep", command("-m", "gridwatch.cli", "upkeep", "--json"), once=True))
    return Platform(tuple(services), told, env, addresses)


def _retains(settings: Settings) -> bool:
    """Tell whether something is kept for some time only; a wrong dataset file is told by those who work with it."""
    from gridwatch.sources import load_datasets
    from gridwatch.upkeep import wants_upkeep

    try:
        datasets = load_datasets(settings.datasets_dir) if settings.datasets_dir.is_dir() else []
    except DatasetError as error:
        log.warning("upkeep_left_out", error=str(error))
        return False
    return wants_upkeep(settings, datasets)


def _broker(settings: Settings, progress: Progress | None) -> Broker | None:
    """Return our own broker, ready to be started, or None when an external cluster is configured."""
    if settings.kafka.bootstrap_servers:
        return None
    from gridwatch.streaming.broker import Broker

    broker = Broker(settings, progress=progress)
    # One that `gridwatch kafka` keeps running is used as it is; preparing it again would move its port.
    if not broker.healthy():
        broker.prepare()
    return broker


def _kafka(broker: Broker) -> Service:
    def command() -> Command:
        return Command(*broker.command())

    return Service(
        "kafka",
        command,
        address=broker.bootstrap_servers,
        healthy=broker.healthy,
        spawned=broker.adopt,
        stop_timeout_s=20,
    )


def _own(
    command: _Commander, settings: Settings, port: Mapping[str, int], url: str | None, there: set[str]
) -> list[Service]:
    """The sink or Connect, the handler with its inbox and pages, the relay: our own commands in the foreground."""
    cli = ("-m", "gridwatch.cli")
    kafka = tuple(there & {"kafka"})
    server = ("server",) if "server" in port else ()
    services = []
    if not settings.connect.enabled:
        services.append(Service("sink", command(*cli, "sink"), needs=kafka))
    if server:
        serve = command(*cli, "serve", "--host", settings.server.host, "--port", str(port["server"]))
        base = str(url).removesuffix("/trigger")
        services.append(Service("server", serve, address=base, healthy=lambda: answers(f"{base}/healthz")))
    if settings.connect.enabled:
        services.append(_connect(command, settings, port.get("connect"), needs=(*kafka, *server)))
    services.append(Service("relay", command(*cli, "relay"), needs=server))
    return services


def _connect(command: _Commander, settings: Settings, port: int | None, *, needs: tuple[str, ...]) -> Service:
    """Kafka Connect: our own worker on this port, or only its connectors where there is a cluster of one's own."""
    # Its own worker is not to be taken for a cluster of somebody's.
    own = {"GRIDWATCH_CONNECT__URL": "", "GRIDWATCH_CONNECT__REST_PORT": str(port)} if port is not None else {}

    def healthy() -> bool:
        from gridwatch.streaming.connect_running import read_running

        # That its workers answer is its own business: it starts them again by itself.
        running = read_running(settings.home)
        return running is not None and running.alive and bool(running.url)

    return Service(
        "connect",
        command("-m", "gridwatch.cli", "connect", "up", "--foreground", **own),
        address=settings.connect.url,
        healthy=healthy,
        needs=needs,
        start_timeout_s=480,
        stop_timeout_s=45,
    )


_Commander = Callable[..., Callable[[], Command]]


def _mlflow(command: _Commander, port: int, backend: str, root: str, url: str) -> Service:
    argv = ("-m", "gridwatch.supervisor.mlflow_server", "--port", str(port), "--backend", backend)
    return Service(
        "mlflow", command(*argv, "--artifact-root", root), address=url, healthy=lambda: answers(f"{url}/health")
    )


def _prefect(command: _Commander, port: int | None, url: str, *, deploy: bool) -> list[Service]:
    services = []
    if port is not None:
        services.append(
            Service(
                "prefect",
                command("-m", "prefect", "server", "start", "--host", _LOOPBACK, "--port", str(port)),
                address=url.removesuffix("/api"),
                healthy=lambda: answers(f"{url}/health"),
            )
        )
    needs = ("prefect",) if services else ()
    worker = ("worker", "start", "--pool", WORK_POOL, "--type", "process", "--install-policy", "never")
    # It makes the work pool that the deployments name; only then can they be registered.
    services.append(
        Service(
            "worker",
            command("-m", "prefect", *worker),
            healthy=lambda: answers(f"{url}/work_pools/{WORK_POOL}"),
            needs=needs,
            stop_timeout_s=4,
        )
    )
    if deploy:
        services.append(
            Service("deploy", command("-m", "prefect", "--no-prompt", "deploy", "--all"), needs=("worker",), once=True)
        )
    return services
