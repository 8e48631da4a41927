"""Long lists, a page at a time: which rows an address asks for, and the addresses of its neighbours."""

from __future__ import annotations

from dataclasses import dataclass

from flask import request, url_for

from gridwatch.server.pages.asked import number_of

__all__ = ["PAGE_ROWS", "Paging", "paging_of"]

PAGE_ROWS = 50
"""Rows of a page unless the address says otherwise."""

_ROWS_MAX = 500
_PAGES_MAX = 100_000_000


@dataclass(frozen=True, slots=True)
class Paging:
    """One page of a list.

    Attributes:
        page: Its number, from 1; the last one where the address asks for more.
        size: Rows of a page.
        count: Rows of the whole list.
        name: The parameter of the address that says which page.
    """

    page: int
    size: int
    count: int
    name: str

    @property
    def offset(self) -> int:
        """How many rows come before."""
        return (self.page - 1) * self.size

    @property
    def pages(self) -> int:
        """How many pages there are, one at least."""
        return max(1, -(-self.count // self.size))

    @property
    def last(self) -> int:
        """Number of the last row shown, from 1; 0 in an empty list."""
        return min(self.offset + self.size, self.count)

    def url(self, page: int) -> str:
        """Return the address of another page of the same list, its filters kept."""
        asked = {name: values for name, values in request.args.lists() if name != self.name}
        return url_for(str(request.endpoint), **{**(request.view_args or {}), **asked, self.name: page})


def paging_of(count: int, *, name: str = "page") -> Paging:
    """Return the page that the address asks for, by `page` and `rows`.

    Args:
        count: Rows of the whole list.
        name: The parameter, where one address shows several lists.
    """
    size = number_of("rows", PAGE_ROWS, most=_ROWS_MAX)
    asked = number_of(name, 1, most=_PAGES_MAX)
    return Paging(min(asked, max(1, -(-count // size))), size, count, name)
