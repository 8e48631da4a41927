"""The streams that a series is turned into, their order, and the empty state for them.

Streams that are odd at either end come first: the kernels keep the lowest values of those alone.
"""

from __future__ import annotations

from dataclasses import fields

import numpy as np

from gridwatch.detectors.base import Floats
from gridwatch.detectors.online.config import AutoConfig
from gridwatch.detectors.online.kernels import SINCE, TOP, Constants, Plan, State

__all__ = ["constants_of", "empty_past", "empty_state", "knots_at", "members_of", "plan_of"]

_SLACK_ROWS = 1024  # rows between two moves of the history to its start
_STRETCH_SLACK_ROWS = 256
_RECENT = "recent"  # never judged: it gives the band where days do not repeat


def members_of(config: AutoConfig) -> tuple[str, ...]:
    """Return the names of the streams in order; the last is the combination of all.

    >>> members_of(AutoConfig(shape=(), nearest=0, aligned=(), flat=False))[:4]
    ('recent', 'value', 'seasonal', 'deviation-24')
    """
    two_sided = [_RECENT]
    two_sided += [name for name, wanted in (("value", config.value), ("seasonal", config.seasonal)) if wanted]
    for name, widths in (("deviation", config.deviation), ("mean", config.mean), ("change", config.change)):
        two_sided += [f"{name}-{width}" for width in widths]
    upper = [f"shape-{width}" for width in config.shape]
    upper += [f"nearest-{config.nearest}"] if config.nearest else []
    upper += [f"aligned-{width}" for width in config.aligned]
    upper += ["flat"] if config.flat else []
    return (*two_sided, *upper, "combined")


def constants_of(config: AutoConfig) -> Constants:
    """Return the numbers that the kernels take."""
    own = {item.name for item in fields(config)}
    return Constants(**{name: getattr(config, name) for name in Constants._fields if name in own})


def plan_of(config: AutoConfig) -> Plan:
    """Return which stream is whose."""
    members = members_of(config)
    place = {name: number for number, name in reversed(list(enumerate(members)))}

    def first(name: str, widths: tuple[int, ...]) -> int:
        return place[f"{name}-{widths[0]}"] if widths else -1

    return Plan(
        constants=constants_of(config),
        value=place.get("value", -1),
        residual=place.get("seasonal", -1),
        recent=place[_RECENT],
        flat=place.get("flat", -1),
        two_sided=1 + config.value + config.seasonal + len(config.deviation) + len(config.mean) + len(config.change),
        combined=place["combined"],
        room=config.tail_rows_max,
        bins=config.bins,
        deviation=np.array(config.deviation, np.int64),
        mean=np.array(config.mean, np.int64),
        change=np.array(config.change, np.int64),
        shape=np.array(config.shape, np.int64),
        aligned=np.array(config.aligned, np.int64),
        nearest=config.shape.index(config.nearest) if config.nearest else -1,
        deviation_at=first("deviation", config.deviation),
        mean_at=first("mean", config.mean),
        change_at=first("change", config.change),
        shape_at=first("shape", config.shape),
        nearest_at=place.get(f"nearest-{config.nearest}", -1),
        aligned_at=first("aligned", config.aligned),
        judged=np.array([name not in {_RECENT, "combined"} for name in members], np.int64),
    )


def knots_at(config: AutoConfig) -> slice:
    """Return where in the past of a stream the knots of its body are."""
    start = TOP + 2 * config.tail_rows_max
    return slice(start, start + config.bins)


def empty_past(config: AutoConfig) -> Floats:
    """Return the past of a stream that has had no number yet, float64 (k,)."""
    past = np.zeros(TOP + 2 * config.tail_rows_max + 3 * config.bins + 1)
    past[knots_at(config)] = np.inf
    return past


def empty_state(config: AutoConfig, series: int = 1) -> State:
    """Return the state of series that have no rows yet."""
    shapes, stretch_rows = len(config.shape), config.lag_max + _STRETCH_SLACK_ROWS
    lags = config.days * (2 * config.shift + 1)
    state = State(
        counts=np.zeros((series, 7), np.int64),
        numbers=np.zeros((series, 11)),
        steps=np.zeros((series, config.warm_rows - 1), np.int64),
        rows=np.zeros((series, config.history_rows + _SLACK_ROWS)),
        stretch_mean=np.zeros((series, shapes, stretch_rows)),
        stretch_square=np.zeros((series, shapes, stretch_rows)),
        stretch_inverse=np.zeros((series, shapes, stretch_rows)),
        products=np.zeros((series, shapes, config.lag_max)),
        terms=np.zeros((series, max((*config.aligned, 1)), lags)),
        sums=np.zeros((series, max(len(config.aligned), 1), lags)),
        past=np.tile(empty_past(config), (series, len(members_of(config)), 1)),
        held=np.zeros((series, config.hold_rows)),
    )
    # So that the dead time is over at the start.
    state.counts[:, SINCE] = config.dead_rows
    return state
