"""`kibana_sample_data_ecommerce`: orders of a shop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from gridwatch.sources.kibana_rows import HOUR_MS, PutAnomaly, Rows, Span, at_daytime, chosen, texts

__all__ = ["make_orders"]

_NAME = "kibana_sample_data_ecommerce"


@dataclass(frozen=True, slots=True)
class _Country:
    code: str
    continent: str
    region: str
    city: str
    per_hour: float
    zone_hours: int


_COUNTRIES = (
    _Country("GB", "Europe", "Greater London", "London", 9.0, 0),
    _Country("FR", "Europe", "Ile-de-France", "Paris", 7.0, 1),
    _Country("DE", "Europe", "Land Berlin", "Berlin", 8.0, 1),
    _Country("MC", "Europe", "Monaco", "Monaco", 2.0, 1),
    _Country("US", "North America", "New York", "New York", 8.0, -5),
    _Country("AE", "Asia", "Dubai", "Dubai", 4.0, 4),
    _Country("EG", "Africa", "Cairo Governorate", "Cairo", 4.0, 2),
    _Country("CO", "South America", "Bogota D.C.", "Bogotá", 2.0, -5),
)
_CATEGORIES = {"Women's Clothing": 26, "Men's Clothing": 28, "Women's Shoes": 16, "Men's Shoes": 14,
               "Women's Accessories": 10, "Men's Accessories": 6}  # fmt: skip
_MAKERS = ("Angeldale", "Elitelligence", "Gnomehouse", "Low Tide Media", "Oceanavigations", "Pyramidustries", "Tigress")
_FIRST = {"MALE": ("Eddie", "George", "Muniz", "Oliver", "Robert", "Youssef"),
          "FEMALE": ("Betty", "Diane", "Gwen", "Mary", "Pia", "Rabbia")}  # fmt: skip
_LAST = ("Baker", "Cross", "Garza", "Hansen", "Lambert", "Perkins", "Ryan", "Underwood", "Weber")
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_TAX = 1.08
_HOURS_OUT = 8
_HOURS_HIGH = 2


def make_orders(span: Span) -> Rows:
    """Return orders, some 44 an hour in eight countries, four of them in Europe.

    Odd are: prices of men's orders in Great Britain, three times for two hours, eight times as high; no orders of women
    in France for eight hours of a day; prices in the US, which a job of Europe must not see.
    """
    high = [span.workday(days, hour) for days, hour in ((9, 12.0), (5, 15.0), (2, 10.0))]
    out = span.workday(7, 9.0)
    elsewhere = span.workday(4, 18.0)
    parts = [_usual(span, place, country) for place, country in enumerate(_COUNTRIES)]
    frame = pd.concat(parts, ignore_index=True).sort_values("order_date", kind="stable", ignore_index=True)
    when, code = frame["order_date"], frame["geoip.country_iso_code"]
    male = frame["customer_gender"] == "MALE"
    silent = when.between(out, out + _HOURS_OUT * HOUR_MS - 1) & (code == "FR") & ~male
    dear = pd.Series(data=False, index=frame.index)
    for start in high:
        dear |= when.between(start, start + _HOURS_HIGH * HOUR_MS - 1) & (code == "GB") & male
    dear |= when.between(elsewhere, elsewhere + _HOURS_HIGH * HOUR_MS - 1) & (code == "US")
    frame.loc[dear, "taxful_total_price"] = (frame.loc[dear, "taxful_total_price"] * 8.0).round(2)
    frame = frame[~silent].reset_index(drop=True)
    frame["taxless_total_price"] = (frame["taxful_total_price"] / _TAX).round(2)
    frame.insert(0, "order_id", np.arange(len(frame), dtype=np.int64) + 550_000)
    return Rows(_table(frame), tuple(sorted(_told(high, out, elsewhere), key=lambda one: one.start_ms)))


def _usual(span: Span, place: int, country: _Country) -> pd.DataFrame:
    """Return ordinary orders of one country."""
    random = span.random(place)
    times = span.times(random, country.per_hour, at_daytime(14.0 - country.zone_hours, night=0.15, weekend=0.8))
    count = len(times)
    gender = np.where(random.random(count) < 0.5, "MALE", "FEMALE").astype(object)
    names = [texts(random, _FIRST[one], count) for one in ("MALE", "FEMALE")]
    first = np.where(gender == "MALE", names[0], names[1])
    quantity = random.integers(1, 5, count)
    weekday = ((times + country.zone_hours * HOUR_MS) // (24 * HOUR_MS) + 3) % 7
    whole: dict[str, Any] = {
        "order_date": times,
        "taxful_total_price": (quantity * random.lognormal(3.35, 0.35, count)).round(2),
        "total_quantity": quantity,
        "category": chosen(random, _CATEGORIES, count),
        "manufacturer": texts(random, _MAKERS, count),
        "customer_id": random.integers(4, 53, count),
        "customer_gender": gender,
        "customer_full_name": first + np.full(count, " ", object) + texts(random, _LAST, count),
        "day_of_week": np.array(_DAYS, object)[weekday],
        "day_of_week_i": weekday,
    }
    fixed = {"geoip.continent_name": country.continent, "geoip.country_iso_code": country.code,
             "geoip.region_name": country.region, "geoip.city_name": country.city, "currency": "EUR"}  # fmt: skip
    return pd.DataFrame(whole | {name: np.full(count, value, object) for name, value in fixed.items()})


def _table(frame: pd.DataFrame) -> pa.Table:
    kinds = {"i": pa.int64(), "f": pa.float64()}
    columns = {name: pa.array(frame[name].to_numpy(), kinds.get(frame[name].dtype.kind, pa.string())) for name in frame}
    columns["order_date"] = columns["order_date"].cast(pa.timestamp("ms", "UTC"))
    return pa.table(columns)


def _told(high: list[int], out: int, elsewhere: int) -> list[PutAnomaly]:
    men = {"geoip.country_iso_code": "GB", "customer_gender": "MALE"}
    women = {"geoip.country_iso_code": "FR", "customer_gender": "FEMALE"}
    return [
        *(
            PutAnomaly(_NAME, "dear", start, start + _HOURS_HIGH * HOUR_MS, men, "orders cost eight times as much")
            for start in high
        ),
        PutAnomaly(
            _NAME, "silence", out, out + _HOURS_OUT * HOUR_MS, women, "no orders for eight hours of a working day"
        ),
        PutAnomaly(
            _NAME, "elsewhere", elsewhere, elsewhere + _HOURS_HIGH * HOUR_MS, {"geoip.country_iso_code": "US"},
            "orders cost eight times as much, outside of Europe",
        ),
    ]  # fmt: skip
