"""gridwatch's own pages. A module here with a `blueprint` is a page: `shell.page_blueprint` makes it.

`docs/pages.md` says how a page is added, and what the shell gives it.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Blueprint

__all__ = ["blueprints"]


def blueprints() -> list[Blueprint]:
    """Return the blueprints of all pages, by name of their module."""
    modules = [importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)]
    return [module.blueprint for module in modules if hasattr(module, "blueprint")]
