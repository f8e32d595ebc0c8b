"""Profiles and other templates' times as priors: how they are weighed, and that nothing is lowered on them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.core.prior import inherited, seeded
from autoscaler.core.profile import BatchPrior, ModelPrior, WorkloadPrior
from autoscaler.core.reasons import Reason
from autoscaler.core.sequences import Sequences
from autoscaler.core.service_readings import take_profile
from autoscaler.core.service_time import (
    BatchEvidence,
    ServiceEvidence,
    ServiceTimes,
    service_times,
    unproven,
)
from autoscaler.core.settings import EngineConfig
from autoscaler.core.state import ModelKnowledge, TemplateKnowledge, WorkloadState
from autoscaler.core.types import BatchTime, ModelProfile
from autoscaler.core.variability import Variability
from tests.core.served_story import ServedStory, unproven_at
from tests.core.story import START_S, Story, spec

ms = pytest.approx


def evidence(*times: tuple[int, float, float]) -> tuple[BatchEvidence, ...]:
    """(batch size, executions, seconds each)."""
    return tuple(BatchEvidence(batch_size=b, weight=n, mean_s=s) for b, n, s in times)


def with_prior(*seen: tuple[int, float, float], prior_s: tuple[float, ...]) -> ServiceEvidence:
    return ServiceEvidence(
        evidence=evidence(*seen),
        prior=evidence(*((size, 20.0, s) for size, s in enumerate(prior_s, start=1))),
        prior_from="an imported profile",
        max_batch_size=len(prior_s),
    )


def profile(*batch_s: float, model: str = "m", **changes: object) -> tuple[WorkloadPrior, ...]:
    """Of the workload that stories are about."""
    batches = tuple(BatchPrior(batch_size=b, mean_s=s) for b, s in enumerate(batch_s, start=1))
    told = ModelPrior(model=model, batches=batches, **changes)  # type: ignore[arg-type]
    return (WorkloadPrior(workload="team/bert", models=(told,)),)


def starting(
    replicas: int, *, prior: tuple[WorkloadPrior, ...] = (), **changes: object
) -> ServedStory:
    """Pods that have just become ready: what they do is not learned from for half a minute. A replica carries 21.5."""
    config = EngineConfig(priors=prior)
    return ServedStory(replicas=replicas, config=config, **changes).just_started()  # type: ignore[arg-type]


RIGHT, TWICE_TOO_GOOD, HALF_AS_GOOD = (0.052, 0.064), (0.026, 0.032), (0.104, 0.128)


# ---------------------------------------------------------------- weights


@pytest.mark.parametrize(
    ("executions", "seen_ms", "not_seen_ms"),
    [(0, 50.0, 50.0), (20, 85.4, 70.7), (180, 99.3, 93.3), (2000, 100.0, 99.3)],
)
def test_twenty_executions_weigh_as_much_as_the_prior(
    executions: int, seen_ms: float, not_seen_ms: float
) -> None:
    # The prior says 50 ms for every size, batches of one take 100.
    seen = ((1, float(executions), 0.1),) if executions else ()
    times = service_times(with_prior(*seen, prior_s=(0.05,) * 8))
    assert times is not None
    # Never falling: what was seen of one is a bound for eight too.
    assert times.batch_s[0] * 1000.0 == pytest.approx(seen_ms, abs=0.1)
    assert times.batch_s[7] * 1000.0 == pytest.approx(max(seen_ms, not_seen_ms), abs=0.1)


def test_a_size_that_was_not_seen_keeps_the_priors_shape_at_the_level_that_is_seen() -> None:
    times = service_times(with_prior((1, 980.0, 0.02), prior_s=(0.01, 0.012, 0.014, 0.016)))
    assert times is not None
    # 2^(980/1000) = 1.97 times the prior.
    assert [round(s, 4) for s in times.batch_s] == [0.02, 0.0237, 0.0276, 0.0316]


@pytest.mark.parametrize(
    ("executions", "proven"), [(0.0, False), (19.0, False), (20.0, True), (2000.0, True)]
)
def test_proven_is_what_outweighs_the_prior(executions: float, proven: bool) -> None:
    known = with_prior(*([(1, executions, 0.05)] if executions else []), prior_s=(0.05,))
    assert (unproven(known) is None) is proven


def test_without_a_prior_nothing_is_new() -> None:
    assert unproven(ServiceEvidence(evidence=evidence((1, 5.0, 0.05)))) is None
    assert service_times(ServiceEvidence()) is None


@given(
    prior_s=st.floats(0.001, 1.0),
    true_s=st.floats(0.001, 1.0),
    executions=st.floats(1.0, 2000.0),
    size=st.integers(1, 8),
)
def test_what_is_believed_lies_between_the_prior_and_what_was_seen(
    prior_s: float, true_s: float, executions: float, size: int
) -> None:
    times = service_times(with_prior((size, executions, true_s), prior_s=(prior_s,) * 8))
    assert times is not None
    low, high = sorted((prior_s, true_s))
    assert all(low * 0.999 <= seconds <= high * 1.001 for seconds in times.batch_s)


# ---------------------------------------------------------------- who gets one


def templates(**evidence_by_hash: tuple[BatchEvidence, ...]) -> tuple[TemplateKnowledge, ...]:
    return tuple(
        TemplateKnowledge(
            template_hash=name,
            models=(
                ModelKnowledge(
                    model="m",
                    service=ServiceEvidence(evidence=seen, max_batch_size=2, exact=True),
                    variability=Variability(value=2.0, requests=9000.0),
                ),
            ),
        )
        for name, seen in evidence_by_hash.items()
    )


def seeded_models(*, state: WorkloadState, prior: tuple[WorkloadPrior, ...]) -> dict[str, str]:
    """Model and where its prior comes from, on the present template."""
    story = Story(replicas=1)
    story.run(10, rate_rps=1.0)
    after = seeded(state, story.given(), prior[0].models)
    own = next((t for t in after.templates if t.template_hash == "h1"), None)
    return {m.model: m.service.prior_from for m in own.models} if own else {}


@pytest.mark.parametrize(
    ("known", "model", "expected"),
    [
        pytest.param((), "m", {"m": "an imported profile"}, id="nothing known"),
        pytest.param((), "other", {}, id="no pod serves that model"),
        pytest.param(templates(h1=evidence((1, 5.0, 0.05))), "m", {"m": ""}, id="learned here"),
        pytest.param(templates(h0=evidence((1, 5.0, 0.05))), "m", {}, id="learned before"),
    ],
)
def test_a_profile_is_for_models_that_are_served_and_were_never_measured(
    known: tuple[TemplateKnowledge, ...], model: str, expected: dict[str, str]
) -> None:
    state = WorkloadState(id=spec().id, first_seen_s=START_S, templates=known)
    assert seeded_models(state=state, prior=profile(*RIGHT, model=model)) == expected


def test_a_profile_of_another_model_is_named() -> None:
    story = starting(2, prior=profile(*RIGHT, model="bert_onnx"))
    decision = story.run(20, rate_rps=25)
    message = "the profile is of bert_onnx, the pods serve m: it is not used"
    assert message in [f.message for f in decision.findings if f.reason is Reason.PROFILE_UNUSED]
    assert decision.reason is Reason.CAPACITY_UNKNOWN
    right = starting(2, prior=profile(*RIGHT)).run(20, rate_rps=25)
    assert Reason.PROFILE_UNUSED not in [f.reason for f in right.findings]


def test_a_new_template_takes_over_what_the_last_one_taught() -> None:
    known = templates(h0=evidence((1, 900.0, 0.5)), h1=evidence((1, 900.0, 0.05), (2, 3.0, 9.0)))
    taken = inherited(known, "h2")["m"]
    # Three executions are believed no more there than they were here.
    assert taken.service.prior == evidence((1, 20.0, 0.05))
    assert taken.service.evidence == ()
    assert not taken.service.exact
    assert taken.variability == Variability(value=2.0, requests=0.0)
    assert unproven(taken.service) == (
        "the time of a batch is known from pod template h1, and from 0 of the 20 executions that outweigh it"
    )
    assert inherited(known[:1], "h0") == {}


def test_a_profile_gives_the_servers_configuration_until_it_is_read() -> None:
    story = Story(replicas=1)
    story.run(10, rate_rps=1.0)
    prior = profile(0.05, 0.06, instances=2, max_queue_delay_s=0.01, variability=1.5)
    after = seeded(
        WorkloadState(id=spec().id, first_seen_s=START_S), story.given(), prior[0].models
    )
    model = after.templates[0].models[0]
    assert service_times(model.service) == ServiceTimes(
        batch_s=(0.05, 0.06), instances=2, max_queue_delay_s=0.01
    )
    assert model.variability.value == 1.5
    told = ModelProfile(
        model="m", max_batch_size=1, batch_times=(BatchTime(batch_size=1, count=99, total_s=9.9),)
    )
    times = service_times(take_profile(model.service, told, ()))
    assert times is not None
    assert (times.max_batch_size, times.instances, times.max_queue_delay_s) == (1, 1, 0.0)


# ---------------------------------------------------------------- stories


def test_without_a_profile_the_first_half_minute_is_blind() -> None:
    story = starting(2)
    story.run(20, rate_rps=125)
    assert story.decisions[-1].reason is Reason.CAPACITY_UNKNOWN
    assert story.decided() == [2, 2]


def test_with_a_profile_it_is_sized_right_from_the_first_tick_that_shows_demand() -> None:
    # A rate needs two samples. 125 rps, and what it may rise by in the two minutes that a start is taken for, is 173.
    story = starting(2, prior=profile(*RIGHT))
    story.run(60, rate_rps=125)
    assert story.decided() == [2, 9, 10, 10, 10, 10]
    assert story.decisions[1].facts.capacity_rps == pytest.approx(21.5, abs=0.1)


def test_a_profile_twice_too_good_is_corrected_with_the_first_executions_that_count() -> None:
    story = starting(2, prior=profile(*TWICE_TOO_GOOD))
    story.run(60, rate_rps=125)
    # The quarantine of the first pods ends with the third tick.
    assert story.decided() == [2, 4, 10, 10, 10, 10]
    assert [unproven_at(d) for d in story.decisions] == [True, True, False, False, False, False]
    assert story.decisions[2].facts.capacity_rps == pytest.approx(21.5, rel=0.05)


def test_a_profile_half_as_good_asks_for_too_many_at_first_and_gives_them_back() -> None:
    story = starting(2, prior=profile(*HALF_AS_GOOD))
    # 26 for the demand, and one for each of the two that hold a backlog.
    assert story.run(20, rate_rps=125).target == 28
    assert story.run(1200).target <= 9


def test_nothing_is_lowered_on_a_profile_however_good_it_says_the_server_is() -> None:
    # Eight replicas under 20 rps, which one would carry by the profile; no pod is ever ready for half a minute.
    story = starting(8, prior=profile(*TWICE_TOO_GOOD))
    for _ in range(120):
        for pod in story.pods:
            pod.ready_s = story.now_s
        story.run(10, rate_rps=20)
    assert set(story.decided()) == {8}
    last = story.decisions[-1]
    assert last.reason is Reason.CAPACITY_UNPROVEN
    assert last.message == (
        "held: the time of a batch is known from an imported profile, and from 0 of the 20 executions that outweigh it"
    )


def test_no_demand_at_all_is_carried_whatever_a_replica_carries() -> None:
    story = starting(8, prior=profile(*TWICE_TOO_GOOD))
    assert story.run(1200, rate_rps=0.0).target == 1


def test_a_profile_changes_nothing_once_the_workload_was_measured() -> None:
    plain, told = Story(replicas=4), Story(replicas=4)
    plain.run(300, rate_rps=60)
    told.run(300, rate_rps=60)
    successor = type(told.engine)(EngineConfig(priors=profile(*TWICE_TOO_GOOD)))
    successor.restore(told.engine.snapshot())
    told.engine = successor
    plain.run(600)
    told.run(600)
    assert [d.target for d in told.decisions] == [d.target for d in plain.decisions]
    assert told.decisions[-1].facts == plain.decisions[-1].facts


def test_a_new_template_takes_over_what_sequences_take_of_the_cache() -> None:
    shown = Sequences(cache_ratio=0.4, running=20.0, requests=10.0, tokens=2000.0, full_at=24)
    model = ModelKnowledge(
        model="llama", service=ServiceEvidence(evidence=evidence((8, 500.0, 0.03))), sequences=shown
    )
    known = (TemplateKnowledge(template_hash="h1", models=(model,)),)
    assert inherited(known, "h2")["llama"].sequences == shown
