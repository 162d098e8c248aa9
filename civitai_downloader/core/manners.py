"""Manners: how fast the site is asked and when it is left alone, by one run or by all copies of it together."""

from __future__ import annotations

import logging
import math

from ..util.clock import Clock
from ..util.http import Http, HttpRules
from ..util.names import long_path
from ..util.pace import Pace, Patience
from ..util.pauses import Pause, SharedPause
from ..util.rests import Rests
from .settings import Settings
from .shares import Share

log = logging.getLogger(__name__)
ALONE = Share(1, 1)


def http_for(settings: Settings, rules: HttpRules, clock: Clock) -> Http:
    """Return what sends the requests of a run. Its rests are those of `--between`, its pauses those of all copies."""
    rests = Rests(clock, settings.hours, grace=settings.timeout, least=settings.rest_below)
    pause = _pause_for(settings, clock)
    return Http(rules, clock, rests, pause, timeout=settings.timeout, retries=settings.retries, log=log.debug)


def _pause_for(settings: Settings, clock: Clock) -> Pause:
    """Return the pause of this run, for a copy that of all copies; a dry run writes nothing and so keeps its own."""
    if settings.share is None or settings.dry_run:
        return Pause(clock)
    return SharedPause(clock, long_path(settings.output) / ".cache" / "rest.json", Patience.left)


def paces_for(settings: Settings, http: Http, clock: Clock) -> dict[str, Pace]:
    """Return the paces of `models` and `images`: of each copy a part, one turn of the whole pace after the other."""
    share, factor = settings.share or ALONE, http.health.factor
    rates = {"models": settings.max_rate_model, "images": settings.max_rate_image}
    return {
        kind: Pace(rate / share.count, clock, factor, first=(share.index - 1) / rate) for kind, rate in rates.items()
    }


def throttle_for(settings: Settings, clock: Clock) -> Pace:
    """Return the pace of the bytes of this run or copy: at least one a second if there is a limit."""
    rate = settings.limit_rate / (settings.share or ALONE).count
    return Pace(max(1.0, rate) if rate else math.inf, clock)
