"""Which price holds the SLO: found by trying all of them, on this workload's own demand, without touching a pod.

The error budget says which share of the requests scaling may let miss; which price of a miss keeps to it differs
between workloads by a factor of a hundred, and cannot be read off the misses that happen: they come in bursts, a
start-up after their cause, and a controller that follows them winds up. So for each of a row of prices a fleet is
imagined that has always followed it. It sees the same demand and the same forecasts, its replicas take as long to start
as those that were measured, and its backlog is a sum of what came and what it could serve. The cheapest price whose
fleet kept to the budget over the last day is the one that is used.

What is imagined and what happens may differ - a balancer, a cold cache. Where misses are measured exactly, their
proportion to what the same price let miss in imagination corrects the share, within bounds.
"""

from __future__ import annotations

import math
from dataclasses import replace

from autoscaler.core.computed import computed
from autoscaler.core.price import Choices

# At 64 a replica is kept that is needed for a sixtieth of the time; at 0.06 hardly one that is not needed now.
PRICES = tuple(0.0625 * 1.45**i for i in range(20))
DAY_S = 86400.0
# Aimed at: this part of what scaling may let miss, for what the next surge brings is not known yet.
AIM_RATIO = 0.7
# Cold, as if eight hours had been seen in which a price of 8 just kept to the budget.
PRIOR_PRICE, PRIOR_S = 8.0, 8 * 3600.0
# Where even the dearest price misses more than the budget, what saves less than this part of the misses is not paid.
WORTHWHILE_RATIO = 0.1
# Full load, less what chance leaves idle between requests.
SATURATION_RATIO = 0.98
LONGEST_TICK_S = 60.0
DRAIN_S = 60.0
# What was measured counts against imagination once it is worth a tenth of a day's budget. More misses come from what no
# price mends, and are believed fourfold. Fewer come from replicas that carry more than is known of them, for in a large
# fleet no batches form that would show it, and are believed sixteenfold.
TRUST_DAYS = 0.1
MOST_CORRECTION, LEAST_CORRECTION = 4.0, 1.0 / 16.0
GOLDEN = 0.6180339887498949


@computed
class Fleet:
    """Replicas that followed one price."""

    ready: int
    coming: tuple[tuple[float, int], ...] = ()
    """(time it will be ready, replicas), ascending."""
    waiting: float = 0.0
    """Requests."""
    missed: float = 0.0
    """Requests, fading with a day."""
    wished: tuple[tuple[float, int], ...] = ()
    """(time, replicas that were wished for or worth keeping) of the down window, as far as no later one exceeds it."""
    bad_minute: int | None = None
    """The last minute that was counted as missed as a whole."""
    started: int = 0
    """Replicas asked for so far: which of the measured start-ups is next."""

    @property
    def replicas(self) -> int:
        return self.ready + sum(count for _, count in self.coming)


@computed
class Rehearsal:
    """The fleets of all `PRICES`, then that of the price which was chosen each time."""

    fleets: tuple[Fleet, ...]
    at_s: float
    requests: float = 0.0
    """That came, fading with a day."""
    seen_s: float = 0.0
    """Time that was taken in, fading with a day."""
    measured: float = 0.0
    """Misses that were measured exactly, fading with a day, and"""
    imagined: float = 0.0
    """those of the chosen price's fleet in the same time."""
    usual_rps: float = 0.0
    price: float = PRIOR_PRICE

    @property
    def budgeted(self) -> float:
        """The requests that the budget is a share of: those that came, or what usually comes in that time if more.

        A spike at three in the morning is a matter of the day's budget, and not of the few requests of that night.
        """
        return max(self.requests, self.usual_rps * self.seen_s)


@computed
class Moment:
    """What the fleets meet in one tick."""

    now_s: float
    arrived_rps: float
    """In the last seconds; not smoothed, for a miss is a matter of seconds."""
    usual_rps: float
    """Mean of the last day; 0: not known."""
    replica_rps: float
    """What a replica carries within the SLO, and"""
    full_rps: float
    """what it serves when it is never idle."""
    spare_s: float
    """How long a request may wait."""
    starts_s: tuple[float, ...]
    """Measured times to ready, ascending; at least one."""
    down_s: float
    """A lower wish is followed when it has held for so long."""
    least: int
    most: int
    missed_ratio: float | None = None
    """Share of the latest requests that missed for want of capacity, measured exactly; None: not known so."""
    minute_ratio: float | None = None
    """An objective that is judged minute by minute: the share that may miss in a good one."""


def begin(replicas: int, now_s: float) -> Rehearsal:
    """All fleets as large as the real one."""
    return Rehearsal(fleets=(Fleet(ready=replicas),) * (len(PRICES) + 1), at_s=now_s)


def advance(
    known: Rehearsal, moment: Moment, options: Choices, *, allowed_ratio: float
) -> Rehearsal:
    """One tick further; `allowed_ratio` is the share of all requests that scaling may let miss.

    Time that was not seen is not counted: it proves nothing.
    """
    passed_s = moment.now_s - known.at_s
    if passed_s <= 0.0:
        return known
    fade = math.exp(-passed_s / DAY_S)
    counted_s = passed_s if passed_s <= LONGEST_TICK_S else 0.0
    fleets = _stepped(known, moment, options, counted_s=counted_s, fade=fade)
    imagined = fleets[-1].missed - known.fleets[-1].missed * fade
    exact = moment.missed_ratio is not None
    arrived = moment.arrived_rps * counted_s
    after = Rehearsal(
        fleets=fleets,
        at_s=moment.now_s,
        requests=known.requests * fade + arrived,
        seen_s=known.seen_s * fade + counted_s,
        usual_rps=moment.usual_rps,
        measured=known.measured * fade + (moment.missed_ratio or 0.0) * arrived,
        imagined=known.imagined * fade + (imagined if exact else 0.0),
    )
    return replace(after, price=_price(after, AIM_RATIO * allowed_ratio))


def _stepped(
    known: Rehearsal, moment: Moment, options: Choices, *, counted_s: float, fade: float
) -> tuple[Fleet, ...]:
    """All fleets. Prices next to each other often wish for the same: such fleets are one object, and one step."""
    stepped: list[Fleet] = []
    last: tuple[Fleet, tuple[int, int]] | None = None
    for fleet, price in zip(known.fleets, (*PRICES, known.price), strict=True):
        wishes = options.at_price(price), options.kept_at(price)
        if last is not None and fleet is last[0] and wishes == last[1]:
            stepped.append(stepped[-1])
            continue
        after = _step(fleet, moment, *wishes, counted_s=counted_s, fade=fade)
        stepped.append(stepped[-1] if stepped and after == stepped[-1] else after)
        last = fleet, wishes
    return tuple(stepped)


def rebased(known: Rehearsal, now_s: float) -> Rehearsal:
    """As it goes on when the clock was set back: what was counted, without anything that has a date."""
    fleets = tuple(
        replace(fleet, ready=fleet.replicas, coming=(), wished=(), bad_minute=None)
        for fleet in known.fleets
    )
    return replace(known, fleets=fleets, at_s=now_s)


def correction(known: Rehearsal, aimed_ratio: float) -> float:
    """By how much more is missed than imagined."""
    assumed = TRUST_DAYS * aimed_ratio * known.budgeted
    if assumed <= 0.0:
        return 1.0
    ratio = (known.measured + assumed) / (known.imagined + assumed)
    return min(max(ratio, LEAST_CORRECTION), MOST_CORRECTION)


def missed_ratios(known: Rehearsal, aimed_ratio: float) -> tuple[float, ...]:
    """For each of `PRICES` the share of the requests that its fleet missed, corrected by what was measured.

    What was missed beyond imagination is known at the chosen price alone. Of a fleet that missed less than that one it
    is a part in proportion, of one that missed more no greater number: of 0.2 % where 0.05 % were imagined nobody can
    tell that the fleet which missed 1 % in imagination would have missed 4 %. It is taken to have missed 1.15 %.
    """
    told = correction(known, aimed_ratio)
    beyond = max(0.0, known.measured - known.imagined)
    requests = max(known.budgeted, 1e-9)
    return tuple(
        min(told * fleet.missed, fleet.missed + beyond) / requests
        for fleet in known.fleets[: len(PRICES)]
    )


def _price(known: Rehearsal, aimed_ratio: float) -> float:
    """The cheapest price that keeps to the budget; if none does, the one above which little more is saved.

    Cold, between the prior and that one, as a ratio: after an hour in which 0.5 would have done, it is
    8 x (0.5 / 8)^0.12 = 5.8.
    """
    ratios = missed_ratios(known, aimed_ratio)
    enough = max(aimed_ratio, (1.0 + WORTHWHILE_RATIO) * min(ratios))
    found = next(price for price, ratio in zip(PRICES, ratios, strict=True) if ratio <= enough)
    faith = _faith(known.seen_s)
    return math.exp(faith * math.log(PRIOR_PRICE) + (1.0 - faith) * math.log(found))


def _faith(seen_s: float) -> float:
    """The prior's weight, which fades as what was seen grows: 0.9 after an hour, 0.16 after a day, 0.05 after two."""
    prior_s = PRIOR_S * max(0.0, 1.0 - seen_s / DAY_S)
    return prior_s / (prior_s + seen_s)


def _step(
    fleet: Fleet, moment: Moment, wish: int, kept: int, *, counted_s: float, fade: float
) -> Fleet:
    now_s = moment.now_s
    ready, came, came_s = fleet.ready, 0, 0.0
    for at_s, count in fleet.coming:
        if at_s > now_s:
            break
        ready += count
        came += 1
        came_s += count * min(now_s - at_s, counted_s)
    coming = fleet.coming[came:]
    served = fleet.ready * counted_s + came_s
    limit = moment.full_rps * moment.spare_s * (served / counted_s if counted_s else ready)
    arrived = moment.arrived_rps * counted_s
    waiting, late_s = _queue(fleet.waiting, arrived - served * moment.full_rps, limit, counted_s)
    waiting = min(waiting, DRAIN_S * moment.arrived_rps)
    missed_s, bad_minute = _counted(late_s, fleet, moment)
    # What waits too long is to be gone within a minute.
    behind = max(0.0, waiting - limit) / DRAIN_S / moment.replica_rps
    wish = min(max(math.ceil(wish + behind - 1e-9), moment.least), moment.most)
    wished = _remember(fleet.wished, now_s, min(max(wish, kept), moment.most), moment.down_s)
    started = fleet.started
    have = ready + sum([count for _, count in coming])
    if wish > have:
        coming = _ordered(coming, moment, wish - have, started)
        started += wish - have
    else:
        # The first is the highest that is remembered.
        ready, coming = _fewer(ready, coming, have - min(have, wished[0][1]))
    return Fleet(
        ready=ready,
        coming=coming,
        waiting=waiting,
        missed=fleet.missed * fade + moment.arrived_rps * missed_s,
        wished=wished,
        bad_minute=bad_minute,
        started=started,
    )


def _queue(waiting: float, grows: float, limit: float, span_s: float) -> tuple[float, float]:
    """(what waits after `span_s`, seconds of it in which more than `limit` waited): the queue goes along a line."""
    after = max(0.0, waiting + grows)
    low, high = min(waiting, after), max(waiting, after)
    if high <= limit:
        return after, 0.0
    return after, span_s if low >= limit else span_s * (high - limit) / (high - low)


def _counted(late_s: float, fleet: Fleet, moment: Moment) -> tuple[float, int | None]:
    """(seconds whose requests count as missed, the last bad minute): single requests, or a bad minute as a whole."""
    if moment.minute_ratio is None:
        return late_s, None
    minute = int(moment.now_s // 60.0)
    if late_s <= moment.minute_ratio * 60.0 or minute == fleet.bad_minute:
        return 0.0, fleet.bad_minute
    return 60.0, minute


def _remember(
    wished: tuple[tuple[float, int], ...], now_s: float, wish: int, down_s: float
) -> tuple[tuple[float, int], ...]:
    kept = [item for item in wished if item[0] > now_s - down_s and item[1] > wish]
    return (*kept, (now_s, wish))


def _ordered(
    coming: tuple[tuple[float, int], ...], moment: Moment, count: int, started: int
) -> tuple[tuple[float, int], ...]:
    """Each replica takes one of the measured start-ups, in an order that covers them evenly (golden ratio)."""
    new: dict[float, int] = dict(coming)
    for number in range(started, started + count):
        place = int(number * GOLDEN % 1.0 * len(moment.starts_s))
        at_s = moment.now_s + moment.starts_s[place]
        new[at_s] = new.get(at_s, 0) + 1
    return tuple(sorted(new.items()))


def _fewer(
    ready: int, coming: tuple[tuple[float, int], ...], count: int
) -> tuple[int, tuple[tuple[float, int], ...]]:
    """As a ReplicaSet does: those that are not ready go first, the latest of them before the others."""
    left = list(coming)
    while count > 0 and left:
        at_s, pods = left.pop()
        if pods > count:
            left.append((at_s, pods - count))
            count = 0
        else:
            count -= pods
    return ready - count, tuple(left)
