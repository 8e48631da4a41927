"""How odd is a number among all numbers before it? -log10 of a p-value, from a rank and a fitted tail.

The p-value of a number that is not among the highest `tail_share` is its conformal rank, (how many earlier ones are as
high + 1) / (how many there are + 1): Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random World" (2005);
Laxhammar and Falkman, "Online Learning and Sequential Anomaly Detection in Trajectories" (2014). A rank cannot fall
below 1 / (n + 1), so that beyond the k-th highest a generalised Pareto tail goes on (Siffer and others, "Anomaly
Detection in Streams with Extreme Value Theory", 2017), whose scale is the mean excess of those k and whose shape is
fixed: a shape fitted to ten numbers says nothing. A stream that is odd at either end is judged at both, and the smaller
p-value counts twice. Of the rows' own surprises, whose ranks are the p-values that are told, the tail begins at the ten
highest (`p_share`): so the p-values come out as often as they say.

Memory is bounded: the highest (and lowest) 256 numbers are kept, so that the tail is exact for 17,000 rows and fitted
to the 256 highest of all time from there on; the rest are counted in 64 bins between knots that follow the data (a bin
that holds three times its share is split where the number falls, the two lightest are joined). A value that occurs
again and again becomes a knot with a count of its own, so that ties rank as ties.
"""

from __future__ import annotations

import numpy as np

from gridwatch.detectors.base import Floats
from gridwatch.detectors.online import kernels
from gridwatch.detectors.online.config import AutoConfig
from gridwatch.detectors.online.members import constants_of, empty_past

__all__ = ["surprises"]


def surprises(stream: Floats, *, two_sided: bool = False, config: AutoConfig | None = None) -> Floats:
    """Return the surprise at each number of a stream among those before it.

    Args:
        stream: float64 (n,); NaN where it has not begun, which gets 0.
        two_sided: Whether a low number is as odd as a high one.
        config: Its constants of the tail, and `warm_rows` numbers that go unjudged.

    Returns:
        float64 (n,), 0 and above.

    >>> surprises(np.append(np.arange(200.0) % 50, [49.0, 52.0, 90.0]))[-3:].round(1).tolist()
    [1.9, 2.4, 6.3]
    """
    config = config or AutoConfig()
    out = np.empty(len(stream))
    values = np.array(stream, np.float64)
    kernels.surprises(empty_past(config, two_sided=two_sided), two_sided, values, constants_of(config), out)
    return out
