"""`endpoint`: how a function becomes an address of the API."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from typing import Any, Literal, TypeAlias

from flask import Blueprint, Response, g, request

from gridwatch.server.ml_api.access import enter
from gridwatch.server.ml_api.asked import Asked
from gridwatch.server.ml_api.errors import MlApiError
from gridwatch.server.ml_api.filter_path import filtered
from gridwatch.server.ml_api.media import DATA_BYTES_MAX, answer, answer_type, body_bytes, parsed

__all__ = ["BodyKind", "View", "blueprint", "endpoint"]

BodyKind: TypeAlias = Literal["none", "parameters", "config", "perhaps", "rows"]
"""What a body is: nothing that is allowed, parameters (which the address may have too), a config that is needed, one
that may be left out, or rows."""

View: TypeAlias = Callable[..., Any]

blueprint = Blueprint("ml_api", __name__)


def endpoint(
    methods: str,
    *paths: str,
    parameters: Collection[str] = (),
    body: BodyKind = "none",
    body_only: Collection[str] = (),
    write: bool = False,
    heavy: bool = False,
) -> Callable[[View], View]:
    """Make a view of a function that takes `Asked` and the parts of the path, and returns JSON, or JSON and a status.

    Args:
        methods: Of HTTP, by blanks.
        *paths: Addresses, as Flask writes them.
        parameters: That the address takes; with `body="parameters"` its body too.
        body: What its body is.
        body_only: Keys of a body of parameters that the address does not take.
        write: Whether it changes something: callers who may only read are refused.
        heavy: Whether it reads or analyses many rows: fewer of them go on at once.
    """

    def made(view: View) -> View:
        @functools.wraps(view)
        def answered(**path: str) -> Response:
            g.ml_type = answer_type()
            enter(write=write, heavy=heavy)
            found = view(_asked(parameters, body, (*parameters, *body_only, *path)), **path)
            value, status = found if isinstance(found, tuple) else (found, 200)
            wanted = request.args.get("filter_path")
            return answer(filtered(value, wanted) if wanted else value, status)

        for path in paths:
            blueprint.add_url_rule(
                path, endpoint=view.__name__, view_func=answered, methods=methods.split(), strict_slashes=False
            )
        return answered

    return made


def _asked(parameters: Collection[str], kind: BodyKind, names: Collection[str]) -> Asked:
    rows = kind == "rows"
    content = body_bytes(lines=True, most=DATA_BYTES_MAX) if rows else body_bytes()
    if kind == "none" and content.strip():
        raise MlApiError(400, "illegal_argument_exception", "this request does not support having a body.")
    if kind in {"config", "rows"} and not content.strip():
        raise MlApiError(400, "parse_exception", "request body is required.")
    value = parsed(content) if content.strip() and not rows else None
    asked = Asked.of(parameters, value, body_names=names if kind == "parameters" else ())
    return Asked(asked.given, value, content) if rows else asked
