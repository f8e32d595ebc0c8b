"""Checkpoints: whole or not at all, in one ConfigMap or several, and never believed when they do not fit together."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from autoscaler.controller.checkpoint import ConfigMapCheckpoint, FileCheckpoint, pack, unpack
from autoscaler.core.reasons import Reason
from autoscaler.core.state import Departed, EngineState, FleetMove, FleetState
from autoscaler.core.types import DemandForecast
from autoscaler.engine import DecisionEngine
from autoscaler.errors import ActuationUnknown, SourceInvalid
from tests.core.story import Story
from tests.fakes.recorded import RecordedStory

NAN = float("nan")


class FakeMaps:
    """ConfigMaps' binaryData; a write can be made to fail."""

    def __init__(self) -> None:
        self.maps: dict[str, dict[str, bytes]] = {}
        self.fail_after: int | None = None
        self.unanswered = ""
        """A write of this one is made, and its answer lost."""

    async def read(self, name: str) -> Mapping[str, bytes] | None:
        return self.maps.get(name)

    async def write(self, name: str, data: Mapping[str, bytes]) -> None:
        if self.fail_after is not None:
            if self.fail_after == 0:
                raise ActuationUnknown("no answer")
            self.fail_after -= 1
        self.maps[name] = dict(data)
        if name == self.unanswered:
            raise ActuationUnknown("no answer")


def blob(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


def test_a_state_survives_packing() -> None:
    story = RecordedStory()
    story.run(300, rate_rps=40)
    state = story.engine.snapshot()
    assert state.workloads
    found = unpack(pack(state, 17.0))
    assert found.state == state
    assert found.saved_at_s == 17.0


def test_a_forecast_goes_over_to_the_next_leader_until_it_expires() -> None:
    """Made at minute 10 and believed for five: the next leader's own came after a minute and a quarter, or after its
    fits, and a rise that begins meanwhile was met when it was seen."""
    story = RecordedStory()
    (key,) = (item.spec.id for item in story.record(600, rate_rps=40)[-1].input.workloads)
    told = DemandForecast(
        workload=key,
        cutoff_s=story.now_s,
        expires_s=story.now_s + 300.0,
        horizons_s=(60.0, 300.0),
        quantiles=(0.5, 0.9),
        values_rps=((40.123456, 41.0), (120.0, 140.56789)),
        skills=((0.12345, 0.5), (0.5, 0.5)),
    )
    state = replace(story.engine.snapshot(), forecasts=(told,))
    found = unpack(pack(state, 17.0)).left()
    assert found.forecasts == (
        replace(
            told, values_rps=((40.12, 41.0), (120.0, 140.6)), skills=((0.123, 0.5), (0.5, 0.5))
        ),
    )
    story.engine.restore(found)
    known = []
    for _ in range(4):
        story.record(100, rate_rps=40)
        known.append(len(story.engine.snapshot().forecasts))
    assert known == [1, 1, 0, 0]


@pytest.mark.parametrize(
    ("final", "told"),
    [
        pytest.param(False, [], id="of a controller that was killed: the number may be its own"),
        pytest.param(True, ["ExternalEdit"], id="of one that ended: it is somebody else's"),
    ],
)
def test_a_number_that_a_killed_controller_may_have_written_is_no_edit_from_outside(
    final: bool, told: list[str]
) -> None:
    """Seven replicas are there when the next one begins, four or fewer when it was saved."""
    story = Story(replicas=4)
    story.run(600, rate_rps=20)
    data = pack(story.engine.snapshot(), 17.0, final=final)
    story.scale(7)
    story.engine = DecisionEngine(story.config)
    story.engine.restore(unpack(data).left())
    decision = story.tick().decisions[0]
    assert [f.reason.value for f in decision.findings if f.reason is Reason.EXTERNAL_EDIT] == told


def test_equal_states_are_equal_bytes() -> None:
    state = RecordedStory().engine.snapshot()
    assert pack(state, 17.0) == pack(state, 17.0)


@pytest.mark.parametrize(
    "damage", [b"", b"hello", pack(RecordedStory().engine.snapshot(), 1.0)[:-9]]
)
def test_damage_is_said(damage: bytes) -> None:
    with pytest.raises(SourceInvalid, match="starting cold"):
        unpack(damage)


def test_a_workload_that_can_not_be_read_costs_no_other_what_it_learned(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """JSON has no word for a number that is none: it becomes null, and no float."""
    story = RecordedStory()
    story.run(300, rate_rps=40)
    state = story.engine.snapshot()
    (bert,) = state.workloads
    other = replace(bert, id=replace(bert.id, name="other"), skew_ratio=NAN)
    gone = Departed(learned=other, since_s=float("inf"))
    with caplog.at_level("WARNING"):
        found = unpack(pack(replace(state, workloads=(bert, other), departed=(gone,)), 17.0))
    assert found.state == state
    assert [line.left_out for line in caplog.records] == [2]  # type: ignore[attr-defined]


def test_a_number_that_is_none_elsewhere_is_damage() -> None:
    with pytest.raises(SourceInvalid, match=r"\$\.state\.fleet\.moves"):
        unpack(pack(EngineState(fleet=FleetState(moves=(FleetMove(at_s=0.0, gpus=NAN),))), 17.0))


async def test_a_small_one_takes_one_config_map() -> None:
    maps = FakeMaps()
    store = ConfigMapCheckpoint(maps, "forescale-state")
    assert await store.load() is None
    await store.save(b"small")
    assert list(maps.maps) == ["forescale-state"]
    assert await ConfigMapCheckpoint(maps, "forescale-state").load() == b"small"


async def test_a_large_one_takes_several_and_comes_back_whole() -> None:
    maps = FakeMaps()
    store = ConfigMapCheckpoint(maps, "s", part_bytes=1000)
    await store.save(blob(3500))
    assert sorted(maps.maps) == ["s", "s-a-1", "s-a-2", "s-a-3"]
    assert await ConfigMapCheckpoint(maps, "s", part_bytes=1000).load() == blob(3500)
    await store.save(blob(2500, seed=2))
    assert await store.load() == blob(2500, seed=2)


@pytest.mark.parametrize("writes", [0, 1, 2, 3])
async def test_a_writer_that_dies_half_way_leaves_the_old_one(writes: int) -> None:
    maps = FakeMaps()
    await ConfigMapCheckpoint(maps, "s", part_bytes=1000).save(blob(3500))
    successor = ConfigMapCheckpoint(maps, "s", part_bytes=1000)
    await successor.load()
    maps.fail_after = writes
    with pytest.raises(ActuationUnknown):
        await successor.save(blob(3800, seed=2))
    assert await ConfigMapCheckpoint(maps, "s").load() == blob(3500)


@pytest.mark.parametrize("after", [0, 1, 2, 3])
@pytest.mark.parametrize("writes", [0, 1, 2, 3])
async def test_a_second_failure_leaves_the_old_one_too(writes: int, after: int) -> None:
    """A save that timed out in an outage, and the next one a minute later, of which the controller dies."""
    maps = FakeMaps()
    store = ConfigMapCheckpoint(maps, "s", part_bytes=1000)
    await store.save(blob(3500))
    for fail_after in (writes, after):
        maps.fail_after = fail_after
        with pytest.raises(ActuationUnknown):
            await store.save(blob(3800, seed=2))
    assert await ConfigMapCheckpoint(maps, "s").load() == blob(3500)


async def test_an_index_whose_write_had_no_answer_and_yet_was_made_is_spared() -> None:
    maps = FakeMaps()
    store = ConfigMapCheckpoint(maps, "s", part_bytes=1000)
    await store.save(blob(3500))
    maps.unanswered = "s"
    with pytest.raises(ActuationUnknown):
        await store.save(blob(3500, seed=2))
    maps.unanswered, maps.fail_after = "", 2
    with pytest.raises(ActuationUnknown):
        await store.save(blob(3500, seed=3))
    assert await ConfigMapCheckpoint(maps, "s").load() == blob(3500, seed=2)


@pytest.mark.parametrize("broken", ["missing", "foreign", "index"])
async def test_parts_that_do_not_belong_together_are_refused(broken: str) -> None:
    maps = FakeMaps()
    await ConfigMapCheckpoint(maps, "s", part_bytes=1000).save(blob(3500))
    if broken == "missing":
        del maps.maps["s-a-2"]
    elif broken == "foreign":
        maps.maps["s-a-2"] = {"part": blob(1000, seed=3)}
    else:
        maps.maps["s"]["index"] = b"{}"
    with pytest.raises(SourceInvalid, match="starting cold"):
        await ConfigMapCheckpoint(maps, "s").load()


async def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    store = FileCheckpoint(tmp_path / "deep" / "state.gz")
    assert await store.load() is None
    await store.save(b"one")
    await store.save(b"two")
    assert await store.load() == b"two"
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["state.gz"]
