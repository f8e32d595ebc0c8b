"""Ready replicas that answer no scrape: when that is taken for load, and everything that speaks against it.

Two replicas carry 21.5 inferences a second each and can do 31; they had 25 together, and get 220. What is flooded is
silent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from autoscaler.core.reasons import Reason
from autoscaler.core.types import (
    Decision,
    ModelCounters,
    PodSample,
    Scrape,
    Targets,
    TickInput,
    WorkloadInput,
)
from autoscaler.core.unresponsive import common_cause, reach
from tests.core.story import Story, spec

Change = Callable[[TickInput], TickInput]


def flooded(before_rps: float = 25.0, **settings: object) -> Story:
    """In the second tick of the flood, which is the first in which something may be done."""
    story = Story(replicas=2, blocking=True, **settings)  # type: ignore[arg-type]
    story.run(120, rate_rps=before_rps)
    held = story.run(10, rate_rps=220)
    assert (held.target, held.reason) == (2, Reason.UNRESPONSIVE)
    story._pass(10.0)
    return story


def decided(story: Story, change: Change) -> Decision:
    tick = TickInput(now_s=story.now_s, workloads=(story.given(),), targets=story.targets())
    return story.engine.tick(change(tick)).decisions[0]


def own(**changes: object) -> Change:
    def changed(tick: TickInput) -> TickInput:
        return replace(tick, workloads=(replace(tick.workloads[0], **changes),))  # type: ignore[arg-type]

    return changed


def scrapes(change: Callable[[Scrape], Scrape | None]) -> Change:
    def changed(tick: TickInput) -> TickInput:
        given = tick.workloads[0]
        told = tuple(new for scrape in given.scrapes if (new := change(scrape)) is not None)
        return replace(tick, workloads=(replace(given, scrapes=told),))

    return changed


def targets(told: Targets | None) -> Change:
    return lambda tick: replace(tick, targets=told)


def neighbour(*, heard: bool) -> Change:
    """Another workload of the namespace, with one ready pod."""

    def changed(tick: TickInput) -> TickInput:
        pod = replace(tick.workloads[0].pods[0], name="other-0")
        sample = PodSample(pod="other-0", sampled_at_s=tick.now_s - 2.0)
        other = WorkloadInput(
            spec=spec("other"),
            replicas=tick.workloads[0].replicas,
            pods=(pod,),
            samples=(sample,) if heard else (),
        )
        return replace(tick, workloads=(*tick.workloads, other))

    return changed


SILENT = Scrape(pod="", at_s=0.0, answered=False)


@pytest.mark.parametrize(
    ("change", "target", "said"),
    [
        pytest.param(lambda t: t, 4, "40% busy when last seen: taken for load, 4", id="flooded"),
        pytest.param(neighbour(heard=True), 4, "taken for load", id="a neighbour is heard"),
        pytest.param(
            neighbour(heard=False),
            2,
            "no other workload of namespace team is heard either",
            id="nor is a neighbour",
        ),
        pytest.param(
            targets(Targets(known=22, answering=9)),
            2,
            "only 9 of 20 other targets answer Prometheus",
            id="hardly anything answers",
        ),
        pytest.param(
            targets(Targets(known=2, answering=0)),
            2,
            "only 0 of 0 other targets answer Prometheus",
            id="nothing else is scraped",
        ),
        pytest.param(targets(None), 2, "is not known", id="what else answers is not known"),
        pytest.param(
            scrapes(lambda s: replace(s, took_s=0.002)),
            2,
            "the scrapes of 2 of 2 ready pods failed at once: refused, not waited for",
            id="connections are refused",
        ),
        pytest.param(
            scrapes(lambda s: replace(s, took_s=None)),
            2,
            "failed at once",
            id="how long is not told",
        ),
        pytest.param(
            scrapes(lambda s: None), 2, "the newest sample is 22 s old", id="they are no targets"
        ),
        pytest.param(
            scrapes(lambda s: replace(s, at_s=s.at_s - 60.0)),
            2,
            "the newest sample is 22 s old",
            id="Prometheus has stopped scraping",
        ),
        pytest.param(
            own(samples_error="connection refused"), 2, "connection refused", id="no Prometheus"
        ),
        pytest.param(own(pods_known=False), 2, "read anew", id="pods are not known"),
    ],
)
def test_what_is_made_of_silence(change: Change, target: int, said: str) -> None:
    decision = decided(flooded(), change)
    assert decision.target == target
    assert said in decision.message + " ".join(step.message for step in decision.steps)


def test_one_that_still_answers_speaks_for_all() -> None:
    """Then there is a figure, and sizing works with it as ever."""
    story = flooded()
    tick = story.given()
    heard = PodSample(pod=story.pods[0].name, sampled_at_s=story.now_s - 2.0)
    counted = replace(heard, models=(ModelCounters(model="m", success=story.pods[0].requests),))
    decision = decided(story, own(samples=(counted,), scrapes=tick.scrapes[1:]))
    assert decision.reason is not Reason.UNRESPONSIVE


@pytest.mark.parametrize(
    ("before_rps", "target", "said"),
    [
        # 4 rps keep two replicas 6 % busy: eight times that is half of what they can do.
        (4.0, 2, "8 times the 4 rps last seen would not fill 2 replicas"),
        # 8 rps: 13 % busy. 64 rps would fill three.
        (8.0, 3, "taken for load, 3"),
        (12.0, 4, "taken for load, 4"),
    ],
)
def test_no_more_is_asked_for_than_the_surge_that_is_believed(
    before_rps: float, target: int, said: str
) -> None:
    decision = decided(flooded(before_rps, spec=spec(min_replicas=2)), lambda tick: tick)
    assert (decision.target, said in decision.message) == (target, True), decision.message


@pytest.mark.parametrize(("missed", "target"), [(0.0, 2), (0.6, 4)])
def test_a_gateway_that_sees_clients_served_speaks_against_it(missed: float, target: int) -> None:
    story = flooded()

    def seen(at_s: float, requests: float) -> PodSample:
        good = requests * (1.0 - missed)
        buckets = ((0.3, good), (1e308, requests))
        model = ModelCounters(model="", success=requests, failure=0.0, latency_buckets=buckets)
        return PodSample(pod="edge", sampled_at_s=at_s, models=(model,))

    decided(story, own(gateway=(seen(story.now_s - 2.0, 1000.0),), scrapes=()))
    story._pass(5.0)
    decision = decided(story, own(gateway=(seen(story.now_s - 2.0, 1400.0),)))
    assert decision.target == target, decision.message
    assert (missed > 0.0) or "clients are served within the objective" in decision.message


def run(story: Story, ticks: int, change: Change) -> list[Decision]:
    """Ticks of which the engine sees what `change` makes of them."""
    decisions = []
    for _ in range(ticks):
        decision = decided(story, change)
        decisions.append(decision)
        if decision.target != story.replicas:
            story.scale(decision.target)
        story._pass(10.0)
    return decisions


def dumb(tick: TickInput, starting_s: float = 4.0) -> TickInput:
    """As behind a network policy: new replicas do not answer either, whatever load they have."""
    given = tick.workloads[0]
    told = tuple(
        Scrape(
            pod=pod.name,
            at_s=tick.now_s - 2.0,
            answered=False,
            took_s=starting_s if pod.ready_s is None else 4.0,
        )
        for pod in given.pods
    )
    known = Targets(known=20 + len(told), answering=20)
    changed = replace(given, samples=(), profiles=(), scrapes=told)
    return replace(tick, workloads=(changed,), targets=known)


def test_what_more_replicas_do_not_mend_is_given_up_after_one_doubling() -> None:
    """It is doubled once, and held - not lowered - for as long as nothing is heard."""
    story = Story(replicas=2)
    story.run(120, rate_rps=25)
    story._pass(10.0)
    decisions = run(story, 120, dumb)
    assert sorted({decision.target for decision in decisions}) == [2, 4]
    told = [[f.reason for f in decision.findings] for decision in decisions]
    assert told[5] == []
    assert told[8] == told[-1] == [Reason.GROWTH_USELESS]
    assert "look for a network policy" in decisions[-1].findings[0].message


def test_one_that_refuses_connections_while_it_starts_is_not_cut_off() -> None:
    """As KServe's server does; it is silent from its first requests on. 200 rps are the most that is believed."""
    story = Story(replicas=2)
    story.run(120, rate_rps=25)
    story._pass(10.0)
    decisions = run(story, 120, lambda tick: dumb(tick, starting_s=0.0004))
    assert sorted({decision.target for decision in decisions}) == [2, 4, 8]
    assert "8 times the 25 rps last seen would not fill 8 replicas" in {
        decision.message.removeprefix("held: ") for decision in decisions
    }


def test_replicas_that_never_become_ready_are_not_asked_for_for_ever() -> None:
    story = flooded()
    story.startup_s = 1e6
    decisions = run(story, 100, lambda tick: tick)
    assert decisions[0].target == 4
    told = {finding.reason: finding.message for finding in decisions[-1].findings}
    assert "never became ready" in told[Reason.GROWTH_USELESS]
    assert "not ready 16 minutes after" in told[Reason.NOT_STARTING]
    assert decisions[-1].target == 4  # spec.replicas, which is not lowered


def test_a_first_failed_scrape_is_waited_out_and_forgotten() -> None:
    story = Story(replicas=2, blocking=True)
    story.run(120, rate_rps=25)
    story.run(10, rate_rps=220)
    for pod in story.pods:
        pod.pending = 0.0
    story.run(10, rate_rps=25)
    assert story.engine.snapshot().workloads[0].silence is None
    story.run(60)
    assert Reason.UNRESPONSIVE not in {decision.reason for decision in story.decisions[-7:]}


@pytest.mark.parametrize(
    ("names", "heard", "said"),
    [
        (("team/bert",), ("team/bert",), None),
        (("team/bert", "team/other"), (), "no other workload of namespace team is heard either"),
        (("team/bert", "team/other"), ("team/bert",), "no other workload of namespace team"),
        (("team/bert", "team/other"), ("team/other",), None),
        (("team/bert", "else/other"), (), None),
    ],
)
def test_neighbours_speak_and_not_it_itself(
    names: tuple[str, ...], heard: tuple[str, ...], said: str | None
) -> None:
    story = Story(replicas=1, blocking=True)
    story.run(10, rate_rps=220)
    bert = story.given()
    sample = PodSample(pod=bert.pods[0].name, sampled_at_s=story.now_s)
    silent = Scrape(pod=bert.pods[0].name, at_s=story.now_s, answered=False, took_s=5.0)
    workloads = []
    for name in names:
        namespace, own_name = name.split("/")
        identity = replace(bert.spec.id, namespace=namespace, name=own_name)
        workloads.append(
            replace(
                bert,
                spec=replace(bert.spec, id=identity),
                samples=(sample,) if name in heard else (),
                scrapes=(silent,),
            )
        )
    tick = TickInput(
        now_s=story.now_s,
        workloads=tuple(workloads),
        targets=Targets(known=20, answering=15),
    )
    told = common_cause(workloads[0], reach(tick))
    assert told == said or (said is not None and told is not None and told.startswith(said))
