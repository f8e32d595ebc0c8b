"""What a replica would carry on another slice, as a table: learned there, told by a profile from there, or unknown."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoscaler.core import size
from autoscaler.core.alternatives import capacity_on, memory_mib
from autoscaler.core.observe import observe
from autoscaler.core.prior import inherited, on_shape, seeded
from autoscaler.core.profile import BatchPrior, ModelPrior
from autoscaler.core.service_time import BatchEvidence, ServiceEvidence
from autoscaler.core.settings import SignalSettings
from autoscaler.core.state import ModelKnowledge, TemplateKnowledge, WorkloadState
from autoscaler.core.types import LatencyObjective, SloForm
from autoscaler.core.variability import Variability
from tests.core.story import START_S, Story, spec

ONE, TWO = "1g.10gb", "2g.20gb"
OBJECTIVE = LatencyObjective(form=SloForm.REQUESTS, ratio=0.99, threshold_s=0.3)


def prior(model: str = "m", mean_s: float = 0.07, **changes: object) -> ModelPrior:
    base = ModelPrior(model=model, batches=(BatchPrior(batch_size=1, mean_s=mean_s),))
    return replace(base, **changes)  # type: ignore[arg-type]


def learned(template_hash: str, shape: str, mean_s: float, model: str = "m") -> TemplateKnowledge:
    seen = BatchEvidence(batch_size=1, weight=900.0, mean_s=mean_s)
    return TemplateKnowledge(
        template_hash=template_hash,
        shape=shape,
        models=(
            ModelKnowledge(
                model=model,
                service=ServiceEvidence(evidence=(seen,), max_batch_size=1, exact=True),
                variability=Variability(value=2.0, requests=9000.0),
            ),
        ),
    )


def there(
    *templates: TemplateKnowledge, priors: tuple[ModelPrior, ...] = ()
) -> size.Capacity | str:
    """Of the workload that has learned these and serves `m`."""
    story = Story(replicas=2)
    story.run(60, rate_rps=10.0)
    memory = next(item for item in story.engine.snapshot().workloads)
    view = observe(story.given(), memory, now_s=story.now_s, settings=SignalSettings())
    state = replace(memory, templates=templates)
    return capacity_on(ONE, spec().id, state, view, OBJECTIVE, priors)


@pytest.mark.parametrize(
    ("templates", "priors", "work_s"),
    [
        pytest.param((), (prior(),), 0.07, id="told"),
        pytest.param((learned("h1", TWO, 0.05),), (prior(),), 0.07, id="told, beside the present"),
        pytest.param((learned("h0", ONE, 0.08),), (prior(),), 0.08, id="learned goes before told"),
        pytest.param((learned("h0", ONE, 0.08), learned("h1", TWO, 0.05)), (), 0.08, id="learned"),
        pytest.param((), (prior(memory_mib=9216),), 0.07, id="it just fits"),
    ],
)
def test_what_is_known(
    templates: tuple[TemplateKnowledge, ...], priors: tuple[ModelPrior, ...], work_s: float
) -> None:
    found = there(*templates, priors=priors)
    assert isinstance(found, size.Capacity)
    assert found.work_s_per_inference == pytest.approx(work_s, rel=0.01)


@pytest.mark.parametrize(
    ("templates", "priors", "why"),
    [
        pytest.param(
            (learned("h1", TWO, 0.05),),
            (),
            "what m does there is not known: profile it there and name the file in the policy, as "
            "profiles: team/bert@1g.10gb",
            id="nothing",
        ),
        pytest.param((learned("h1", "", 0.05),), (), "what m does there", id="of some slice"),
        pytest.param((), (prior("other"),), "what m does there is not known", id="another model"),
        pytest.param(
            (learned("h0", ONE, 0.05, model="other"),), (), "what m does", id="learned of another"
        ),
        pytest.param(
            (),
            (prior(memory_mib=5000, instances=2),),
            "its models take 10000 MiB, 9216 can be used there",
            id="two do not fit",
        ),
        pytest.param(
            (), (prior(mean_s=0.4),), "a request takes 400 ms there without any queue", id="slow"
        ),
    ],
)
def test_what_is_not(
    templates: tuple[TemplateKnowledge, ...], priors: tuple[ModelPrior, ...], why: str
) -> None:
    found = there(*templates, priors=priors)
    assert isinstance(found, str)
    assert why in found


def test_memory_is_told_by_a_profiles_name() -> None:
    assert [memory_mib(name) for name in (ONE, "3g.40gb", "1g.10gb+me", "gpu")] == [
        9216,
        36864,
        9216,
        None,
    ]


def test_a_template_inherits_no_times_from_another_slice() -> None:
    known = (learned("h0", ONE, 0.08), learned("h1", TWO, 0.05))
    of = {shape: inherited(known, "h2", shape)["m"].service.prior_from for shape in (ONE, TWO)}
    assert of == {ONE: "pod template h0", TWO: "pod template h1"}
    assert inherited(known, "h2", "3g.40gb") == {}
    # Where it is not told, as ever.
    assert inherited(known, "h2")["m"].service.prior_from == "pod template h1"


def test_the_profile_of_a_slice_is_for_templates_that_ask_for_it() -> None:
    told = {"": (prior(mean_s=0.05),), ONE: (prior(mean_s=0.08),)}
    assert on_shape(told, ONE)[0].batches[0].mean_s == 0.08
    assert on_shape(told, TWO)[0].batches[0].mean_s == 0.05
    assert on_shape({ONE: (prior(),)}, TWO) == ()


@pytest.mark.parametrize(
    ("known", "shape", "source"),
    [
        pytest.param((learned("h0", TWO, 0.05),), ONE, "an imported profile", id="another slice"),
        pytest.param((learned("h0", ONE, 0.05),), ONE, "", id="learned there before"),
        pytest.param((learned("h1", TWO, 0.05),), ONE, "", id="the ReplicaSet is not there yet"),
    ],
)
def test_a_profile_is_taken_up_when_the_template_asks_for_its_slice(
    known: tuple[TemplateKnowledge, ...], shape: str, source: str
) -> None:
    story = Story(replicas=1)
    story.run(10, rate_rps=1.0)
    state = WorkloadState(id=spec().id, first_seen_s=START_S, templates=known)
    after = seeded(state, story.given(), (prior(),), shape=shape)
    own = [t for t in after.templates if t.template_hash == "h1"]
    told = own[0].models[0].service.prior_from if own else ""
    assert told == source
    if source:
        # How bursty the arrivals are is known already.
        assert own[0].models[0].variability.value == 2.0
