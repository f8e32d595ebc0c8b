"""How fast each pod is beside its siblings, batch for batch.

Pods of one template do the same work, so that their times for batches of the same size agree. Each pod's mean batch
time is divided by what is known for such a batch, which takes the size out, and by the median of these quotients, which
takes out how good that knowledge is: a model that has become slower is slower on all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from statistics import median_low

from autoscaler.core.computed import computed
from autoscaler.core.queueing import batch_time_s
from autoscaler.core.service_time import (
    MIN_EXECUTIONS,
    ServiceTimes,
    service_times,
    unproven,
)
from autoscaler.core.signals import PodLoad, PodTrack, batch_of
from autoscaler.core.state import TemplateKnowledge
from autoscaler.core.types import PodStatus

STALLED = float("inf")
# Three siblings: their median is a healthy one's even if one of them is slow too. Of three replicas each has two, and
# what was measured of all of them before stands for the third: 1, as the others are.
FEWEST = 4
AS_KNOWN = 1.0
# One that gets more than its share may be slow because of that: what a server does beside its batches is timed too.
COMPARABLE_LOAD = 1.5
# Less than one inference in a minute is none.
NONE_RPS = 1.0 / 60.0
# Half of its requests fail, and one in twenty of its siblings': bad requests are spread over all of them.
FAILING_SHARE, USUAL_FAILING_SHARE = 0.5, 0.05


@computed
class Paces:
    """Times a pod's batches take over its siblings'. A pod that can't be told is missing."""

    window: Mapping[str, float] = field(default_factory=dict)
    """By pod, over the rate window; `STALLED` where it answers nothing that is of use."""
    newest: Mapping[str, float] = field(default_factory=dict)
    """The same since the last scrape alone."""
    level: Mapping[str, float] = field(default_factory=dict)
    """By template: the median of what all of them took since the last scrape over what is known."""
    failing: frozenset[str] = frozenset()
    """Of those with `STALLED`, who answers: with an error."""


def compare(
    templates: Sequence[TemplateKnowledge],
    ready: Sequence[PodStatus],
    tracks: Sequence[PodTrack],
    loads: Sequence[PodLoad],
    *,
    settled_at_s: float,
) -> Paces:
    """Of the pods that have been ready since `settled_at_s` at least, template by template."""
    hashes = {
        pod.name: pod.template_hash
        for pod in ready
        if pod.ready_s is not None and pod.ready_s <= settled_at_s
    }
    window: dict[str, float] = {}
    newest: dict[str, float] = {}
    level: dict[str, float] = {}
    failing: set[str] = set()
    for entry in templates:
        ours = [load for load in loads if hashes.get(load.pod) == entry.template_hash]
        if len(ours) < FEWEST - 1:
            continue
        times = {
            model.model: known
            for model in entry.models
            if (known := service_times(model.service)) is not None
        }
        by_pod = {load.pod: load for load in ours}
        over = _known({load.pod: _in_window(load, times) for load in ours})
        since = _known({t.pod: _in_newest(t, times) for t in tracks if t.pod in by_pod})
        proven = all(unproven(model.service) is None for model in entry.models)
        window |= _stalled(over, by_pod) | _comparable(over, by_pod, proven=proven)
        fail = _failing(ours)
        window |= dict.fromkeys(fail, STALLED)
        failing |= fail
        usual = _usual(since, proven=proven)
        if usual is not None:
            level[entry.template_hash] = usual
            newest |= {pod: ratio / usual for pod, ratio in since.items()}
    return Paces(window=window, newest=newest, level=level, failing=frozenset(failing))


def _known(ratios: Mapping[str, float | None]) -> dict[str, float]:
    return {pod: ratio for pod, ratio in ratios.items() if ratio is not None}


def _usual(ratios: Mapping[str, float], *, proven: bool) -> float | None:
    """The median that a pod is compared with; None: there are too few."""
    voices = list(ratios.values())
    if proven and len(voices) == FEWEST - 1:
        voices.append(AS_KNOWN)
    return median_low(voices) if len(voices) >= FEWEST else None


def _comparable(
    ratios: Mapping[str, float], loads: Mapping[str, PodLoad], *, proven: bool
) -> dict[str, float]:
    """Over their median, less those that are slow and busier than the others."""
    usual = _usual(ratios, proven=proven)
    if usual is None:
        return {}
    rates = {pod: _completed_rps(loads[pod]) for pod in ratios}
    most_rps = COMPARABLE_LOAD * median_low(rates.values())
    return {
        pod: ratio / usual
        for pod, ratio in ratios.items()
        if ratio <= usual or rates[pod] <= most_rps
    }


def _stalled(ratios: Mapping[str, float], loads: Mapping[str, PodLoad]) -> dict[str, float]:
    """Those that answer nothing while at least two others do."""
    if len(ratios) < FEWEST - 2:
        return {}
    return {pod: STALLED for pod in loads if pod not in ratios and _is_stalled(loads[pod])}


def _failing(loads: Sequence[PodLoad]) -> set[str]:
    """Those that fail what the others answer."""
    if not any([model.failures for load in loads for model in load.models]):
        return set()
    shares = {load.pod: share for load in loads if (share := _failed_share(load)) is not None}
    if len(shares) < FEWEST - 1 or median_low(shares.values()) > USUAL_FAILING_SHARE:
        return set()
    return {pod for pod, share in shares.items() if share >= FAILING_SHARE}


def _failed_share(load: PodLoad) -> float | None:
    """Of the requests that ended in the window; None: too few did."""
    failed = sum(model.failures for model in load.models)
    ended = failed + sum(model.requests for model in load.models)
    return failed / ended if ended >= MIN_EXECUTIONS else None


def _in_window(load: PodLoad, times: Mapping[str, ServiceTimes]) -> float | None:
    """Over all of its models."""
    return _ratio(
        [
            (times.get(m.model), m.requests * m.items_per_request, m.mean_batch, m.compute_s)
            for m in load.models
        ]
    )


def _in_newest(track: PodTrack, times: Mapping[str, ServiceTimes]) -> float | None:
    """The same since the last scrape."""
    done = [(times.get(m.last.model), m.recent[-1]) for m in track.models if m.recent]
    return _ratio([(known, item.inferences, *batch_of(item)) for known, item in done])


def _ratio(
    done: Iterable[tuple[ServiceTimes | None, float, float | None, float | None]],
) -> float | None:
    """The time that one pod's executions took over what is known of them; None: it can't be told.

    `done` has of each model what is known, its inferences, and the mean size of its batches and time of one.
    """
    executions = taken_s = known_s = 0.0
    for known, inferences, mean_batch, compute_s in done:
        if known is None or compute_s is None or not mean_batch:
            continue
        count = inferences / mean_batch
        executions += count
        taken_s += count * compute_s
        known_s += count * batch_time_s(known, max(1.0, mean_batch))
    if executions < MIN_EXECUTIONS or known_s <= 0.0 or taken_s <= 0.0:
        return None
    return taken_s / known_s


def _completed_rps(load: PodLoad) -> float:
    return sum([model.completed_rps for model in load.models])


def _is_stalled(load: PodLoad) -> bool:
    waiting = any((model.pending or 0.0) >= 1.0 for model in load.models)
    return waiting and _completed_rps(load) < NONE_RPS
