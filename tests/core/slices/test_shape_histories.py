"""Over random histories: a template is never changed while anything is not known, and never twice within a day."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given as having
from hypothesis import settings as how
from hypothesis import strategies as st

from autoscaler.core.alternatives import Alternative
from autoscaler.core.slices.shapes import DAY_S
from autoscaler.core.slices.template import (
    ShapeStep,
)
from tests.core.slices.templates import (
    AUTO,
    ONE,
    POOL,
    TWO,
    World,
    node,
)

GOOD = {
    "seconds": 120.0,
    "wanted": 3,
    "other": 4,
    "unproven": False,
    "free": 12,
    "rollout": False,
    "loss": False,
}
ANY = st.fixed_dictionaries(
    {
        "seconds": st.sampled_from([10.0, 120.0, 1800.0, 40_000.0]),
        "wanted": st.sampled_from([None, 1, 3, 6]),
        "other": st.sampled_from([None, 1, 4, 9]),
        "unproven": st.booleans(),
        "free": st.integers(0, 12),
        "rollout": st.booleans(),
        "loss": st.booleans(),
    }
)
LATER = st.sampled_from([GOOD, {**GOOD, "seconds": 40_000.0}])
"""Nothing is in the way of a change."""
HISTORIES = st.lists(st.one_of(st.just(GOOD), LATER, ANY), min_size=20, max_size=80)


@how(max_examples=60, deadline=None)
@having(HISTORIES, st.booleans())
def test_never_while_anything_is_not_known_and_never_twice_within_a_day(
    history: list[dict[str, object]], annotated: bool
) -> None:
    """Of its two memories one may be lost: the checkpoint, or the annotation."""
    patient = replace(AUTO.slices, template_patience_s=60.0)
    world = World(config=replace(AUTO, slices=patient), desired=3)
    written: list[float] = []
    for tick in history:
        wanted, other = tick["wanted"], tick["other"]
        shape = ONE if world.status.shape == TWO else TWO
        world.wanted = wanted  # type: ignore[assignment]
        world.others = (
            Alternative(shape=shape, replica_rps=8.0 if other else None, wanted=other),  # type: ignore[arg-type]
        )
        world.unproven = "not yet" if tick["unproven"] else None
        world.nodes = (
            node(int(str(tick["free"]))),
            node(0, name="n2", slices=POOL.slices_of("twos"), holders=()),
        )
        world.replicas_changes = {"rollout": tick["rollout"]}
        if tick["loss"] and annotated:
            world.states = ()
        elif tick["loss"]:
            world.status = replace(world.status, mark=None)
        found = world.tick(float(str(tick["seconds"])))
        for action in found.actions:
            if action.step is not ShapeStep.CHANGE:
                back = action.step is ShapeStep.RESTORE
                shape = action.mark.before if back else world.status.shape
                world.status = replace(world.status, mark=action.mark, shape=shape)
                continue
            assert wanted is not None
            assert other is not None
            assert not tick["unproven"]
            assert not tick["rollout"]
            assert not written or world.now_s - written[-1] >= DAY_S
            written.append(world.now_s)
            world.desired = action.mark.replicas
            world.status = replace(world.status, shape=action.mark.after, mark=action.mark)
