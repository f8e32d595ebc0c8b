"""Step 1b: replicas that are ill. They count for nothing, teach nothing, and are told of; they are not outgrown.

One pod in four that takes five times as long makes the whole workload look slower and its requests miss, and no number
of further replicas mends that. So a pod is *sick* while its GPU has a hardware error, or when it has been much slower
than its siblings for a while, or answers none of its requests, or most with an error. One healthy replica is asked for
in the place of each, and a person is told which pod and which node to look at: forescale itself deletes nothing.

At most a quarter of the replicas are left out. Where more are slow it is no sick pod: the model has become slower, or
the GPUs are of different kinds, and what all of them show is what is learned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field, replace

from autoscaler.core import pace
from autoscaler.core.computed import computed
from autoscaler.core.pace import STALLED, Paces
from autoscaler.core.settings import SignalSettings
from autoscaler.core.sickness import Ailment, PodHealth, SickReplica
from autoscaler.core.signals import PodLoad, PodTrack
from autoscaler.core.state import WorkloadState
from autoscaler.core.types import PodStatus, WorkloadInput
from autoscaler.core.xid import HARDWARE_ERRORS, Remedy

# Two rate windows that have no request in common: a second look agrees with the first.
SICK_AFTER_S = 60.0
# Leaving takes longer than coming, so that a GPU that throttles now and then does not move the number back and forth.
WELL_AFTER_S = 300.0
# As a share of the ratio at which it begins, which is 2: well below 1.4.
WELL_SHARE = 0.7
# The median must be a healthy pod's beyond doubt, and a fault of the detection must stay affordable.
LARGEST_SHARE = 0.25


@computed
class Judged:
    """Who is ill at one moment."""

    sick: tuple[SickReplica, ...] = ()
    """Ready replicas, hardware errors first."""
    doubted: frozenset[str] = frozenset()
    """Pods whose times and misses say nothing of the model: sick ones, and"""
    suspects: int = 0
    """how many more that may be about to be: the others bear their load meanwhile."""
    uneven: tuple[SickReplica, ...] = ()
    """Stragglers, where they are too many to be sick."""
    paces: Paces = field(default_factory=Paces)
    health: tuple[PodHealth, ...] = ()

    @property
    def left_out(self) -> int:
        """How many are left out of what the replicas carry."""
        return sum([item.left_out for item in self.sick])

    def well_among(self, loads: tuple[PodLoad, ...]) -> tuple[PodLoad, ...]:
        """Loads of the pods that are not sick, nor about to be: most of the time all of them."""
        if not self.doubted:
            return loads
        return tuple([load for load in loads if load.pod not in self.doubted])


def judge(
    given: WorkloadInput,
    state: WorkloadState,
    ready: Sequence[PodStatus],
    tracks: Sequence[PodTrack],
    loads: Sequence[PodLoad],
    *,
    now_s: float,
    settings: SignalSettings,
) -> Judged:
    """Who is ill, from the GPUs' errors and from how the pods compare; what can't be told leaves everybody as it is."""
    ratio = settings.straggler_ratio
    paces = (
        pace.compare(
            state.templates,
            ready,
            tracks,
            loads,
            settled_at_s=now_s - settings.warmup_s - settings.rate_window_s,
        )
        if ratio > 0.0
        else Paces()
    )
    xids = {gpus.pod: gpus.xids for gpus in given.gpus}
    before = {item.pod: item for item in state.health}
    health = []
    for pod in given.pods:
        known, shown = before.get(pod.name), xids.get(pod.name)
        times = _times(pod.name, paces, ratio)
        if known is None and shown is None and (times is None or times < ratio):
            continue  # nothing of it was or is to be remembered
        known = known or PodHealth(pod=pod.name, restarts=pod.restarts)
        health.append(
            looked_at(
                known,
                pod.restarts,
                shown,
                times,
                failing=pod.name in paces.failing,
                straggler_ratio=ratio,
                now_s=now_s,
            )
        )
    if not given.pods_known:
        # Who is missing may still be there.
        here = {pod.name for pod in given.pods}
        health += [item for item in state.health if item.pod not in here]
    return _bounded(health, ready, paces, ratio)


def _times(pod: str, paces: Paces, ratio: float) -> float | None:
    """Over the window; one that is slow since the last scrape is so from then on, until the window shows otherwise."""
    lately, window = paces.newest.get(pod), paces.window.get(pod)
    if lately is not None and window is not None and lately >= ratio:
        return max(lately, window)
    return window


def looked_at(
    known: PodHealth,
    restarts: int,
    xids: tuple[int, ...] | None,
    slow_ratio: float | None,
    *,
    failing: bool = False,
    straggler_ratio: float,
    now_s: float,
) -> PodHealth:
    """One pod's health a tick further. `xids` and `slow_ratio` are None where they can't be told now."""
    is_fast = slow_ratio is None or slow_ratio < straggler_ratio
    was_well = not known.is_sick and known.slow_since_s is None
    if was_well and is_fast and xids in (None, known.xids) and restarts == known.restarts:
        return known
    if restarts != known.restarts:
        mended = known.xid is not None and HARDWARE_ERRORS[known.xid].remedy is Remedy.RESTART
        known = PodHealth(
            pod=known.pod,
            restarts=restarts,
            xids=known.xids,
            xid=None if mended else known.xid,
            xid_since_s=known.xid_since_s,
        )
    known = _with_errors(known, xids, now_s)
    known = _with_pace(known, slow_ratio, straggler_ratio, now_s, failing=failing)
    if not known.is_sick:
        return replace(known, well_since_s=None)
    if not _is_well(known, xids, slow_ratio, straggler_ratio):
        return replace(known, well_since_s=None)
    since_s = now_s if known.well_since_s is None else known.well_since_s
    if now_s - since_s < WELL_AFTER_S:
        return replace(known, well_since_s=since_s)
    return PodHealth(pod=known.pod, restarts=restarts, xids=known.xids)


def rebased(health: Sequence[PodHealth], now_s: float) -> tuple[PodHealth, ...]:
    """When time itself was wrong: who is sick stays so, and everything begins now."""
    return tuple(
        replace(
            item,
            xid_since_s=now_s,
            slow_since_s=None if item.straggler is None else now_s,
            well_since_s=None,
        )
        for item in health
    )


def _with_errors(known: PodHealth, xids: tuple[int, ...] | None, now_s: float) -> PodHealth:
    """A code counts from when it was seen to come: one that was there before the pod may be long mended, since it
    stays shown until the driver or the exporter starts anew."""
    if xids is None:
        return known
    came = [xid for xid in xids if xid in HARDWARE_ERRORS and xid not in (known.xids or ())]
    if known.xids is not None and known.xid is None and came:
        known = replace(known, xid=came[0], xid_since_s=now_s)
    return replace(known, xids=xids)


def _with_pace(
    known: PodHealth,
    slow_ratio: float | None,
    straggler_ratio: float,
    now_s: float,
    *,
    failing: bool,
) -> PodHealth:
    if slow_ratio is None:
        return known
    told = None if slow_ratio == STALLED else slow_ratio
    if known.straggler is not None:
        return replace(known, straggler=_ailment(told, failing), slow_ratio=told)
    if slow_ratio < straggler_ratio:
        return replace(known, slow_since_s=None, slow_ratio=None)
    since_s = now_s if known.slow_since_s is None else known.slow_since_s
    long = now_s - since_s >= SICK_AFTER_S
    return replace(
        known,
        slow_since_s=since_s,
        slow_ratio=told,
        straggler=_ailment(told, failing) if long else None,
    )


def _ailment(slow_ratio: float | None, failing: bool) -> Ailment:
    if failing:
        return Ailment.FAILING
    return Ailment.STALLED if slow_ratio is None else Ailment.SLOW


def _is_well(
    known: PodHealth,
    xids: tuple[int, ...] | None,
    slow_ratio: float | None,
    straggler_ratio: float,
) -> bool:
    """Every sign that made it sick is seen to be gone; not being seen is no recovery."""
    if known.xid is not None and xids != ():
        return False
    if known.straggler is None or straggler_ratio <= 0.0:
        return True
    return slow_ratio is not None and slow_ratio < WELL_SHARE * straggler_ratio


def _bounded(
    health: Sequence[PodHealth], ready: Sequence[PodStatus], paces: Paces, ratio: float
) -> Judged:
    nodes = {pod.name: pod.node for pod in ready}
    here = [item for item in health if item.pod in nodes]
    broken = [_broken(item, nodes[item.pod]) for item in here if item.xid is not None]
    slow = [
        _straggler(item, nodes[item.pod])
        for item in here
        if item.xid is None and item.straggler is not None
    ]
    most = max(1, int(LARGEST_SHARE * len(ready)))
    sick = sorted(broken, key=lambda item: (item.since_s, item.pod))
    uneven = len(slow) > most - min(most, len(broken))
    if not uneven:
        sick += sorted(slow, key=_slowest_first)
    ill = {item.pod for item in sick}
    suspects = {
        pod
        for told in (paces.window, paces.newest)
        for pod, times in told.items()
        if times >= ratio and pod not in ill
    }
    if uneven or len(suspects) + len(sick) > most:
        suspects = set()  # too many to be sick all at once: what they show is believed
    return Judged(
        sick=tuple(replace(item, left_out=n < most) for n, item in enumerate(sick)),
        doubted=frozenset(ill | suspects),
        suspects=len(suspects),
        uneven=tuple(sorted(slow, key=_slowest_first)) if uneven else (),
        paces=paces,
        health=tuple(item for item in health if not _is_ordinary(item)),
    )


def _broken(item: PodHealth, node: str | None) -> SickReplica:
    return SickReplica(
        pod=item.pod,
        node=node,
        ailment=Ailment.HARDWARE_ERROR,
        since_s=item.xid_since_s,
        xid=item.xid,
        well_since_s=item.well_since_s,
    )


def _straggler(item: PodHealth, node: str | None) -> SickReplica:
    return SickReplica(
        pod=item.pod,
        node=node,
        ailment=item.straggler or Ailment.SLOW,
        since_s=item.slow_since_s or 0.0,
        slow_ratio=item.slow_ratio,
        well_since_s=item.well_since_s,
    )


def _slowest_first(item: SickReplica) -> tuple[float, str]:
    return -(STALLED if item.slow_ratio is None else item.slow_ratio), item.pod


def _is_ordinary(item: PodHealth) -> bool:
    """Nothing of it needs to be remembered."""
    return item.xids is None and not item.is_sick and item.slow_since_s is None
