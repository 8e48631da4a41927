"""`jobs train`: a job's network, trained anew."""

from __future__ import annotations

from typing import Annotated

import typer

from gridwatch.cli._jobs import Json, open_service
from gridwatch.cli._output import print_json, progress

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to `jobs`."""
    app.command("train", epilog="Example: gridwatch jobs train event_rate_lstm")(train)


def train(
    job_id: Annotated[str, typer.Argument(metavar="ID", help="Of the job, which has to be open.")],
    as_json: Json = False,
) -> None:
    """Train the LSTM of a job anew, on its newest buckets. It judges from then on if it is better than the one so far.

    Both expect the newest tenth of these buckets, which the new one has not learnt; the smaller error wins. The first
    training of a job comes by itself, after model.train_buckets buckets. All are versions of job-ID in MLflow.
    """
    with open_service() as service:
        with progress(f"train {job_id}, epochs") as shown:
            done = service.train_job(job_id, progress=shown)
        message = service.messages.of(job_id, newest=1)[0]["message"]
    if as_json:
        print_json(done)
    else:
        typer.echo(message)
