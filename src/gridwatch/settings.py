"""One Settings class: read at the edge (flows and CLI), checked at start, passed in everywhere else.

Every key is an environment variable with the prefix `GRIDWATCH_`, nested groups joined by `__`
(`GRIDWATCH_KAFKA__BOOTSTRAP_SERVERS`), or a line of `.env`.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal, get_origin
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, DotEnvSettingsSource, SettingsConfigDict

from gridwatch.errors import ConfigError
from gridwatch.recipients import wants

__all__ = ["RECORD_BYTES_MAX", "Settings", "environment", "load_settings"]

_PREFIX = "GRIDWATCH_"

SECRET_CHARACTERS_MIN = 16
"""Fewest characters of a token: 16 hexadecimal ones are 64 bits, out of reach of guesses over a network."""

RECORD_BYTES_MAX = 1 << 20
"""Kafka's own limit of a record, which topics have that say nothing else."""


def _without_password(url: str) -> str:
    if urlsplit(url).password or "@" in urlsplit(url).netloc:
        msg = "must not carry a user or password; set GRIDWATCH_GRIDDB__USER and GRIDWATCH_GRIDDB__PASSWORD instead"
        raise ValueError(msg)
    return url


def _web_address(url: str | None) -> str | None:
    found = _posted_to(url)
    return None if found is None else found.rstrip("/")


def _posted_to(url: str | None) -> str | None:
    # As it stands: to many servers an address with a slash at its end is another one.
    if url is None or not url.strip():
        return None
    parts = urlsplit(url.strip())
    if "@" in parts.netloc:
        msg = "must not carry a user or password, which pages, mails, logs and errors would show"
        raise ValueError(msg)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        msg = "must be an address such as http://connect:8083"
        raise ValueError(msg)
    return url.strip()


def _network(text: str) -> str:
    ip_network(text, strict=False)
    return text


def _recipient(text: str) -> str:
    wants(text)
    return text


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        msg = f"unknown time zone {name!r}; use a name such as Europe/Berlin or UTC"
        raise ValueError(msg) from error
    return name


_HOURS = re.compile(
    r"(?:(?P<first>mon|tue|wed|thu|fri|sat|sun)(?:-(?P<last>mon|tue|wed|thu|fri|sat|sun))? )?"
    r"(?:[01]\d|2[0-3]):[0-5]\d-(?:(?:[01]\d|2[0-3]):[0-5]\d|24:00)"
)


def _hours(text: str) -> str:
    if not _HOURS.fullmatch(text.strip().lower()):
        msg = f"{text!r} are no hours; write them as 22:00-07:00, sat-sun 00:00-24:00 or fri 18:00-24:00"
        raise ValueError(msg)
    return text.strip().lower()


def _none_when_blank(secret: SecretStr | None) -> SecretStr | None:
    # A secret that was read from a file often ends in a line break, which no header may hold.
    word = secret.get_secret_value().rstrip("\r\n") if secret is not None else ""
    return SecretStr(word) if word.strip() else None


Url = Annotated[str, AfterValidator(_without_password)]
# `NAME=` in a file of settings is how one is left unset; a secret of no characters would let everybody in.
Secret = Annotated[SecretStr | None, AfterValidator(_none_when_blank)]
WebAddress = Annotated[str | None, AfterValidator(_web_address)]
PostAddress = Annotated[str | None, AfterValidator(_posted_to)]
Port = Annotated[int, Field(ge=0, le=65535)]


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class GridDBSettings(_Group):
    """How to log in to a GridDB cluster or GridDB Cloud."""

    user: str = Field("admin", description="GridDB user.")
    password: SecretStr | None = Field(None, description="GridDB password.")
    ca_file: Path | None = Field(
        None, description="CA certificates (PEM) to trust for a Web API over TLS. Unset: the system's."
    )
    timeout_s: float = Field(
        60.0,
        gt=0,
        description="Longest wait for a cluster that is away, such as while a node restarts, and for one answer of a "
        "Web API, in seconds.",
    )
    heap_mib: int | None = Field(
        None, ge=128, description="Java heap of this process's JVM, in MiB. Unset: a quarter of the machine's memory."
    )


class TargetSettings(_Group):
    """How `gridwatch copy` logs in to its target, where that is another GridDB than the source's."""

    user: str | None = Field(None, description="GridDB user of the target. Unset: that of the source.")
    password: SecretStr | None = Field(None, description="GridDB password of the target. Unset: that of the source.")


class KafkaSettings(_Group):
    """The Kafka cluster; with no `bootstrap_servers`, gridwatch runs its own broker on loopback."""

    bootstrap_servers: str | None = Field(
        None, description="`host:port,...` of an external cluster. Unset: gridwatch's own broker."
    )
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="Kafka's security protocol."
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = Field(
        None, description="SASL mechanism, with a SASL protocol."
    )
    sasl_username: str | None = Field(None, description="SASL user.")
    sasl_password: SecretStr | None = Field(None, description="SASL password.")
    ssl_cafile: Path | None = Field(None, description="CA certificates (PEM) to trust; unset: the system's.")
    group_id: str = Field("gridwatch-sink", description="Consumer group of the sink.")
    record_bytes_max: int = Field(
        RECORD_BYTES_MAX,
        ge=64 << 10,
        le=256 << 20,
        description="Largest record, in bytes, that gridwatch's own broker takes, and the topics that gridwatch makes.",
    )
    delete_enabled: bool = Field(
        False, description="Whether a record without value (a tombstone) deletes the row of its key."
    )
    replication_factor: int = Field(1, ge=1, description="Replication of topics that gridwatch makes.")
    broker_heap_mib: int = Field(256, ge=128, description="Java heap of gridwatch's own broker, in MiB.")
    request_timeout_s: float = Field(30.0, gt=0, description="Longest wait for one answer of the cluster, in seconds.")


class ConnectSettings(_Group):
    """Kafka Connect with gridwatch's sink connector, which runs instead of the Python sink where it is `enabled`."""

    enabled: bool = Field(False, description="Rows go into the store through Kafka Connect.")
    url: WebAddress = Field(
        None, description="REST address of a Connect cluster of one's own. Unset: gridwatch's own worker."
    )
    user: str | None = Field(None, description="User of the REST API at `url`, where it asks for one.")
    password: Secret = Field(None, description="Password of the REST API at `url`.")
    mode: Literal["standalone", "distributed"] = Field(
        "standalone",
        description="Of gridwatch's own worker: one for itself, or one of several that share the work of a group.",
    )
    group_id: str = Field(
        "gridwatch-connect",
        pattern=r"^[A-Za-z0-9._-]{1,200}$",
        description="Group of distributed workers; their topics begin with it.",
    )
    connectors_dir: Path = Field(
        Path("kafka_connect/connectors"), description="Folder of connector files (JSON) that `gridwatch up` applies."
    )
    connector: str = Field("gridwatch-sink", description="Name of the connector that writes the datasets' rows.")
    store_url: Url | None = Field(
        None,
        description="Store as connectors reach it, `griddb://...` or `griddb+http(s)://...`. Unset: `store_url`, or "
        "gridwatch's own server in front of the embedded store.",
    )
    rest_host: str = Field("127.0.0.1", description="Address that the worker's REST API binds; it asks for no login.")
    rest_port: Port = Field(0, description="Port of the worker's REST API; 0 picks a free one, which then stays.")
    heap_mib: int = Field(512, ge=128, description="Java heap of the worker, in MiB.")
    override_policy: Literal["None", "Principal", "Allowlist", "All"] = Field(
        "Allowlist",
        description="What connectors may set for their own Kafka clients; `Allowlist`: what tunes them, but not where "
        "they go or how they log in.",
    )
    task_restarts: int = Field(
        10, ge=0, le=1000, description="Most restarts in a row of a failed task, with pauses that grow to a minute."
    )
    request_timeout_s: float = Field(30.0, gt=0, description="Longest wait for one answer of the REST API, in seconds.")


class MlflowSettings(_Group):
    """Where runs, models and their bytes go."""

    tracking_uri: str | None = Field(
        None, description="MLflow server or database. Unset: `mlflow.db` in the home folder, shown by `gridwatch up`."
    )
    experiment: str = Field("gridwatch", description="MLflow experiment.")
    artifact_root: str = Field(
        "griddb:///mlflow", description="Artifact location of the experiment; `griddb:///` is the store at `store_url`."
    )


class PrefectSettings(_Group):
    """The Prefect server that runs deployments."""

    api_url: str | None = Field(None, description="URL of a Prefect API. Unset: the one of `gridwatch up`.")


class AlphaVantageSettings(_Group):
    """Alpha Vantage, the source of stock prices."""

    api_key: SecretStr | None = Field(None, description="API key of alphavantage.co.")
    base_url: str = Field("https://www.alphavantage.co", description="Address of the API.")
    requests_per_minute: int = Field(5, ge=1, description="Most requests a minute; the free tier allows 5.")
    attempts: int = Field(6, ge=1, le=20, description="Most tries of one request when limited or failing.")
    timeout_s: float = Field(30.0, gt=0, description="Longest wait for one answer, in seconds.")


class SendgridSettings(_Group):
    """Twilio SendGrid; with no key, mails go to gridwatch's own inbox."""

    api_key: Secret = Field(None, description="SendGrid API key. Unset: the local inbox keeps the mails.")
    base_url: PostAddress = Field(
        None, description="Address of the mail API. Unset: SendGrid's with a key, the local inbox without."
    )
    sender: str = Field("gridwatch@localhost.localdomain", description="From address of the mails.")
    timeout_s: float = Field(10.0, gt=0, description="Longest wait for one answer, in seconds.")
    attempts: int = Field(5, ge=1, le=20, description="Most tries of one mail on 429, 5xx and network errors.")


class AlertSettings(_Group):
    """Who is told, and how the relay reaches the trigger handler."""

    recipients: list[Annotated[str, AfterValidator(_recipient)]] = Field(
        default_factory=list,
        description='Mail addresses (JSON list) for datasets that name none; `"critical: boss@example.com"` is told of '
        "nothing less.",
    )
    handler_url: PostAddress = Field(None, description="Trigger handler. Unset: the one of `gridwatch serve`.")
    token: Secret = Field(
        None,
        description="Secret that the handler wants, 16 characters or more; unset: loopback callers only.",
    )
    poll_s: float = Field(0.25, gt=0, description="Pause between two looks of the relay, in seconds.")
    attempts: int = Field(
        30, ge=1, le=1000, description="Most deliveries of one mail, with growing pauses between (30 take about a day)."
    )
    public_url: PostAddress = Field(
        None, description="Address of gridwatch's pages as the readers of a mail reach them; mails link to it."
    )
    mails_per_hour: int = Field(
        20,
        ge=0,
        le=10_000,
        description="Most single mails an hour to one recipient; what is above goes into digests. 0: no limit.",
    )
    digest_s: float = Field(
        300.0, gt=0, le=86_400, description="Shortest pause between two digests to the same recipients, in seconds."
    )
    quiet_hours: list[Annotated[str, AfterValidator(_hours)]] = Field(
        default_factory=list,
        description='When nobody wants mails (JSON list), such as `["22:00-07:00", "sat-sun 00:00-24:00"]`; one digest '
        "follows.",
    )
    quiet_zone: Annotated[str, AfterValidator(_zone)] = Field("UTC", description="Time zone of the quiet hours.")
    quiet_critical: bool = Field(False, description="Whether the quiet hours also hold back what is critical.")
    label_links_days: float = Field(
        14.0, ge=0, le=365, description="How long the label links of a mail hold, in days. 0: mails carry none."
    )
    webhook_url: PostAddress = Field(None, description="Address that every anomaly is POSTed to as JSON, beside mail.")
    webhook_secret: Secret = Field(
        None, description="Secret that signs the webhook's requests (HMAC-SHA256; `whsec_...` or any text)."
    )
    webhook_severity: Literal["low", "medium", "high", "critical"] = Field(
        "low", description="Least severity that the webhook is told of."
    )
    webhook_timeout_s: float = Field(
        10.0, gt=0, le=120, description="Longest wait for the webhook's answer, in seconds."
    )
    hmac_secret: Secret = Field(
        None,
        description="Secret of signed triggers, 16 characters or more, instead of the token or beside it: the relay "
        "signs with it.",
    )
    replay_s: float = Field(
        300.0, gt=0, le=3600, description="How far a signed trigger's time may be from the handler's, in seconds."
    )
    trigger_addresses: list[Annotated[str, AfterValidator(_network)]] = Field(
        default_factory=list,
        description="Addresses or networks (JSON list), besides loopback, that may give the token in the address, as "
        "GridDB's own trigger does.",
    )


class ServerSettings(_Group):
    """gridwatch's own HTTP server: trigger handler, inbox, pages."""

    host: str = Field("127.0.0.1", description="Address to bind; loopback unless told otherwise.")
    port: Port = Field(8090, description="Port; 0 picks a free one.")
    allowed_hosts: list[str] = Field(
        default_factory=list, description="Host names (JSON list) it answers to, besides localhost and addresses."
    )
    cluster: str = Field("gridwatch", description="Cluster name in the addresses of its GridDB Web API.")
    auth: Literal["auto", "on"] = Field(
        "auto",
        description="Whether the Web API asks this machine too for a user: `on`, or `auto`: not while on loopback.",
    )
    trusted_proxies: list[Annotated[str, AfterValidator(_network)]] = Field(
        default_factory=lambda: ["127.0.0.0/8", "::1"],
        description="Addresses or networks (JSON list) of TLS proxies whose `X-Forwarded-Proto` counts.",
    )
    insecure_http: bool = Field(
        False, description="Take credentials of the Web API over plain HTTP from other machines too."
    )
    elastic_product_header: bool = Field(
        False,
        description="Whether answers below `/_ml` and `/_transform` carry `X-Elastic-Product: Elasticsearch`, without "
        "which Elasticsearch's own clients refuse a server; `/` answers these clients then, and browsers as before.",
    )


class JobsSettings(_Group):
    """Anomaly detection jobs and their datafeeds."""

    run_feeds: bool = Field(
        True,
        description="Whether `gridwatch serve` runs the datafeeds and transforms that are started; several processes "
        "may, each is run by one at a time.",
    )
    threads: int | None = Field(
        None, ge=1, le=256, description="Threads that share the analysis of a job. Unset: the cores of the machine."
    )

    @property
    def analysis_threads(self) -> int:
        """How many threads share the analysis of a job."""
        return self.threads or os.cpu_count() or 1


class LinksSettings(_Group):
    """Where readers of gridwatch's pages reach other programs; the pages link there."""

    mlflow_url: WebAddress = Field(
        None,
        description="MLflow's UI. Unset: `mlflow.tracking_uri` where that is a server, so the one of `gridwatch up`.",
    )
    prefect_url: WebAddress = Field(None, description="Prefect's UI. Unset: `prefect.api_url` without its `/api`.")
    grafana_url: WebAddress = Field(None, description="Grafana with gridwatch's dashboards.")
    data_docs_url: WebAddress = Field(
        None, description="Where the Data Docs' folder `local_site` is served (`data_docs` in the home folder)."
    )


Days = Annotated[int | None, Field(ge=1, le=36_500)]


class RetentionSettings(_Group):
    """How many days gridwatch keeps what it writes; unset: for ever. `gridwatch upkeep` deletes what is older.

    A dataset's file may say otherwise of its own, and says how long its rows are kept.
    """

    scores_days: Days = Field(None, description="Days that scored rows are kept.")
    anomalies_days: Days = Field(
        None, description="Days that anomalies are kept after they were found, and with them their deliveries."
    )
    validations_days: Days = Field(
        None, description="Days that validations are kept which no anomaly, training or detection names."
    )
    results_days: Days = Field(
        None,
        description="Days before its newest bucket that a job's results are kept, unless its `results_retention_days` "
        "says otherwise.",
    )
    messages_days: Days = Field(None, description="Days that the messages of jobs are kept.")


class Settings(BaseSettings):
    """Everything that can be set, with its default.

    Raises:
        pydantic.ValidationError: A value is wrong; `load_settings` turns it into a ConfigError that names the key.
    """

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_nested_delimiter="__",
        env_file=".env",
        env_file_encoding="utf-8",
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    home: Path = Field(Path(".gridwatch"), description="Folder for data, logs and state.")
    store_url: Url | None = Field(
        None,
        description="Container store: `sqlite:///path`, `griddb://host:port/cluster/db` or "
        "`griddb+https://host/cluster/db`. Unset: `store.db` in the home folder.",
    )
    datasets_dir: Path = Field(Path("flows/datasets"), description="Folder of dataset files.")
    expectations_dir: Path = Field(Path("expectations"), description="Folder of expectation suites.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] | None = Field(
        None, description="Least level that is logged. Unset: `INFO`, and `WARNING` for commands on a terminal."
    )

    griddb: GridDBSettings = Field(default_factory=GridDBSettings)
    target: TargetSettings = Field(default_factory=TargetSettings)
    kafka: KafkaSettings = Field(default_factory=KafkaSettings)
    connect: ConnectSettings = Field(default_factory=ConnectSettings)
    mlflow: MlflowSettings = Field(default_factory=MlflowSettings)
    prefect: PrefectSettings = Field(default_factory=PrefectSettings)
    alpha_vantage: AlphaVantageSettings = Field(default_factory=AlphaVantageSettings)
    sendgrid: SendgridSettings = Field(default_factory=SendgridSettings)
    alerts: AlertSettings = Field(default_factory=AlertSettings)
    server: ServerSettings = Field(default_factory=ServerSettings)
    jobs: JobsSettings = Field(default_factory=JobsSettings)
    links: LinksSettings = Field(default_factory=LinksSettings)
    retention: RetentionSettings = Field(default_factory=RetentionSettings)

    @field_validator("home", mode="after")
    @classmethod
    def _absolute(cls, home: Path) -> Path:
        return home.expanduser().absolute()

    @property
    def store(self) -> str:
        """URL of the container store, with the default filled in."""
        return self.store_url or f"sqlite:///{self.home / 'store.db'}"

    @property
    def tracking_uri(self) -> str:
        """URI of the MLflow tracking store, with the default filled in."""
        return self.mlflow.tracking_uri or f"sqlite:///{self.home / 'mlflow.db'}"


# Read by the `gridwatch` script and the tests, not by Settings.
_RUNNER_NAMES = {
    "GRIDWATCH_ENV",
    "GRIDWATCH_TEST_CHROMIUM",
    "GRIDWATCH_TEST_EXAMPLES",
    "GRIDWATCH_TEST_FAULTS_SEED",
    "GRIDWATCH_TEST_GRIDDB_RESTART",
    "GRIDWATCH_TEST_GRIDDB_URL",
    "GRIDWATCH_TEST_ORACLE",
    "GRIDWATCH_TEST_ORACLE_REPORT",
}


def _known(model: type[BaseModel], prefix: str = _PREFIX) -> Iterator[tuple[str, bool]]:
    """Yield the name of every setting, and whether it is a list."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, _Group):
            yield from _known(field.annotation, f"{prefix}{name.upper()}__")
        else:
            yield f"{prefix}{name.upper()}", get_origin(field.annotation) is list


def _given() -> dict[str, str]:
    """Return what the environment and `.env` set for gridwatch, by name."""
    try:
        lines = DotEnvSettingsSource(Settings).env_vars
    except UnicodeDecodeError as error:
        raise ConfigError(f"The file .env is not UTF-8 from byte {error.start} on; save it as UTF-8.") from None
    named = {name.upper(): value or "" for name, value in lines.items()} | dict(os.environ)
    return {name: value for name, value in named.items() if name.startswith(_PREFIX)}


def _check_names() -> None:
    """Refuse what pydantic lets pass, or tells without naming the variable: misspelt names and lists that are none."""
    known = dict(_known(Settings))
    for name, value in sorted(_given().items()):
        # Those of Grafana's provisioning are read by Grafana, which may share its environment.
        if name in _RUNNER_NAMES or name.startswith(f"{_PREFIX}GRAFANA_"):
            continue
        if name not in known:
            # Without the prefix, which alone would make any name look like any other.
            ours = {key.removeprefix(_PREFIX): key for key in known}
            near = difflib.get_close_matches(name.removeprefix(_PREFIX), ours, n=1)
            hint = f"; did you mean {ours[near[0]]}?" if near else "."
            raise ConfigError(f"{name} is no setting{hint} See docs/settings.md.")
        if known[name]:
            try:
                is_list = isinstance(json.loads(value), list)
            except ValueError:
                is_list = False
            if not is_list:
                raise ConfigError(f'{name} is no JSON list; write it as ["one", "two"]. See docs/settings.md.')


def load_settings() -> Settings:
    """Return the settings of the environment and `.env`.

    Raises:
        ConfigError: A name or value is wrong; the message names the variable and never prints its value.
    """
    _check_names()
    try:
        found = Settings()
    except ValidationError as error:
        wrong = "; ".join(
            f"{_PREFIX}{'__'.join(map(str, item['loc'])).upper()}: {item['msg']}" for item in error.errors()
        )
        raise ConfigError(f"Wrong setting: {wrong}. See docs/settings.md.") from None
    _check_strength(found)
    return found


def _check_strength(settings: Settings) -> None:
    """Check that nobody can guess what lets others in.

    Raises:
        ConfigError: A secret is too short; the message names the variable.
    """
    for name in ("token", "hmac_secret"):
        secret: SecretStr | None = getattr(settings.alerts, name)
        if secret is not None and len(secret.get_secret_value().strip()) < SECRET_CHARACTERS_MIN:
            raise ConfigError(
                f"Wrong setting: {_PREFIX}ALERTS__{name.upper()}: must have at least {SECRET_CHARACTERS_MIN} "
                "characters, or it can be guessed; `openssl rand -hex 16` prints a good one. See docs/settings.md."
            )


def environment(settings: Settings) -> dict[str, str]:
    """Return the environment that gives another process, in any folder, these settings. Holds secrets in clear.

    What is None has no variable, so that the default counts there.
    """
    found: dict[str, str] = {}

    def add(group: BaseModel, prefix: str) -> None:
        for name in type(group).model_fields:
            value, key = getattr(group, name), f"{prefix}{name.upper()}"
            if isinstance(value, BaseModel):
                add(value, f"{key}__")
            elif isinstance(value, SecretStr):
                found[key] = value.get_secret_value()
            elif isinstance(value, Path):
                found[key] = str(value.absolute())
            elif isinstance(value, list):
                found[key] = json.dumps(value)
            elif value is not None:
                found[key] = str(value)

    add(settings, _PREFIX)
    return found
