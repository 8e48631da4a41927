"""MLflow: runs, models and the champion of each dataset. The only home of MLflow besides `mlflow_plugins`.

A logged model holds the Keras flavour and two more files, `model.onnx` and `detector.json`; scoring downloads those
two only. MLflow takes seconds to import, so it is imported when it is called.
"""

from gridwatch.tracking.champions import ChampionModel, champion, find_champion, model_versions
from gridwatch.tracking.client import ALIAS
from gridwatch.tracking.curves import Curves, training_curves
from gridwatch.tracking.evaluations import Evaluation, record_evaluation
from gridwatch.tracking.recorded import RecordedVersion, kept_parts, recorded_version, server_away
from gridwatch.tracking.recording import Recorded, Training, crown, record, write_flavour

__all__ = [
    "ALIAS",
    "ChampionModel",
    "Curves",
    "Evaluation",
    "Recorded",
    "RecordedVersion",
    "Training",
    "champion",
    "crown",
    "find_champion",
    "kept_parts",
    "model_versions",
    "record",
    "record_evaluation",
    "recorded_version",
    "server_away",
    "training_curves",
    "write_flavour",
]
