"""A training in MLflow: a run, a logged model and a version of the registered model."""

from __future__ import annotations

import json
import shutil
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from gridwatch.errors import TrackingError
from gridwatch.tracking.champions import keep
from gridwatch.tracking.client import ALIAS, mlflow_client

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from gridwatch.settings import Settings

__all__ = ["Recorded", "Training", "crown", "experiment_of", "record", "write_flavour"]

log = structlog.get_logger(__name__)

_METRICS_A_BATCH = 1000  # MLflow's limit for one request
_FLAVOUR_PACKAGES = ("keras", "numpy", "tensorflow-cpu", "tensorflow")


@dataclass(frozen=True, slots=True, eq=False)
class Training:
    """What one training hands to MLflow.

    Attributes:
        dataset: Name of the dataset.
        model_name: Name of the registered model.
        container: Container of the rows.
        kind: Kind of the detector.
        network: The Keras model, or the folder that `write_flavour` wrote of it; None for a detector that is not
            trained with Keras.
        parts: The saved detector, by file name.
        sha256: Hex digest over `parts`.
        example: Windows float32 (n, window, 1) as the network takes them; None without a network.
        params: What was chosen.
        epochs: Metrics of each epoch, first to last.
        metrics: Metrics of the whole run.
        tags: Of the run, the logged model and the version.
        rows: Digest and range of the rows: `digest`, `rows`, `from_ms`, `to_ms`, and `columns`, types by name; `sha256`
            where the whole digest is known.
        files: Further artifacts of the run, by path.
        started_ms: When it began, UTC epoch ms.
        ended_ms: When it ended.
    """

    dataset: str
    model_name: str
    container: str
    kind: str
    network: Any
    parts: Mapping[str, bytes]
    sha256: str
    example: npt.NDArray[np.float32] | None
    params: Mapping[str, Any]
    epochs: Sequence[Mapping[str, float]]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    rows: Mapping[str, Any]
    files: Mapping[str, bytes] = field(default_factory=dict)
    started_ms: int = 0
    ended_ms: int = 0


@dataclass(frozen=True, slots=True)
class Recorded:
    """Where MLflow has put a training."""

    run_id: str
    model_id: str
    model_version: str
    model_uri: str


def record(settings: Settings, training: Training) -> Recorded:
    """Write a training to MLflow as a run, a logged model and a version of the registered model.

    Raises:
        TrackingError: MLflow refused or failed; a run that had begun is marked FAILED.
    """
    with mlflow_client(settings) as client:
        experiment_id = experiment_of(client, settings)
        name = f"{training.dataset}-{training.sha256[:8]}"
        run_id = client.create_run(
            experiment_id, start_time=training.started_ms, tags=_run_tags(training), run_name=name
        ).info.run_id
        status = "FAILED"
        try:
            recorded = _record(client, experiment_id, run_id, training)
            status = "FINISHED"
        finally:
            client.set_terminated(run_id, status, end_time=training.ended_ms)
    keep(settings, training.sha256, training.parts)
    log.info("training_recorded", dataset=training.dataset, run_id=run_id, model_version=recorded.model_version)
    return recorded


def crown(settings: Settings, model_name: str, model_version: str) -> None:
    """Make a version of a registered model its champion.

    Raises:
        TrackingError: There is no such version, or MLflow failed.
    """
    with mlflow_client(settings) as client:
        client.set_registered_model_alias(model_name, ALIAS, model_version)


def experiment_of(client: Any, settings: Settings, suffix: str = "") -> str:
    """Return the id of the settings' experiment, its name with a suffix; it is made where it is missing.

    Raises:
        TrackingError: It is deleted.
    """
    name = settings.mlflow.experiment + suffix
    found = client.get_experiment_by_name(name)
    if found is None:
        # MLflow's pages open on models, not on chats.
        kind = {"mlflow.experimentKind": "custom_model_development"}
        return str(client.create_experiment(name, artifact_location=settings.mlflow.artifact_root, tags=kind))
    if found.lifecycle_stage != "active":
        raise TrackingError(
            f"MLflow experiment {name!r} is deleted; restore it, or set GRIDWATCH_MLFLOW__EXPERIMENT to another name."
        )
    return str(found.experiment_id)


def _run_tags(training: Training) -> dict[str, str]:
    tags = {"mlflow.source.name": "gridwatch", "mlflow.source.type": "PROJECT", "gridwatch.dataset": training.dataset}
    own = {"gridwatch.sha256": training.sha256, "gridwatch.detector": training.kind}
    return tags | own | dict(training.tags)


def _record(client: Any, experiment_id: str, run_id: str, training: Training) -> Recorded:
    from mlflow.entities import LoggedModelOutput, Param

    params = {name: str(value) for name, value in training.params.items()}
    client.log_batch(run_id, params=[Param(name, value) for name, value in params.items()])
    _log_rows(client, run_id, training)
    model = client.create_logged_model(
        experiment_id, name=training.model_name, source_run_id=run_id, params=params, tags=_run_tags(training)
    )
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
    with tempfile.TemporaryDirectory(prefix="gridwatch-") as folder:
        _write_model(Path(folder) / "model", training, model.model_id, run_id)
        client.log_model_artifacts(model.model_id, str(Path(folder) / "model"))
        for path, content in training.files.items():
            file = Path(folder) / "run" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        if training.files:
            client.log_artifacts(run_id, str(Path(folder) / "run"))
    client.finalize_logged_model(model.model_id, "READY")
    _log_metrics(client, run_id, model.model_id, training)
    number = _register(client, run_id, model.model_id, training)
    return Recorded(run_id, model.model_id, number, f"models:/{training.model_name}/{number}")


def _log_rows(client: Any, run_id: str, training: Training) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    rows = training.rows
    schema = {"mlflow_colspec": [{"type": kind, "name": name} for name, kind in rows["columns"].items()]}
    source = {"tags": {"container": training.container, **{key: rows[key] for key in ("from_ms", "to_ms")}}}
    entity = Dataset(
        name=training.container,
        digest=rows["digest"],
        source_type="code",
        source=json.dumps(source),
        schema=json.dumps(schema),
        profile=json.dumps({"num_rows": rows["rows"]}),
    )
    client.log_inputs(run_id, [DatasetInput(entity, [InputTag("mlflow.data.context", "training")])])


def _log_metrics(client: Any, run_id: str, model_id: str, training: Training) -> None:
    from mlflow.entities import Metric

    when = training.ended_ms
    metrics = [
        Metric(name, value, when, step)
        for step, epoch in enumerate(training.epochs, start=1)
        for name, value in epoch.items()
    ]
    # Metrics that belong to the model show on its page too, where models are compared.
    of_model = {"model_id": model_id, "dataset_name": training.container, "dataset_digest": training.rows["digest"]}
    metrics += [Metric(name, value, when, 0, **of_model) for name, value in training.metrics.items()]
    for start in range(0, len(metrics), _METRICS_A_BATCH):
        client.log_batch(run_id, metrics=metrics[start : start + _METRICS_A_BATCH])


def _write_model(path: Path, training: Training, model_id: str, run_id: str) -> None:
    """Write the model folder: what MLflow reads of it, and the detector's files."""
    from mlflow.models import Model

    path.mkdir()
    described = Model(
        run_id=run_id,
        model_uuid=model_id,
        model_id=model_id,
        metadata={"gridwatch": {"sha256": training.sha256, "files": sorted(training.parts)}},
    )
    if isinstance(training.network, Path):
        shutil.copytree(training.network, path, dirs_exist_ok=True)
        ours, described = described, Model.load(str(path))
        described.run_id, described.model_uuid, described.model_id = run_id, model_id, model_id
        described.metadata = ours.metadata
        described.save(str(path / "MLmodel"))
    elif training.network is None or training.example is None:
        # No flavour of MLflow's own: gridwatch scores with the files below, whatever their kind.
        described.add_flavor("gridwatch", kind=training.kind, files=sorted(training.parts))
        described.save(str(path / "MLmodel"))
    else:
        _write_keras(path, training.network, training.example, described)
    for name, content in training.parts.items():
        (path / name).write_bytes(content)


def write_flavour(path: Path, network: Any, example: npt.NDArray[np.float32]) -> None:
    """Write a model folder of a Keras model that another process is to record.

    Args:
        path: A folder that is not there yet.
        network: The Keras model.
        example: Windows float32 (n, window, 1) as it takes them.
    """
    from mlflow.models import Model

    path.mkdir()
    _write_keras(path, network, example, Model())


def _write_keras(path: Path, network: Any, example: npt.NDArray[np.float32], described: Any) -> None:
    """Write the Keras flavour with a signature and an input example."""
    with warnings.catch_warnings():
        # MLflow warns of its own type hints while it is imported.
        warnings.simplefilter("ignore")
        import mlflow.pyfunc  # noqa: F401
    from mlflow.keras import save_model
    from mlflow.models.signature import ModelSignature
    from mlflow.types.schema import Schema, TensorSpec

    window = TensorSpec(example.dtype, (-1, *example.shape[1:]), "window")
    prediction = TensorSpec(example.dtype, (-1, 1), "prediction")
    save_model(
        network,
        str(path),
        mlflow_model=described,
        signature=ModelSignature(Schema([window]), Schema([prediction])),
        input_example=example,
        # Given, because MLflow would otherwise load the model in another process to find out.
        pip_requirements=[f"{name}=={found}" for name in _FLAVOUR_PACKAGES if (found := _version(name))],
        metadata=described.metadata,
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _register(client: Any, run_id: str, model_id: str, training: Training) -> str:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(
            training.model_name, description=f"Scores the rows of {training.container}.", tags=None
        )
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    learnt = {key: training.rows[key] for key in ("rows", "from_ms", "to_ms", "sha256") if key in training.rows}
    files = {"gridwatch.files": json.dumps(sorted(training.parts)), "gridwatch.learnt": json.dumps(learnt)}
    tags = {**_run_tags(training), **files}
    made = client.create_model_version(
        training.model_name, f"models:/{model_id}", run_id=run_id, tags=tags, model_id=model_id
    )
    # What MLflow's own log_model writes, so that the model's page links to the version.
    link = [{"name": training.model_name, "version": int(made.version)}]
    client.set_logged_model_tags(model_id, {"mlflow.modelVersions": json.dumps(link)})
    return str(made.version)
