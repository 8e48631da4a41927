"""What `mlflow gc` would remove, held against the aliases of the registry first, which MLflow itself does not do."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import structlog

from gridwatch.errors import ConfigError, TrackingError
from gridwatch.tracking.client import mlflow_client, shown

if TYPE_CHECKING:
    from gridwatch.settings import Settings

__all__ = ["Garbage", "InUse", "find_garbage", "remove_garbage"]

log = structlog.get_logger(__name__)

_PAGE = 200


@dataclass(frozen=True, slots=True)
class InUse:
    """Something deleted that a live alias of the registry still points to.

    Attributes:
        alias: `name@alias`.
        version: Version of the registered model.
        kind: `run`, `model` or `experiment`: what would be removed.
        id: Its id.
    """

    alias: str
    version: str
    kind: str
    id: str


@dataclass(slots=True)
class Garbage:
    """What is marked as deleted in MLflow and can go for good, and what cannot since an alias points to it."""

    runs: list[str] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    experiments: list[str] = field(default_factory=list)
    in_use: list[InUse] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Target:
    """What an alias points to: its run, its logged model, and where its files are."""

    alias: str
    version: str
    run_id: str
    model_id: str
    source: str


def find_garbage(settings: Settings, database: str, *, now_ms: int, older_than_ms: int = 0) -> Garbage:
    """Return what `mlflow gc` would remove, apart from what a live alias points to.

    Args:
        settings: Where MLflow is.
        database: SQLAlchemy URL of MLflow's database.
        now_ms: The time, UTC epoch ms.
        older_than_ms: Leave what was deleted later than so long ago.

    Raises:
        ConfigError: `database` is no database.
        TrackingError: MLflow failed.
    """
    with _backend(settings, database) as (store, client):
        experiments = [str(one.experiment_id) for one in _deleted_experiments(store, now_ms, older_than_ms)]
        runs = {run_id: store.get_run(run_id).info for run_id in store._get_deleted_runs(older_than=older_than_ms)}
        # What is in an experiment goes with it, however short ago it was deleted, and models even if they were not.
        for experiment in experiments:
            runs |= {run.info.run_id: run.info for run in _runs(store, experiment)}
        models = {model.model_id: model for model in _models(store, experiments)}
        old = set(store._get_deleted_logged_models(older_than=older_than_ms))
        for model_id in store._get_deleted_logged_models():
            model = store.get_logged_model(model_id, allow_deleted=True)
            if model_id in old or str(model.experiment_id) in experiments:
                models[model_id] = model
        in_use = _in_use(_targets(client), runs, models, set(experiments))
    kept = {(one.kind, one.id) for one in in_use}
    return Garbage(
        sorted(run for run in runs if ("run", run) not in kept),
        sorted(model for model in models if ("model", model) not in kept),
        sorted(experiment for experiment in experiments if ("experiment", experiment) not in kept),
        in_use,
    )


def remove_garbage(settings: Settings, database: str, garbage: Garbage) -> None:
    """Have `mlflow gc` remove what was found, with its artifacts.

    Raises:
        TrackingError: MLflow failed; what it had removed until then is gone, and the rest can be removed again.
    """
    from mlflow.cli import _gc_tracking_resources

    said = io.StringIO()
    with _backend(settings, database) as (store, _), contextlib.redirect_stdout(said):
        # All pages before the first deletion, which would move what is on the next ones.
        for model in list(_models(store, garbage.experiments)):
            # MLflow would drop its row with the experiment and leave its files.
            store.delete_logged_model(model.model_id)
        # The body of the command `mlflow gc`: its options cannot say "no run" or "no model", which would mean all.
        _gc_tracking_resources(
            backend_store=store,
            run_ids=list(garbage.runs),
            experiment_ids=list(garbage.experiments),
            logged_model_ids=list(garbage.models),
            older_than=None,
            time_delta=0,
            skip_experiments=not garbage.experiments,
            skip_logged_models=not garbage.models,
            # Another gc may run at the same time.
            ignore_not_found=True,
        )
    log.debug("mlflow_gc", said=said.getvalue())


@contextlib.contextmanager
def _backend(settings: Settings, database: str) -> Iterator[tuple[Any, Any]]:
    """Yield MLflow's tracking store on its database, and a client of the registry there."""
    from mlflow.tracking import MlflowClient
    from mlflow.tracking._tracking_service.utils import _get_store
    from sqlalchemy.exc import SQLAlchemyError

    if database.startswith(("http://", "https://")):
        raise ConfigError(
            f"MLflow's database is needed to remove runs for good, and {shown(database)} is a server; name the "
            "database that it works on with --database."
        )
    # Sets the tracking URI of the process as well, through which artifacts of a proxying server are deleted.
    with mlflow_client(settings):
        try:
            store = _get_store(database)
            if not hasattr(store, "_hard_delete_run"):
                raise ConfigError(f"MLflow cannot remove runs for good from {shown(database)!r}; name its database.")
            yield store, MlflowClient(database, database)
        except SQLAlchemyError as error:
            raise TrackingError(f"MLflow's database failed: {type(error).__name__}. Is it the right one?") from error


def _pages(search: Callable[..., Any], *what: Any, **how: Any) -> Iterator[Any]:
    """Yield all that one of MLflow's searches finds, asked for page by page."""
    token = None
    while True:
        page = search(*what, **how, max_results=_PAGE, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _deleted_experiments(store: Any, now_ms: int, older_than_ms: int) -> Iterator[Any]:
    from mlflow.entities import ViewType

    query = f"last_update_time < {now_ms - older_than_ms}" if older_than_ms else None
    return _pages(store.search_experiments, view_type=ViewType.DELETED_ONLY, filter_string=query)


def _runs(store: Any, experiment_id: str) -> Iterator[Any]:
    from mlflow.entities import ViewType

    return _pages(store.search_runs, [experiment_id], "", ViewType.ALL)


def _models(store: Any, experiment_ids: list[str]) -> Iterator[Any]:
    return _pages(store.search_logged_models, experiment_ids) if experiment_ids else iter(())


def _targets(client: Any) -> Iterator[_Target]:
    for model in _pages(client.search_registered_models):
        for alias, number in dict(model.aliases).items():
            version = client.get_model_version(model.name, str(number))
            source = str(version.source or "")
            model_id = version.model_id or (source.removeprefix("models:/") if source.startswith("models:/") else "")
            yield _Target(f"{model.name}@{alias}", str(number), version.run_id or "", model_id, source)


def _in_use(
    targets: Iterator[_Target], runs: dict[str, Any], models: dict[str, Any], experiments: set[str]
) -> list[InUse]:
    found = []
    for target in targets:
        uses = set()
        for run_id, info in runs.items():
            # A version made of a run's files names them, by the run or by their place.
            places = (f"runs:/{run_id}/", f"{info.artifact_uri.rstrip('/')}/")
            if run_id == target.run_id or target.source.startswith(places):
                uses |= {("run", run_id), ("experiment", str(info.experiment_id))}
        for model_id, model in models.items():
            if model_id == target.model_id or target.source.startswith(f"{model.artifact_location.rstrip('/')}/"):
                uses |= {("model", model_id), ("experiment", str(model.experiment_id))}
        found += [
            InUse(target.alias, target.version, kind, name)
            for kind, name in sorted(uses)
            if kind != "experiment" or name in experiments
        ]
    return found
