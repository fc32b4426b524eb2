"""The beat that judges alarms and forgets old points. `run` it as one task.

Each `BEAT_SECONDS` every alarm is judged by the points up to the last full minute; one whose state
is another now is written over the version that was read: who changed it meanwhile is not undone,
and the next beat judges anew. Killed anywhere and begun again, it ends the same.
"""

import asyncio
import logging
from dataclasses import dataclass
from typing import ClassVar

from modeltap.clock import Clock
from modeltap.control.alarms import first_minute, judge, rule_of, status_document, turned
from modeltap.errors import StaleVersion, StateUnusable
from modeltap.state.alarms import Alarm, Alarms
from modeltap.state.points import Points, minute_of
from modeltap.telemetry import Event, emit

BEAT_SECONDS = 10.0
TRIM_SECONDS = 3600.0
DAY_MINUTES = 24 * 60


@dataclass(frozen=True, slots=True)
class AlarmTurned(Event):
    """An alarm took another state."""

    alarm: str
    state: str
    reason: str


@dataclass(frozen=True, slots=True)
class MetricBeatFailed(Event):
    """The state database could not be used; the next beat tries again."""

    level: ClassVar[int] = logging.ERROR

    reason: str


class MetricBeat:
    def __init__(self, points: Points, alarms: Alarms, clock: Clock, retention_days: int) -> None:
        self._points = points
        self._alarms = alarms
        self._clock = clock
        self._retention_minutes = retention_days * DAY_MINUTES
        self._trim_at = clock.monotonic()

    async def run(self) -> None:
        """Beat for ever."""
        while True:
            try:
                await asyncio.to_thread(self.turn)
            except StateUnusable as error:
                emit(MetricBeatFailed(str(error)))
            await self._clock.sleep(BEAT_SECONDS)

    def turn(self) -> None:
        """Judge every alarm once; trim where it is due. Raise `StateUnusable`."""
        for alarm in self._alarms.every():
            self._judge(alarm)
        if self._clock.monotonic() >= self._trim_at:
            self._points.trim(minute_of(self._clock.now_ns()) - self._retention_minutes)
            self._trim_at = self._clock.monotonic() + TRIM_SECONDS

    def _judge(self, alarm: Alarm) -> None:
        now_ns = self._clock.now_ns()
        now, rule = minute_of(now_ns), rule_of(alarm.spec)
        found = self._points.within(rule.metric, first_minute(rule, now), now, rule.unit)
        verdict = judge(rule, [(minute, values) for _, minute, values in found], now)
        if verdict is None or verdict.state.value == alarm.status["StateValue"]:
            return
        try:
            items = turned(alarm, verdict, now_ns)
            self._alarms.turn(alarm, status_document(verdict, now_ns), items)
        except StaleVersion:
            return
        emit(AlarmTurned(alarm.name, verdict.state, verdict.reason))
