"""A model that becomes slower or faster: noticed, relearned, and nothing lowered in between."""

from __future__ import annotations

import pytest

from autoscaler.core.reasons import Reason
from autoscaler.core.service_readings import take_counters, take_profile
from autoscaler.core.service_time import ServiceEvidence, ServiceTimes, service_times, unproven
from autoscaler.core.types import BatchTime, ModelProfile
from tests.core.served_story import ServedStory, unproven_at

Times = tuple[tuple[int, int, float], ...]
USUAL: Times = ((1, 200, 0.052), (2, 200, 0.064))


def reading(*times: tuple[int, int, float], version: str = "1") -> ModelProfile:
    """(batch size, executions, seconds each) since the server started."""
    return ModelProfile(
        model="m",
        version=version,
        max_batch_size=4,
        batch_times=tuple(BatchTime(batch_size=b, count=n, total_s=n * s) for b, n, s in times),
    )


def scaled(factor: float, *, executions: int = 200, version: str = "1") -> ModelProfile:
    """`USUAL`, every batch taking so many times as long."""
    times = ((b, executions, s * factor) for b, _, s in USUAL)
    return reading(*times, version=version)


def after(*readings: ModelProfile) -> ServiceEvidence:
    """What is known after readings of a server that each count from the one before."""
    known = take_profile(ServiceEvidence(), reading(*USUAL), ())
    for told in readings:
        known = take_profile(known, told, ())
    return known


def in_ms(known: ServiceEvidence) -> list[int]:
    times = service_times(known)
    assert times is not None
    return [round(seconds * 1000.0) for seconds in times.batch_s]


@pytest.mark.parametrize(
    ("readings", "expected_ms", "proven"),
    [
        pytest.param((scaled(1.0),), [52, 64, 76, 88], True, id="the same"),
        pytest.param((scaled(1.2),), [57, 70, 84, 97], True, id="a fifth more: the mean follows"),
        pytest.param((scaled(2.0),), [104, 128, 152, 176], False, id="twice as slow counts at once"),
        pytest.param((scaled(2.0), scaled(2.0)), [104, 128, 152, 176], True, id="and is known then"),
        pytest.param((scaled(0.5),), [52, 64, 76, 88], False, id="twice as fast does not count yet"),
        pytest.param((scaled(0.5), scaled(0.5)), [26, 32, 38, 44], True, id="until seen again"),
        pytest.param((scaled(2.0), scaled(1.0)), [52, 64, 76, 88], True, id="one slow reading passes"),
        pytest.param((scaled(0.5), scaled(1.0)), [52, 64, 76, 88], True, id="one fast one too"),
        pytest.param((scaled(2.0), scaled(0.5)), [52, 64, 76, 88], False, id="up and down: no level"),
        pytest.param((scaled(0.5, executions=5),), [51, 63, 75, 87], True, id="ten executions: no doubt"),
    ],
)  # fmt: skip
def test_levels(readings: tuple[ModelProfile, ...], expected_ms: list[int], proven: bool) -> None:
    known = after(*readings)
    assert in_ms(known) == expected_ms
    assert (unproven(known) is None) is proven


def test_few_executions_are_compared_when_they_have_become_enough() -> None:
    # 20 a reading: the third makes 60, of which the ratio to 400 is worth 52 executions.
    known = after(*[scaled(2.0, executions=10)] * 3)
    assert unproven(known) is not None
    assert in_ms(known)[0] >= 100


def test_sizes_that_were_not_seen_since_keep_their_shape_at_the_new_level() -> None:
    only_ones = reading((1, 200, 0.104))
    assert in_ms(after(only_ones, only_ones)) == [104, 128, 152, 176]


def test_a_busier_server_is_no_slower_model() -> None:
    # Batches of four were never seen: that they take longer than batches of two raises no doubt.
    known = after(reading((4, 500, 0.2)))
    assert unproven(known) is None
    assert in_ms(known)[3] == 200


def test_a_new_version_is_doubted_until_it_was_seen_twice() -> None:
    first = after(scaled(0.5, version="2"))
    assert unproven(first) is not None
    assert in_ms(first) == [52, 64, 76, 88]
    second = take_profile(first, scaled(0.5, version="2"), ())
    assert unproven(second) is None
    assert in_ms(second) == [26, 32, 38, 44]
    same = take_profile(after(scaled(1.0, version="2")), scaled(1.0, version="2"), ())
    assert unproven(same) is None


def test_a_new_version_that_has_served_nothing_is_doubted_too() -> None:
    known = after(reading(version="2"))
    assert unproven(known) == "version 2 of the model is new, and too few batches were seen of it"
    assert in_ms(known) == [52, 64, 76, 88]


def test_a_version_that_was_never_told_is_no_change() -> None:
    assert unproven(after(scaled(1.0, version=""))) is None
    unnamed = take_profile(ServiceEvidence(), scaled(1.0, version=""), ())
    assert unproven(take_profile(unnamed, scaled(1.0, version="7"), ())) is None


def test_counters_raise_no_doubt_because_their_batches_are_mixed() -> None:
    known = ServiceEvidence()
    for compute_s in (0.05, 0.1, 0.1):
        known = take_counters(known, mean_batch=1.4, compute_s=compute_s, executions=900.0)
    assert unproven(known) is None


# ---------------------------------------------------------------- stories

TWICE_AS_SLOW = ServiceTimes(batch_s=(0.104, 0.128))
TWICE_AS_FAST = ServiceTimes(batch_s=(0.026, 0.032))


def served(*, warm_up_s: float = 0.0) -> ServedStory:
    """Seven replicas, which 100 rps need, after a quarter of an hour; pods from now on warm up."""
    story = ServedStory(replicas=8)
    story.run(900, rate_rps=100)
    story.warm_up_s = warm_up_s
    assert story.decisions[-1].target == 7
    story.decisions.clear()
    return story


def change(story: ServedStory, how: str, times: ServiceTimes) -> None:
    story.times = times
    if how == "new version":
        story.load_version("2")
    elif how == "new template":
        story.roll_out("h2")


@pytest.mark.parametrize("how", ["in place", "new version", "new template"])
def test_a_model_that_takes_twice_as_long_gets_its_replicas_within_a_minute(how: str) -> None:
    story = served()
    change(story, how, TWICE_AS_SLOW)
    story.run(1200)
    assert max(story.decided()[:6]) >= 11
    # 100 rps at 5.9 rps a replica, with a tenth to spare and what variability asks for.
    assert 17 <= story.decided()[-1] <= 21
    assert story.known_s(1) == pytest.approx(0.104, rel=0.02)


@pytest.mark.parametrize("how", ["in place", "new version", "new template"])
def test_a_model_that_takes_half_as_long_gives_its_replicas_back_after_the_second_look(
    how: str,
) -> None:
    story = served()
    change(story, how, TWICE_AS_FAST)
    story.run(1200)
    doubted = [index for index, decision in enumerate(story.decisions) if unproven_at(decision)]
    assert doubted
    assert set(story.decided()[: doubted[-1] + 1]) == {7}
    assert story.decided()[-1] == 4
    assert story.known_s(1) == pytest.approx(0.026, rel=0.02)


def test_nothing_is_lowered_while_the_level_is_in_doubt_even_when_demand_falls() -> None:
    story = served()
    story.times = TWICE_AS_FAST
    story.run(30)
    # From here on no reading comes: the doubt is never resolved.
    story.statistics_up = False
    assert story.run(1800, rate_rps=20).target == 7
    assert story.decisions[-1].reason is Reason.CAPACITY_UNPROVEN
    assert story.decisions[-1].message == (
        "held: batches lately take 0.5 times what they took, seen once so far"
    )
    story.statistics_up = True
    assert story.run(900).target == 1


def test_a_rollback_finds_what_was_known() -> None:
    story = served()
    change(story, "new template", TWICE_AS_SLOW)
    story.run(300)
    story.times = ServiceTimes(batch_s=(0.052, 0.064))
    story.roll_out("h1")
    story.run(20)
    assert story.decisions[-1].facts.capacity_unproven is None
    assert story.decisions[-1].facts.capacity_rps == pytest.approx(17.3, abs=1.0)


# ---------------------------------------------------------------- quarantine


def test_the_warm_up_of_a_new_pod_is_not_learned() -> None:
    story = served(warm_up_s=30.0)
    assert story.known_s(1) == pytest.approx(0.052, rel=0.01)
    # The pod that statistics are read from is replaced by one whose first batch takes 30 s.
    gone, fresh = story.pods[0], story._pod(story.now_s, story.now_s)
    story.pods = [fresh, *story.pods[1:]]
    del story.batches[gone.name]
    story.run(300)
    assert story.known_s(1) == pytest.approx(0.052, rel=0.01)
    assert not any(unproven_at(decision) for decision in story.decisions)


def test_the_warm_up_of_a_container_that_restarted_is_not_learned() -> None:
    story = served(warm_up_s=30.0)
    story.restart(story.pods[0])
    story.run(300)
    assert story.known_s(1) == pytest.approx(0.052, rel=0.01)
    assert not any(unproven_at(decision) for decision in story.decisions)


def test_waits_behind_a_warm_up_are_no_burstiness() -> None:
    def variability(warm_up_s: float) -> float:
        story = served(warm_up_s=warm_up_s)
        story.rate_rps = 150
        story.scale(12)
        story.run(110)
        return story.engine.snapshot().workloads[0].templates[-1].models[0].variability.value

    assert variability(5.0) == pytest.approx(variability(0.0))


def test_a_start_that_has_become_slower_is_noticed_while_it_lasts() -> None:
    story = ServedStory(replicas=4, startup_s=20.0)
    story.run(600, rate_rps=60)
    for _ in range(5):  # five starts of 20 s
        story.scale(story.replicas + 1)
        story.run(60)
    assert story.decisions[-1].facts.lead_time_s == 20.0
    story.startup_s = 300.0
    story.scale(story.replicas + 2)
    story.run(120)
    assert story.decisions[-1].facts.lead_time_s == pytest.approx(120.0, abs=10.0)


def test_what_was_learned_of_drift_goes_through_a_checkpoint() -> None:
    story = served()
    story.times = TWICE_AS_FAST
    story.run(30)
    successor = type(story.engine)(story.config)
    successor.restore(story.engine.snapshot())
    story.engine = successor
    story.run(10)
    assert unproven_at(story.decisions[-1])
    assert story.run(1200).target == 4
