"""The five fields of cron: checked, and told in systemd's words."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from graft.vision.errors import OptionsError

DAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_PART = re.compile(r"(?P<first>\w+)(-(?P<last>\w+))?|\*")


@dataclass(frozen=True)
class Field:
    """One field: ``low`` to ``high``, which ``names`` may stand for."""

    name: str
    low: int
    high: int
    names: Sequence[str] = ()

    def values(self, text: str) -> list[int]:
        """The values that a text names: ``*``, ``5``, ``1-5``, ``*/15``, ``1,3,10-20/2``, ``Mon``.

        Raises:
            OptionsError: for anything else.
        """
        return sorted({value for part in text.split(",") for value in self._part(part, text)})

    def _part(self, part: str, text: str) -> range:
        span, slash, step = part.partition("/")
        found = _PART.fullmatch(span)
        stepped = step.isascii() and step.isdigit() and int(step) > 0 and not span.isdigit()
        if found is None or (slash and not stepped):
            raise self._wrong(text)
        first, last = found["first"], found["last"]
        low = self.low if first is None else self._number(first, text)
        high = self.high if first is None else self._number(last or first, text)
        if not self.low <= low <= high <= self.high:
            raise self._wrong(text)
        return range(low, high + 1, int(step) if slash else 1)

    def _number(self, word: str, text: str) -> int:
        short = [name.lower() for name in self.names]
        if word.lower() in short:
            return self.low + short.index(word.lower())
        if not (word.isascii() and word.isdigit()):
            raise self._wrong(text)
        return int(word)

    def _wrong(self, text: str) -> OptionsError:
        names = f" or {self.names[0]} to {self.names[-1]}" if self.names else ""
        return OptionsError(
            f"{self.name} of a schedule cannot be read",
            found=text,
            allowed=f"{self.low} to {self.high}{names}; *, 1-5, */15, 1,3",
        )


FIELDS = (
    Field("the minute", 0, 59),
    Field("the hour", 0, 23),
    Field("the day of the month", 1, 31),
    Field("the month", 1, 12, MONTHS),
    Field("the day of the week", 0, 7, DAYS),  # 7 is Sunday too
)


def check_cron(when: str) -> list[str]:
    """The five fields of a cron expression.

    Raises:
        OptionsError: when there are not five, or one of them is wrong.
    """
    fields = when.split()
    if len(fields) != len(FIELDS) or "\n" in when:
        raise OptionsError(
            "a schedule of cron has five fields",
            found=when,
            allowed="minute, hour, day of the month, month, day of the week",
            mend='write "0 3 * * *" for three in the morning, "30 4 * * Sun" for Sundays',
        )
    for field, text in zip(FIELDS, fields, strict=True):
        field.values(text)
    return fields


def calendar_lines(when: str) -> list[str]:
    """A cron expression as systemd's calendar events, any of which counts."""
    fields = check_cron(when)
    minute, hour, day, month = (
        _listed(field, text) for field, text in zip(FIELDS, fields[:4], strict=False)
    )
    days = sorted({value % 7 for value in FIELDS[4].values(fields[4])})
    weekdays = "" if len(days) == len(DAYS) else ",".join(DAYS[i] for i in days) + " "
    dated = f"*-{month}-{day} {hour}:{minute}:00"
    # Where both name days, cron runs on either (crontab(5)); systemd would ask for both.
    if weekdays and not any(text.startswith("*") for text in (fields[2], fields[4])):
        return [f"{weekdays}*-{month}-* {hour}:{minute}:00", dated]
    return [weekdays + dated]


def _listed(field: Field, text: str) -> str:
    values = field.values(text)
    return (
        "*"
        if len(values) > field.high - field.low
        else ",".join(f"{value:02d}" for value in values)
    )
