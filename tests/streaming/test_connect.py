"""A real Connect worker with a connector that fails when it is told to: started, killed, applied to, watched."""

from __future__ import annotations

import json
import os
import socket
import stat
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from pydantic import SecretStr

from gridwatch.errors import ConfigError, JavaError, MissingServiceError, StreamError
from gridwatch.java.connector import build_connector
from gridwatch.settings import ConnectSettings, GridDBSettings, KafkaSettings, Settings
from gridwatch.streaming.connect import ConnectWorker
from gridwatch.streaming.connect_api import ConnectApi
from gridwatch.streaming.connect_apply import Connect, Connector, apply, compare, delete, find_connect
from gridwatch.streaming.connect_for import apply_for_load
from gridwatch.streaming.connect_http import opener
from gridwatch.streaming.connect_service import ConnectService
from gridwatch.streaming.connect_watch import ConnectWatch, read_watch

PASSWORD = "hunter2-of-griddb"  # what is looked for in files and logs
OTHERS = {"GRIDWATCH_SENDGRID__API_KEY": "key-of-the-mails", "AWS_SECRET_ACCESS_KEY": "key-of-another-program"}
WAIT_S = 180.0


@pytest.fixture(scope="session")
def plugins() -> Path:
    """A `plugin.path` with the trial connector."""
    return build_connector(os.environ, sources=Path(__file__).with_name("trial_connector"))


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(
        home=tmp_path_factory.mktemp("connect-home"),
        griddb=GridDBSettings(password=SecretStr(PASSWORD)),
        connect=ConnectSettings(heap_mib=192),
    )


@pytest.fixture(scope="module")
def worker(settings: Settings, bootstrap: str, plugins: Path) -> Iterator[ConnectWorker]:
    environ = {**os.environ, **OTHERS, "_GRIDWATCH_RUN": "here", "CONNECT_OWN": "meant-for-connectors"}
    worker = ConnectWorker(settings, bootstrap, plugins=plugins, environ=environ)
    try:
        worker.start()
        yield worker
    finally:
        worker.stop()


@pytest.fixture
def connect(worker: ConnectWorker, settings: Settings) -> Iterator[Connect]:
    """Where connectors are applied; none is left behind."""
    worker.start()
    connect = find_connect(settings)
    yield connect
    for name in {*connect.api.names(), *(one.name for one in connect.remembered())}:
        delete(connect, name)


def trial(name: str, **config: str) -> Connector:
    values = {"connector.class": "trial.TrialSink", "topics": "trial-topic"}
    return Connector(name, values | {key.replace("__", "."): value for key, value in config.items()})


def wait(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, f"waited {WAIT_S:g} s for {what}"
        time.sleep(0.05)


def states(connect: Connect, name: str) -> set[str]:
    """The states of a connector's tasks; empty before they have any."""
    status = connect.api.status(name)
    return {task.state for task in status.tasks} if status else set()


def test_it_listens_on_loopback_alone_and_gives_no_secret_away(
    worker: ConnectWorker, settings: Settings, connect: Connect, tmp_path: Path
) -> None:
    pid = worker.pid
    assert pid is not None
    assert worker.start() == worker.url, "a second start returns the one that runs"
    assert worker.pid == pid
    process = psutil.Process(pid)
    addresses = {c.laddr.ip.removeprefix("::ffff:") for c in process.net_connections() if c.status == "LISTEN"}
    assert addresses == {"127.0.0.1"}
    assert "-Xmx192m" in process.cmdline()
    environ = process.environ()
    assert not OTHERS.keys() & environ.keys(), "no secret that is not its business"
    assert (environ["CONNECT_OWN"], environ["_GRIDWATCH_RUN"]) == ("meant-for-connectors", "here")
    written = tmp_path / "secret"
    secret = "${env:GRIDWATCH_GRIDDB__PASSWORD}"
    apply(connect, [trial("secrets", secret=secret, secret__file=str(written))])
    wait(written.exists, "the task to write the secret")
    wait(written.read_text, "the secret to be written")
    assert written.read_text() == PASSWORD, "the connector is told"
    assert (connect.api.config("secrets") or {})["secret"] == secret, "who asks is not"
    open_key = {"connector.class": "trial.TrialSink", "topics": "a", "fail.file": secret}
    request = urllib.request.Request(  # noqa: S310  # http
        f"{worker.url}/connector-plugins/trial.TrialSink/config/validate", json.dumps(open_key).encode(), method="PUT"
    )
    request.add_header("Content-Type", "application/json")
    with opener(worker.url).open(request, timeout=120) as answer:
        assert PASSWORD in answer.read().decode(), "docs/operations.md warns of it; if this is mended, so is that"
    assert PASSWORD not in " ".join(process.cmdline())
    for path in settings.home.rglob("*"):
        assert not path.is_file() or PASSWORD.encode() not in path.read_bytes(), path
    for folder in ("connect", "connect/worker-1", "connect/secrets", "connect/connectors", "logs"):
        assert stat.S_IMODE((settings.home / folder).stat().st_mode) == 0o700, folder


def test_other_variables_of_the_environment_and_other_files_are_not_to_be_had(
    connect: Connect, settings: Settings, tmp_path: Path
) -> None:
    inside, outside = settings.home / "connect" / "secrets" / "db.properties", tmp_path / "other.properties"
    for path in (inside, outside):
        path.write_text("password=from-a-file\n")
    for place, (source, known) in enumerate(
        {
            "${env:PATH}": None,
            f"${{file:{outside}:password}}": None,
            f"${{file:{inside}:password}}": "from-a-file",
        }.items()
    ):
        written = tmp_path / f"out-{place}"
        apply(connect, [trial(f"source-{place}", secret=source, secret__file=str(written))])
        wait(lambda written=written: written.exists() and written.read_text(), "the task to write")  # type: ignore[misc]
        assert written.read_text() == (known or source), "what is not allowed stays as it was written"


def test_applying_twice_changes_nothing_and_a_change_is_shown_before_it_is_made(connect: Connect) -> None:
    first = trial("idem", level="3")
    assert [change.action for change in compare(connect.api, [first])] == ["create"]
    assert connect.api.names() == []
    [made] = apply(connect, [first])
    assert made.keys["level"] == (None, "3")
    wait(lambda: states(connect, "idem") == {"RUNNING"}, "the task")
    generation = connect.api.status("idem")
    [again] = apply(connect, [first])
    assert (again.action, again.keys) == ("none", {})
    assert connect.api.status("idem") == generation
    [change] = apply(connect, [trial("idem", level="4", fail__file="/nowhere")])
    assert change.action == "update"
    assert change.keys == {"level": ("3", "4"), "fail.file": (None, "/nowhere")}
    [change] = apply(connect, [first])
    assert change.keys["fail.file"] == ("/nowhere", None)
    named = {
        "value.converter.basic.auth.user.info": "me:sesame-2",
        "my.api.key": "sesame-3",
        "x.Access_Token": "sesame-4",
        "y.jaas": "user=${env:CONNECT_A} password=sesame-5",
        "z.secret": "${env:CONNECT_A}${env:CONNECT_B}",
        "key.converter": "org.apache.kafka.connect.storage.StringConverter",
    }
    [change] = compare(connect.api, [Connector("idem", {**first.config, **named})])
    shown = {key: after for key, (_, after) in change.keys.items()}
    assert shown == dict.fromkeys(named, "****") | {key: named[key] for key in ("z.secret", "key.converter")}
    assert delete(connect, "idem")
    assert not delete(connect, "idem")


def test_what_is_wrong_is_told_key_by_key_and_nothing_is_touched(connect: Connect) -> None:
    good = trial("good")
    bad = trial("bad", level="33", tasks__max="none")
    with pytest.raises(ConfigError) as caught:
        apply(connect, [good, bad])
    assert "bad: level: Invalid value 33 for configuration level: Value must be no more than 9" in str(caught.value)
    assert "bad: tasks.max: Invalid value none" in str(caught.value)
    with pytest.raises(
        ConfigError, match=r"'odd' is of class 'no\.Such', which this Kafka Connect lacks; it has trial"
    ):
        apply(connect, [good, Connector("odd", {"connector.class": "no.Such", "topics": "a"})])
    with pytest.raises(ConfigError, match=r"'open' has secret in clear.*write \$\{env:") as caught:
        apply(connect, [trial("open", secret="sesame-1")])
    assert "sesame-1" not in str(caught.value)
    with pytest.raises(ConfigError, match=r"does not allow 'bootstrap\.servers' to be overridden"):
        apply(connect, [trial("elsewhere", consumer__override__bootstrap__servers="evil:9092")])
    with pytest.raises(ConfigError, match=r"does not allow 'sasl\.jaas\.config' to be overridden"):
        apply(connect, [trial("elsewhere", consumer__override__sasl__jaas__config="${env:CONNECT_LOGIN}")])
    assert connect.api.names() == []
    [change] = apply(connect, [trial("tuned", consumer__override__max__poll__records="7")])
    assert change.action == "create"


def test_a_failed_task_is_restarted_with_pauses_that_grow_and_given_up_in_the_end(
    connect: Connect, settings: Settings, tmp_path: Path
) -> None:
    fail = tmp_path / "fail"
    fail.touch()
    now_s = [0.0]
    watch = ConnectWatch(
        connect, tmp_path, restarts_max=2, wanted=lambda: [trial("t", fail__file=str(fail))], clock=lambda: now_s[0]
    )

    def look(after_s: float) -> None:
        wait(lambda: states(connect, "t") == {"FAILED"}, "the task to fail")
        now_s[0] += after_s
        watch.step()

    watch.step()
    look(0)
    [seen] = read_watch(tmp_path)
    assert (seen.restarts, seen.given_up) == (0, False)
    assert seen.reason == f"told to fail: the file {fail} is there"
    look(0.9)
    assert read_watch(tmp_path)[0].restarts == 0, "a second has to pass"
    look(0.1)
    assert read_watch(tmp_path)[0].restarts == 1
    look(0)
    look(1.9)
    assert read_watch(tmp_path)[0].restarts == 1, "and two the second time"
    look(0.1)
    look(0)
    look(1000)
    [seen] = read_watch(tmp_path)
    assert (seen.restarts, seen.given_up) == (2, True)
    fail.unlink()
    watch.step()
    assert states(connect, "t") == {"FAILED"}, "left alone"
    connect.api.restart("t")
    wait(lambda: states(connect, "t") == {"RUNNING"}, "the restart by hand")
    watch.step()
    assert [(one.restarts, one.given_up) for one in read_watch(tmp_path)] == [(0, False)], "all its chances again"
    now_s[0] += 121
    watch.step()
    assert read_watch(tmp_path) == [], "forgotten once it runs steadily"


def test_a_worker_that_was_killed_gets_its_connectors_again(
    worker: ConnectWorker, connect: Connect, settings: Settings, tmp_path: Path
) -> None:
    apply(connect, [trial("kept"), trial("dropped")])
    delete(connect, "dropped")
    pid, url = worker.pid, worker.url
    assert pid is not None
    psutil.Process(pid).kill()
    wait(lambda: worker.pid is None, "its end")
    assert not worker.healthy()
    watch = ConnectWatch(connect, tmp_path, restarts_max=1)
    with pytest.raises(
        MissingServiceError, match=r"Kafka Connect at http://127.* does not answer .*`gridwatch connect up`"
    ):
        watch.step()
    assert worker.start() == url, "the same address"
    assert connect.api.names() == [], "a standalone worker remembers nothing"
    watch.step()
    assert connect.api.names() == ["kept"]


def test_a_worker_of_another_store_or_login_is_not_taken_for_ours(
    worker: ConnectWorker, connect: Connect, settings: Settings, bootstrap: str, plugins: Path
) -> None:
    before, url = worker.pid, worker.url
    state = (worker.folder / "state.json").read_text()
    assert PASSWORD not in state
    login = GridDBSettings(password=SecretStr("another"))
    changed = settings.model_copy(update={"griddb": login})
    environ = {**os.environ, "CONNECT_OWN": "meant-for-connectors"}
    other = ConnectWorker(changed, bootstrap, plugins=plugins, environ=environ)
    assert other.start(keep=False) == url, "the same address"
    assert other.pid not in (None, before)
    assert other.kept, "as the one before was to stay"
    assert psutil.Process(other.pid).environ()["GRIDWATCH_GRIDDB__PASSWORD"] == "another"
    after = other.pid
    assert other.start() == url
    assert other.pid == after, "now it is ours"


def test_workers_of_a_group_share_connectors_and_remember_them(
    settings: Settings, bootstrap: str, plugins: Path, tmp_path: Path
) -> None:
    import threading

    told = ConnectSettings(mode="distributed", group_id=f"group-{tmp_path.name}", heap_mib=128, connector="shared")
    shared = settings.model_copy(update={"home": tmp_path, "connect": told})
    workers = [ConnectWorker(shared, bootstrap, number=number, plugins=plugins) for number in (1, 2)]
    stop, ready = threading.Event(), threading.Event()
    service = ConnectService(shared, workers, lambda: [trial("shared", tasks__max="2")])
    thread = threading.Thread(target=service.run, args=(stop,), kwargs={"ready": lambda _: ready.set()})
    thread.start()
    try:
        assert ready.wait(WAIT_S)
        connect = find_connect(shared)
        assert connect.kept is None, "the group's topics keep them"

        def spread() -> bool:
            status = connect.api.status("shared")
            return status is not None and len({task.worker for task in status.tasks}) == 2

        wait(spread, "a task on each worker")
        before = workers[1].pid
        assert before is not None
        psutil.Process(before).kill()
        wait(lambda: workers[1].pid not in (None, before) and workers[1].healthy(), "the killed one to come back")
        assert connect.api.names() == ["shared"]
        before_load = connect.api.config("shared")
        apply_for_load(shared, "a-topic-of-the-load")
        assert connect.api.config("shared") == before_load, "a load leaves alone what the group shares"
    finally:
        stop.set()
        thread.join(WAIT_S)
    assert [worker.pid for worker in workers] == [None, None]


def test_a_start_that_fails_says_why(tmp_path: Path, bootstrap: str, plugins: Path) -> None:
    dying = {**os.environ, "JDK_JAVA_OPTIONS": "-XX:+NoSuchFlagAtAll"}
    worker = ConnectWorker(Settings(home=tmp_path), bootstrap, plugins=plugins, environ=dying)
    with pytest.raises(JavaError, match=r"(?s)Connect worker died at start.*connect-worker\.log.*NoSuchFlagAtAll"):
        worker.start()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        asked = Settings(home=tmp_path, connect=ConnectSettings(rest_port=port))
        with pytest.raises(ConfigError, match=rf"GRIDWATCH_CONNECT__REST_PORT {port} is taken by another program"):
            ConnectWorker(asked, bootstrap, plugins=plugins).start()
    with pytest.raises(StreamError, match="wants the address of a Kafka cluster"):
        ConnectWorker(Settings(home=tmp_path), plugins=plugins).start()
    with pytest.raises(ConfigError, match="There is no worker 2: a standalone worker is one"):
        ConnectWorker(Settings(home=tmp_path), bootstrap, number=2)
    login = KafkaSettings(bootstrap_servers=bootstrap, security_protocol="SASL_PLAINTEXT")
    with pytest.raises(ConfigError, match="needs GRIDWATCH_KAFKA__SASL_MECHANISM"):
        ConnectWorker(Settings(home=tmp_path, kafka=login), bootstrap, plugins=plugins).start()


def test_before_the_first_start_there_is_no_connect(tmp_path: Path) -> None:
    worker = ConnectWorker(Settings(home=tmp_path))
    assert (worker.healthy(), worker.pid, worker.kept, worker.stop()) == (False, None, False, False)
    with pytest.raises(StreamError, match="No Connect worker has been set up in"):
        _ = worker.url
    with pytest.raises(StreamError, match="No Kafka Connect worker was ever started"):
        find_connect(Settings(home=tmp_path))
    elsewhere = Settings(home=tmp_path, connect=ConnectSettings(url="http://connect:8083/"))
    assert find_connect(elsewhere).api.url == "http://connect:8083"


def test_who_answers_and_is_no_connect_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        api = ConnectApi(f"http://127.0.0.1:{server.getsockname()[1]}", timeout_s=0.2)
        assert not api.healthy()
        with pytest.raises(MissingServiceError, match="does not answer"):
            api.names()


def test_a_file_of_the_watch_that_is_garbage_is_told(tmp_path: Path) -> None:
    (tmp_path / "watch.json").write_text(json.dumps({"no": "list"}))
    with pytest.raises(ConfigError, match=r"Cannot read .*watch\.json' .*delete it"):
        read_watch(tmp_path)
