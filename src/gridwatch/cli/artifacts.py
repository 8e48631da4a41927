"""`artifacts`: list, copy, verify, check and clean up what the store keeps for MLflow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gridwatch.cli._context import now_ms, settings, store
from gridwatch.cli._output import moment, print_json, print_table, progress, working
from gridwatch.cli.data import Json
from gridwatch.errors import ConfigError

if TYPE_CHECKING:
    from gridwatch.containers.objects import ObjectInfo, ObjectStore
    from gridwatch.settings import Settings

__all__ = ["register"]

_HELP = """Model files and other artifacts in the store: list, copy, verify, check, clean up.

They are named by URIs such as [bold]griddb:///mlflow/1/model.onnx[/bold]: the store is the one at
GRIDWATCH_STORE_URL, and the path is a folder or a file in it.
"""

artifacts_app = typer.Typer(no_args_is_help=True, help=_HELP)

Place = Annotated[str, typer.Argument(metavar="[URI]", help="Folder or file, such as griddb:///mlflow; none: all.")]
Grace = Annotated[
    float, typer.Option("--grace-hours", min=0, help="Leave chunks of uploads begun so short ago; they may go on.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to the root command."""
    add = artifacts_app.command
    add(epilog="Example: gridwatch artifacts ls griddb:///mlflow -l")(ls)
    add(epilog="Example: gridwatch artifacts cp -r griddb:///mlflow/1/models/m-1/artifacts ./model")(cp)
    add(epilog="Example: gridwatch artifacts verify --json")(verify)
    add(epilog="Example: gridwatch artifacts fsck --repair")(fsck)
    add(epilog="Example: gridwatch artifacts gc --older-than 30d --dry-run")(gc)
    app.add_typer(artifacts_app, name="artifacts", rich_help_panel="Models")


def ls(
    uri: Place = "griddb:///",
    long: Annotated[bool, typer.Option("--long", "-l", help="Show sha256 and when it was stored.")] = False,
    as_json: Json = False,
) -> None:
    """List the files below a folder as a tree with sizes; folders show the sum of theirs."""
    from gridwatch.cli._tree import print_tree
    from gridwatch.containers.object_uri import uri_of

    objects, path = _objects(settings(demo=True), uri)
    found = objects.list(path, folders=True)
    if as_json:
        print_json([_described(info) for info in found if not info.is_folder])
        return
    if not found:
        typer.echo(f"Nothing at {uri_of(path)}.")
        raise typer.Exit(1 if path else 0)
    print_tree(uri_of(path), path, found, long=long)


def cp(
    source: Annotated[str, typer.Argument(metavar="FROM", help="Local path or griddb:/// URI.")],
    target: Annotated[str, typer.Argument(metavar="TO", help="The other kind; ends with / to mean a folder.")],
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Copy what is in a folder.")] = False,
    as_json: Json = False,
) -> None:
    """Copy files into the store or out of it; every byte that comes out is checked against its sha256.

    What is in the folder FROM goes into the folder TO. A file that is there already is replaced as a whole.
    """
    from gridwatch.cli._artifact_copy import download, plan_download, plan_upload, upload
    from gridwatch.containers.object_uri import is_object_uri

    if is_object_uri(source) == is_object_uri(target):
        raise ConfigError(f"One of {source!r} and {target!r} must be a griddb:/// URI, and the other a local path.")
    found = settings()
    if is_object_uri(source):
        objects, path = _objects(found, source)
        jobs = plan_download(objects, path, target, recursive=recursive)
        copy: Any = download
    else:
        objects, path = _objects(found, target)
        jobs = plan_upload(objects, Path(source), path, folder=target.endswith("/"), recursive=recursive)
        copy = upload
    total = sum(job.size for job in jobs)
    with progress("copy (KiB)") as shown:
        done = 0
        copied = []
        for job in jobs:

            def more(size: int) -> None:
                nonlocal done
                done += size
                shown(done // 1024, total // 1024)

            copied.append(copy(objects, job, more))
    if as_json:
        print_json([one for one in copied if one])
        return
    files = sum(not job.is_folder for job in jobs)
    typer.echo(f"{files:,} file{'s' if files != 1 else ''}, {total:,} bytes: {source} -> {target}")


def verify(uri: Place = "griddb:///", as_json: Json = False) -> None:
    """Read every file and check its sha256; name the corrupt ones, and exit 1 if there are any."""
    from gridwatch.containers.object_uri import uri_of
    from gridwatch.errors import ObjectCorruptError, ObjectNotFoundError

    objects, path = _objects(settings(demo=True), uri)
    found = objects.list(path)
    if path and not found:
        typer.echo(f"Nothing at {uri_of(path)}.")
        raise typer.Exit(1)
    corrupt: dict[str, str] = {}
    read = 0
    total = sum(info.size or 0 for info in found)
    with progress("verify (KiB)") as shown:
        for info in found:
            try:
                for chunk in objects.open(info.path):
                    read += len(chunk)
                    shown(read // 1024, total // 1024)
            except ObjectCorruptError as error:
                corrupt[info.path] = str(error)
            except ObjectNotFoundError:
                # Replaced or deleted meanwhile: there is nothing left to be verified.
                continue
    if as_json:
        print_json({"objects": len(found), "bytes": read, "corrupt": corrupt})
    else:
        for why in corrupt.values():
            typer.echo(why, err=True)
        typer.echo(f"{len(found):,} files, {read:,} bytes read, {len(corrupt)} corrupt.")
    if corrupt:
        raise typer.Exit(1)


def fsck(
    repair: Annotated[bool, typer.Option("--repair", help="Delete what broken uploads left.")] = False,
    grace_hours: Grace = 24.0,
    as_json: Json = False,
) -> None:
    """Compare the files' manifests with their chunks, by number and size; exit 1 when a file is broken.

    Chunks without a manifest are what an upload left that was killed; --repair deletes them. A broken file stays
    where it is, so that reading it is an error: store it again, or restore the store from a backup.
    """
    from gridwatch.containers.object_uri import uri_of

    objects, _ = _objects(settings(demo=not repair), "griddb:///")
    with working("fsck"):
        found = objects.check(grace_ms=int(grace_hours * 3_600_000))
        collected = objects.delete_orphans(found.orphans) if repair else 0
    if as_json:
        print_json({"findings": found, "collected_chunks": collected})
    else:
        for path, why in found.broken.items():
            typer.echo(f"broken: {uri_of(path)}: {why}", err=True)
        for kind, orphans in (("orphan", found.orphans), ("upload", found.uploads)):
            rows = [(kind, one.object_id, moment(one.begun_ms), len(one.chunks), f"{one.size:,}") for one in orphans]
            if rows:
                print_table(("", "id", "begun (UTC)", "chunks", "bytes"), rows)
        typer.echo(
            f"{found.objects:,} files, {found.size:,} bytes: {len(found.broken)} broken, {len(found.orphans)} broken "
            f"uploads{' deleted' if repair and found.orphans else ''}, {len(found.uploads)} that may be going on."
        )
        if found.orphans and not repair:
            typer.echo("Delete what broken uploads left with: gridwatch artifacts fsck --repair")
    if found.broken:
        raise typer.Exit(1)


def gc(
    older_than: Annotated[str, typer.Option(help="Only what was deleted so long ago: 30d, 12h, 1d12h.")] = "0d",
    database: Annotated[
        str | None, typer.Option(metavar="URL", help="MLflow's database, where MLflow is reached as a server.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be removed.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    grace_hours: Grace = 24.0,
    as_json: Json = False,
) -> None:
    """Remove for good what is deleted in MLflow: runs, models and experiments, with their files.

    What an alias such as champion still points to is kept and named, and the exit status is 1; plain `mlflow gc` would
    remove it. Afterwards the chunks that broken uploads left are deleted.
    """
    from gridwatch.tracking.garbage import find_garbage, remove_garbage

    # Not through a running server: only the database can forget a run.
    found = settings(running=False)
    address = database or found.tracking_uri
    with working("looking for what is deleted"):
        garbage = find_garbage(found, address, now_ms=now_ms(), older_than_ms=_duration_ms(older_than))
    removable = (("run", garbage.runs), ("model", garbage.models), ("experiment", garbage.experiments))
    if not as_json:
        for one in garbage.in_use:
            typer.echo(
                f"kept: {one.kind} {one.id} is deleted, but {one.alias} (version {one.version}) uses it", err=True
            )
        for kind, names in removable:
            for name in names:
                typer.echo(f"{'would remove' if dry_run else 'remove'}: {kind} {name}")
    orphans = 0
    if not dry_run:
        if any(names for _, names in removable):
            if not (yes or as_json):
                typer.confirm("Remove these for good?", abort=True)
            with working("mlflow gc"):
                remove_garbage(found, address, garbage)
        orphans = _clean_up(found, grace_hours)
    if as_json:
        print_json({"garbage": garbage, "removed": not dry_run, "orphan_chunks": orphans})
    elif not dry_run:
        counted = ", ".join(f"{len(names)} {kind}{'' if len(names) == 1 else 's'}" for kind, names in removable)
        typer.echo(f"Removed {counted}; {orphans} chunks of broken uploads deleted.")
    if garbage.in_use:
        raise typer.Exit(1)


def _clean_up(found: Settings, grace_hours: float) -> int:
    """Delete orphan chunks, and give the space of what is gone back to the file system where the store is a file."""
    from gridwatch.containers.sqlite import SqliteStore

    objects, _ = _objects(found, "griddb:///")
    with working("collecting orphan chunks"):
        orphans = objects.collect_orphans(grace_ms=int(grace_hours * 3_600_000))
        if isinstance(objects.store, SqliteStore):
            objects.store.compact()
    return orphans


def _duration_ms(text: str) -> int:
    import re

    match = re.fullmatch(r"(?:(\d+(?:\.\d+)?)d)?(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?", text)
    if not text or match is None:
        raise ConfigError(f"--older-than {text!r} is no duration; write it as 30d, 12h or 1d12h30m.")
    units_ms = (86_400_000, 3_600_000, 60_000, 1000)
    return int(sum(float(value) * unit for value, unit in zip(match.groups(), units_ms, strict=True) if value))


def _objects(found: Settings, uri: str) -> tuple[ObjectStore, str]:
    """Return the objects of the settings' store, and the path in it that a URI names."""
    from gridwatch.containers.object_uri import ObjectUri, is_object_uri
    from gridwatch.containers.objects import ObjectStore

    place = ObjectUri.parse(uri if is_object_uri(uri) else f"griddb:///{uri}")
    if not place.is_in(found.store):
        raise ConfigError(f"{uri} names another store than GRIDWATCH_STORE_URL, {found.store}; set it to that one.")
    return ObjectStore(store(found), now_ms=now_ms), place.path


def _described(info: ObjectInfo) -> dict[str, Any]:
    from gridwatch.containers.object_uri import uri_of

    return {
        "uri": uri_of(info.path),
        "path": info.path,
        "size": info.size,
        "sha256": info.sha256,
        "stored_ms": info.stored_ms,
    }
