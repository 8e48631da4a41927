"""Who is told of an anomaly, and what its series is called: the dataset file behind an anomaly container."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from gridwatch.alerts.anomaly import severity_rank
from gridwatch.containers.catalog import anomaly_container
from gridwatch.errors import DatasetError, DeliveryError
from gridwatch.recipients import wants

if TYPE_CHECKING:
    from gridwatch.settings import Settings
    from gridwatch.sources.dataset import Dataset

__all__ = ["AddressBook"]

log = structlog.get_logger(__name__)


class AddressBook:
    """Finds the dataset of an anomaly container among the files of `settings.datasets_dir`.

    The files are read again when they change.
    A file that cannot be read is logged and passed over: one broken dataset must not keep the others' mails back.
    """

    def __init__(self, settings: Settings) -> None:
        self._folder = settings.datasets_dir
        self._fallback = settings.alerts.recipients
        self._seen: object = None
        self._datasets: dict[str, Dataset] = {}
        self._broken: list[str] = []

    def dataset(self, container: str) -> Dataset | None:
        """Return the dataset whose anomalies go to this container, or None."""
        return self._load().get(container.lower())

    def recipients(self, container: str, severity: str | None = None) -> list[str]:
        """Return who is told of such an anomaly: by the dataset, else by the settings; no address twice.

        Args:
            container: Of the anomaly.
            severity: Its severity; one without any is told to all.

        Returns:
            Addresses; none where there are some, but all want to hear of worse things only.

        Raises:
            DeliveryError: There is none at all; the message says where to write one. It may pass: somebody can fill it
                in.
        """
        dataset = self.dataset(container)
        chosen = (dataset.recipients if dataset else []) or self._fallback
        if chosen:
            told = [address for address, least in map(wants, chosen) if _reaches(severity, least)]
            found: dict[str, str] = {}
            for address in told:
                found.setdefault(address.lower(), address)
            return list(found.values())
        if dataset:
            where = f"`recipients` of dataset {dataset.name!r} in {str(self._folder)!r} is empty"
        else:
            where = f"no dataset file in {str(self._folder)!r} writes to {container}"
            where += f" ({'; '.join(self._broken)})" if self._broken else ""
        raise DeliveryError(
            f"Nobody to tell about {container}: {where}; fill it in, or set GRIDWATCH_ALERTS__RECIPIENTS.",
            permanent=False,
            retry_after_s=None,
            status=None,
        )

    def containers(self) -> list[str]:
        """Return the containers of all datasets that can be read, each once."""
        return list({dataset.container: None for dataset in self._load().values()})

    def _load(self) -> dict[str, Dataset]:
        from gridwatch.sources.dataset import load_dataset

        paths = sorted(self._folder.glob("*.json"))
        state = [(path, stat.st_mtime_ns, stat.st_size) for path in paths for stat in [path.stat()]]
        if state == self._seen:
            return self._datasets
        datasets: dict[str, Dataset] = {}
        broken: list[str] = []
        for path in paths:
            try:
                dataset = load_dataset(path)
            except DatasetError as error:
                log.warning("dataset_unreadable", path=str(path), error=str(error))
                broken.append(str(error))
            else:
                datasets.setdefault(anomaly_container(dataset.symbol).lower(), dataset)
        self._datasets, self._broken, self._seen = datasets, broken, state
        return datasets


def _reaches(severity: str | None, least: str | None) -> bool:
    # What nobody has rated may be the worst.
    return least is None or not severity or severity_rank(severity) <= severity_rank(least)
