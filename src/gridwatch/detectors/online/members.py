"""The streams that a series is turned into, their order, and the empty state for them.

Streams that are odd at either end come first: the kernels keep the lowest values of those alone.
"""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import numpy.typing as npt

from gridwatch.detectors.base import Floats
from gridwatch.detectors.online.config import AutoConfig
from gridwatch.detectors.online.forecast import room
from gridwatch.detectors.online.layout import (
    COUNTS,
    DAY,
    FILL,
    LAST_MS,
    NEWEST,
    NUMBERS,
    SCALE,
    SEEN,
    SINCE,
    STRETCH,
    TOP,
    USED,
    Constants,
    Plan,
    State,
)

__all__ = ["all_knots", "constants_of", "empty_past", "empty_state", "in_bounds", "members_of", "plan_of"]

# Rows between two moves of what is kept to its start: few bytes to keep, and few to move a row.
_SLACK_NEWEST, _SLACK_ROWS, _SLACK_STRETCHES = 64, 256, 128
_RECENT = "recent"  # never judged: it gives the band where days do not repeat


def members_of(config: AutoConfig) -> tuple[str, ...]:
    """Return the names of the streams in order; the last is the combination of all.

    >>> members_of(AutoConfig(shape=(), nearest=0, aligned=(), flat=False))[:4]
    ('recent', 'value', 'seasonal', 'ewma-30')
    """
    two_sided = [_RECENT]
    two_sided += [name for name, wanted in (("value", config.value), ("seasonal", config.seasonal)) if wanted]
    two_sided += [f"ewma-{span}" for span in config.ewma]
    two_sided += [f"forecast-{config.forecast}"] if config.forecast else []
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
    numbers = {name: getattr(config, name) for name in Constants._fields if name in own}
    return Constants(room=config.tail_rows_max, **numbers)


def plan_of(config: AutoConfig) -> Plan:
    """Return which stream is whose."""
    members = members_of(config)
    place = {name: number for number, name in reversed(list(enumerate(members)))}

    def first(name: str, widths: tuple[int, ...]) -> int:
        return place[f"{name}-{widths[0]}"] if widths else -1

    two_sided = 1 + config.value + config.seasonal + len(config.ewma) + bool(config.forecast)
    two_sided += len(config.deviation) + len(config.mean) + len(config.change)
    windows = sorted({*config.deviation, *config.mean, *config.shape})
    sizes = [_past_size(config, number < two_sided) for number in range(len(members))]
    return Plan(
        constants=constants_of(config),
        value=place.get("value", -1),
        residual=place.get("seasonal", -1),
        recent=place[_RECENT],
        flat=place.get("flat", -1),
        forecast_at=place.get(f"forecast-{config.forecast}", -1),
        ewma_at=first("ewma", config.ewma),
        two_sided=two_sided,
        combined=place["combined"],
        nearest=config.shape.index(config.nearest) if config.nearest else -1,
        deviation_at=first("deviation", config.deviation),
        mean_at=first("mean", config.mean),
        change_at=first("change", config.change),
        shape_at=first("shape", config.shape),
        nearest_at=place.get(f"nearest-{config.nearest}", -1),
        aligned_at=first("aligned", config.aligned),
        newest_kept=max((*windows, *config.change, config.forecast, 30)) + 1,
        rows_kept=config.history_rows + max((*config.shape, *config.aligned, 1)) + 1,
        past_at=np.cumsum([0, *sizes], dtype=np.int64),
        judged=np.array([name not in {_RECENT, "combined"} for name in members], np.int64),
        windows=np.array(windows, np.int64),
        deviation_in=np.array([windows.index(width) for width in config.deviation], np.int64),
        mean_in=np.array([windows.index(width) for width in config.mean], np.int64),
        shape_in=np.array([windows.index(width) for width in config.shape], np.int64),
        change=np.array(config.change, np.int64),
        ewma=np.array(config.ewma, np.int64),
        shape=np.array(config.shape, np.int64),
        aligned=np.array(config.aligned, np.int64),
    )


def _past_size(config: AutoConfig, two_sided: bool) -> int:
    return TOP + (2 if two_sided else 1) * config.tail_rows_max + 3 * config.bins


def empty_past(config: AutoConfig, *, two_sided: bool) -> Floats:
    """Return the past of a stream that has had no number yet, float64 (k,)."""
    past = np.zeros(_past_size(config, two_sided))
    start = TOP + config.tail_rows_max
    past[start : start + config.bins] = np.inf  # knots that are not in use
    return past


def all_knots(config: AutoConfig) -> npt.NDArray[np.bool_]:
    """Return where in `State.past` of a series the knots are, the only numbers that may be infinite."""
    two_sided = plan_of(config).two_sided
    pasts = [empty_past(config, two_sided=number < two_sided) for number in range(len(members_of(config)))]
    return np.isinf(np.concatenate(pasts))


def in_bounds(state: State, config: AutoConfig) -> bool:
    """Return whether the kernels stay inside the arrays of a state: whether its counts are such as they make them."""
    plan, counts, huge = plan_of(config), state.counts, np.iinfo(np.int64)
    least, most = np.zeros(COUNTS, np.int64), np.full(COUNTS, huge.max)
    least[LAST_MS], most[DAY] = huge.min, config.history_rows // 2
    least[[NEWEST, FILL, STRETCH]] = plan.newest_kept - 1, plan.rows_kept - 1, config.lag_max - 1
    most[[NEWEST, FILL, STRETCH]] = state.newest.shape[1] - 1, state.rows.shape[1] - 1, state.stretches.shape[3] - 1
    seen, used = state.past[:, plan.past_at[:-1] + SEEN], state.past[:, plan.past_at[:-1] + USED]
    fit = np.all((counts >= least) & (counts <= most)) and np.all((seen >= 0) & (used >= 0) & (used <= config.bins))
    return bool(fit and np.all(state.numbers[:, SCALE] > 0))


def empty_state(config: AutoConfig, series: int = 1) -> State:
    """Return the state of series that have no rows yet."""
    plan, shapes = plan_of(config), len(config.shape)
    pasts = [empty_past(config, two_sided=number < plan.two_sided) for number in range(len(members_of(config)))]
    state = State(
        counts=np.zeros((series, COUNTS), np.int64),
        numbers=np.zeros((series, NUMBERS)),
        steps=np.zeros((series, config.warm_rows - 1), np.int64),
        newest=np.zeros((series, plan.newest_kept + _SLACK_NEWEST)),
        rows=np.zeros((series, plan.rows_kept + _SLACK_ROWS), np.float32),
        stretches=np.zeros((series, shapes, 3, config.lag_max + _SLACK_STRETCHES), np.float32),
        distances=np.zeros((series, shapes, config.lag_max), np.float32),
        sums=np.zeros((series, len(config.aligned), config.days * (2 * config.shift + 1)), np.float32),
        forecast=np.zeros((series, room(len(config.ewma), config.forecast))),
        past=np.tile(np.concatenate(pasts), (series, 1)),
        held=np.zeros((series, config.hold_rows)),
    )
    # The rows before the first are zeros, so that no lag has to be looked at by itself while there are few rows.
    state.counts[:, NEWEST] = plan.newest_kept - 1
    state.counts[:, FILL] = plan.rows_kept - 1
    state.counts[:, STRETCH] = config.lag_max - 1
    # So that the dead time is over at the start.
    state.counts[:, SINCE] = config.dead_rows
    state.numbers[:, SCALE] = 1.0
    return state
