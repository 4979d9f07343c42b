"""Times and durations as integers of microseconds, and their PostgreSQL text.

A time counts from 1970-01-01 00:00:00 UTC, below zero before it; Python's own dates end at year 1.
"""

import re

MICROSECOND = 1
SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

INFINITY = "infinity"
MINUS_INFINITY = "-infinity"


def days_before(year, month, day):
    """Days from 1970-01-01 to a date of the proleptic Gregorian calendar (year 0 is 1 BC)."""
    year -= month <= 2
    era, year_of_era = divmod(year, 400)
    day_of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719468


def date_of(days):
    """The inverse of days_before."""
    era, day_of_era = divmod(days + 719468, 146097)
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36524 - day_of_era // 146096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * month + 2) // 5 + 1
    month += 3 if month < 10 else -9
    return era * 400 + year_of_era + (month <= 2), month, day


def at(year, month=1, day=1, hour=0):
    return days_before(year, month, day) * DAY + hour * HOUR


# PostgreSQL's least and greatest finite timestamptz.
LEAST = at(-4713, 11, 24)
GREATEST = at(294277) - 1


def time_text(time):
    if time in (None, INFINITY, MINUS_INFINITY):
        return time
    days, rest = divmod(time, DAY)
    year, month, day = date_of(days)
    seconds, micros = divmod(rest, SECOND)
    shown = year if year > 0 else 1 - year
    return (f"{shown:04d}-{month:02d}-{day:02d} {seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
            f".{micros:06d}+00{'' if year > 0 else ' BC'}")


def interval_text(micros, in_days=True):
    """A non-negative duration; the same one as days and a time, or as a time alone."""
    days, rest = divmod(micros, DAY) if in_days else (0, micros)
    seconds, micros = divmod(rest, SECOND)
    time = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{micros:06d}"
    return f"{days} days {time}" if days else time


def interval_micros(text):
    """The microseconds of the interval spellings that the tests use, e.g. '1 day -2 hours' or '0'."""
    units = {"microsecond": 1, "second": SECOND, "minute": MINUTE, "hour": HOUR, "day": DAY}
    return sum(int(n) * units[unit] for n, unit in re.findall(r"(-?\d+) (\w+?)s?\b", text))
