"""Why a row is an anomaly, in words: what drove its score, and what would have been normal.

The words need only what an anomaly's row holds, so that mails, pages and plots say the same as the detector.
"""

from __future__ import annotations

from dataclasses import dataclass

from gridwatch.detectors.base import Scores

__all__ = ["DRIVERS", "Explanation", "explain", "explain_row"]

DRIVERS = {
    "value": ("the value itself: hardly any was as high or as low before", "a value in the range of earlier ones"),
    "seasonal": (
        "the difference from the same time of earlier days",
        "a value like those at the same time of earlier days",
    ),
    "season": (
        "the difference from the same place of earlier periods",
        "a value like those at the same place of earlier periods",
    ),
    "trend": ("the step from the rows just before", "a value that goes on from the rows just before"),
    "ewma": (
        "the distance from the level of about the last {rows} rows",
        "a value nearer to the level of late",
    ),
    "forecast": (
        "the miss of a forecast from the {rows} rows before",
        "a value that follows from the rows before it as earlier ones did",
    ),
    "deviation": ("how much the last {rows} rows vary", "as much noise as before"),
    "mean": ("the level of the last {rows} rows", "rows around a level seen before"),
    "change": (
        "the size of the steps within the last {rows} rows",
        "steps from row to row of the size they had before",
    ),
    "shape": ("the shape of the last {rows} rows, which no earlier stretch has", "a shape seen before"),
    "nearest": (
        "the last {rows} rows, which no earlier stretch comes near",
        "a stretch near to an earlier one, in shape and size",
    ),
    "aligned": (
        "the last {rows} rows, which are not as at the same time of earlier days",
        "the course of earlier days at this time",
    ),
    "flat": ("a run of one value, longer than nearly all before", "a value that changes sooner"),
    "silence": (
        "a run of zeros, longer than hours like these have had",
        "something within these hours, as in earlier weeks",
    ),
    "spectral": (
        "a change that the repeating part of the last rows does not account for",
        "a value that goes on as the last rows do",
    ),
    "lstm": ("the miss of the LSTM's forecast", "a value near the forecast"),
    "zscore": ("the distance from the mean of the rows before", "a value within a few standard deviations of the mean"),
}
"""What stood out, and what would have been normal, by driver (without its width in rows)."""

_UNKNOWN = ("the value, compared with the rows before", "a value within the band")


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a row scored as it did.

    Attributes:
        driver: What drove it, such as `seasonal` or `deviation-24`; "" where it is not known.
        actual: The row's value.
        expected: What the rows before led to expect.
        lower: Least ordinary value.
        upper: Greatest ordinary value.
        p_value: Share of ordinary rows that are at least as odd.
    """

    driver: str
    actual: float
    expected: float
    lower: float
    upper: float
    p_value: float

    @property
    def odd(self) -> str:
        """What stood out, as a part of a sentence."""
        return self._words(0)

    @property
    def normal(self) -> str:
        """What would have been normal, as a part of a sentence."""
        return self._words(1)

    def sentence(self, unit: str = "") -> str:
        """Return it all in words.

        Args:
            unit: Of the value, such as `USD`; put after each number.

        >>> print(explain("seasonal", actual=80.0, expected=51.25, lower=46.0, upper=57.0, p_value=2.5e-5).sentence())
        80 is above the ordinary 46 to 57; 51.25 was expected. What stood out was the difference from the same time of \
earlier days; normal would have been a value like those at the same time of earlier days. One ordinary row in 40,000 \
is as odd.
        """
        unit = f" {unit}" if unit else ""
        band = f"the ordinary {self.lower:.6g} to {self.upper:.6g}{unit}"
        if self.actual > self.upper:
            place = f"above {band}"
        elif self.actual < self.lower:
            place = f"below {band}"
        else:
            place = f"itself within {band}"
        return (
            f"{self.actual:.6g}{unit} is {place}; {self.expected:.6g}{unit} was expected. What stood out was "
            f"{self.odd}; normal would have been {self.normal}. {_rarity(self.p_value)}"
        )

    def _words(self, number: int) -> str:
        member, _, width = self.driver.partition("-")
        return DRIVERS.get(member, _UNKNOWN)[number].format(rows=width or "few")


def explain(driver: str, *, actual: float, expected: float, lower: float, upper: float, p_value: float) -> Explanation:
    """Return the explanation of a row from what an anomaly's row holds; see `Explanation`."""
    return Explanation(driver, actual, expected, lower, upper, p_value)


def explain_row(scores: Scores, row: int) -> Explanation:
    """Return why one row of scores is as it is.

    Args:
        scores: Of any detector.
        row: Which, from 0; negative ones count from the end.
    """
    columns = {name: float(column[row]) for name, column in scores.columns().items() if name not in {"loss", "score"}}
    return Explanation(driver=scores.driver_names()[row], **columns)


def _rarity(p_value: float) -> str:
    if not p_value > 0.0:
        return "How rare that is, is not known."
    return f"One ordinary row in {_round(1.0 / p_value):,} is as odd." if p_value < 0.5 else "Most rows are as odd."


def _round(number: float) -> int:
    """Return a number to two digits, as more would say more than is known."""
    return int(float(f"{number:.1e}"))
