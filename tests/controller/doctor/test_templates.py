"""What keeps a template from being changed, told before it is tried: as a table."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoscaler.config import Settings
from autoscaler.controller.doctor.diagnosis import Level
from autoscaler.controller.doctor.templates import check
from autoscaler.controller.ports import ObservedWorkload
from autoscaler.core.profile import ModelPrior, WorkloadPrior
from autoscaler.core.settings import EngineConfig
from autoscaler.core.slices.settings import SliceSettings, SlicesMode, TemplatesMode
from autoscaler.core.types import ReplicaStatus
from tests.core.slices.templates import ONE, TWO, status
from tests.core.story import spec

PRIOR = WorkloadPrior(workload="team/bert", shape=ONE, models=(ModelPrior(model="m", batches=()),))


def observed(**changes: object) -> ObservedWorkload:
    return ObservedWorkload(
        spec=spec(slice_shapes=(ONE, TWO)),
        replicas=ReplicaStatus(desired=2),
        template=status(**changes),
    )


def settings(mode: TemplatesMode, *priors: WorkloadPrior) -> Settings:
    slices = SliceSettings(mode=SlicesMode.AUTO, templates=mode)
    return Settings(engine=EngineConfig(slices=slices, priors=priors))


@pytest.mark.parametrize(
    ("mode", "workload", "told"),
    [
        pytest.param(TemplatesMode.AUTO, observed(), [], id="nothing is in the way"),
        pytest.param(
            TemplatesMode.OFF,
            observed(),
            ["team/bert: slices are named, and engine.slices.templates is off"],
            id="off",
        ),
        pytest.param(
            TemplatesMode.AUTO,
            observed(owner="Helm applies it: change it there"),
            ["team/bert: it is not changed, only recommended: Helm applies it: change it there"],
            id="belongs to Helm",
        ),
        pytest.param(
            TemplatesMode.RECOMMEND, observed(owner="Helm applies it"), [], id="only recommended"
        ),
        pytest.param(
            TemplatesMode.AUTO,
            observed(unrollable="its rollouts are paused"),
            ["team/bert: its rollouts are paused"],
            id="can't be rolled out",
        ),
        pytest.param(
            TemplatesMode.AUTO,
            observed(max_unavailable="25%"),
            ["team/bert: maxUnavailable 25% may take a replica that is needed"],
            id="Kubernetes' default",
        ),
    ],
)
def test_what_is_in_the_way(
    mode: TemplatesMode, workload: ObservedWorkload, told: list[str]
) -> None:
    found = check(settings(mode, PRIOR), (workload,))
    assert [item.found for item in found if item.level is Level.WARNING] == told
    assert all(item.remedy for item in found if item.level is Level.WARNING)
    assert bool(told) is not any(item.level is Level.OK for item in found)


def test_a_slice_without_a_profile_is_named() -> None:
    (found,) = check(settings(TemplatesMode.RECOMMEND), (observed(),))
    assert found.found == "team/bert: what it does on 1g.10gb is not known before it runs there"
    assert found.remedy == "profile it there, and name the file as profiles: team/bert@1g.10gb"


def test_nothing_is_said_where_no_workload_names_any() -> None:
    workload = replace(observed(), spec=spec())
    assert check(settings(TemplatesMode.AUTO), (workload,)) == []
