"""Servers that answer and do not tell how many requests missed: said, with what makes them tell."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoscaler.core.reasons import Reason
from autoscaler.core.slo import objective_text
from autoscaler.core.types import ModelCounters, PodSample, WorkloadSpec
from autoscaler.core.untold import remedy, told_of, unserved, untold
from tests.core.story import Story, spec
from tests.core.test_ledger import slo

BUCKETS = ((0.2, 9.0), (1e308, 10.0))


def asked(text: str, engine: str = "triton", model: str | None = None) -> WorkloadSpec:
    return spec(slo=slo(text), engine=engine, model=model)


def sample(success: float | None, **told: object) -> PodSample:
    counters = ModelCounters(model="m", success=success, **told)  # type: ignore[arg-type]
    return PodSample(pod="bert-0", sampled_at_s=0.0, models=(counters,))


@pytest.mark.parametrize(
    ("text", "samples", "gateway", "missing"),
    [
        pytest.param("99% < 300ms", (sample(100.0),), (), ["99% < 300ms"], id="neither"),
        pytest.param("99% < 300ms", (sample(9.0),), (), [], id="too few to say"),
        pytest.param("99% < 300ms", (sample(None),), (), [], id="not observed"),
        pytest.param("99% < 300ms", (), (), [], id="no sample"),
        pytest.param(
            "99% < 300ms", (sample(100.0, latency_buckets=BUCKETS),), (), [], id="buckets"
        ),
        pytest.param(
            "99% < 300ms", (sample(100.0, latency_quantiles=((0.9, 0.1),)),), (), [], id="summary"
        ),
        pytest.param(
            "99% < 300ms", (sample(100.0, summarised=True),), (), [], id="a summary without a value"
        ),
        pytest.param(
            "99% < 300ms",
            (sample(100.0), sample(50.0, latency_buckets=BUCKETS)),
            (),
            [],
            id="one of two pods tells",
        ),
        pytest.param(
            "99% < 200ms",
            (sample(100.0),),
            (sample(99.0, latency_buckets=BUCKETS),),
            [],
            id="gateway",
        ),
        pytest.param(
            "99% < 300ms",
            (sample(100.0),),
            (sample(99.0, latency_buckets=BUCKETS),),
            ["99% < 300ms"],
            id="a gateway without a bucket there is not believed",
        ),
        pytest.param(
            "p95 ttft < 1s, 99% < 300ms",
            (sample(100.0, latency_buckets=BUCKETS),),
            (),
            ["p95 ttft < 1s"],
            id="one of two objectives",
        ),
        pytest.param(
            "p95 ttft < 1s", (sample(100.0, ttft_buckets=BUCKETS),), (), [], id="first token"
        ),
    ],
)
def test_what_nothing_tells(
    text: str, samples: tuple[PodSample, ...], gateway: tuple[PodSample, ...], missing: list[str]
) -> None:
    found = untold(asked(text), samples, gateway)
    assert [objective_text(objective) for objective in found] == missing


def test_other_models_of_the_server_do_not_count() -> None:
    assert untold(asked("99% < 300ms", model="other"), (sample(100.0),), ()) == ()


@pytest.mark.parametrize(
    ("text", "engine", "said"),
    [
        ("99% < 300ms", "triton", "--metrics-config histogram_latencies=true"),
        ("p95 ttft < 1s", "triton", "write the objective on latency, or name the engine"),
        ("p95 tpot < 50ms", "kserve", "write the objective on latency, or name the engine"),
        ("p95 ttft < 1s", "tgi", "let the engine or a gateway export a histogram of it"),
    ],
)
def test_the_remedy_is_the_engines(text: str, engine: str, said: str) -> None:
    asking = asked(text, engine)
    missing = asking.slo.objectives
    assert told_of(missing) == f"nothing tells how many requests miss {text}"
    assert said in remedy(asking, missing)


def test_it_is_a_finding_and_sizing_goes_on() -> None:
    story = Story(replicas=1)
    decision = story.run(120, rate_rps=40)
    assert decision.target > 1
    (finding,) = [f for f in decision.findings if f.reason is Reason.SLO_UNTOLD]
    assert finding.message.startswith("nothing tells how many requests miss 99% < 300ms; sized by")


def served_by(*names: str) -> tuple[PodSample, ...]:
    models = tuple(ModelCounters(model=name, success=100.0, summarised=True) for name in names)
    return (PodSample(pod="bert-0", sampled_at_s=0.0, models=models),)


@pytest.mark.parametrize(
    ("model", "served", "told"),
    [
        pytest.param("quik", ("slow", "quick"), "they serve quick, slow", id="misspelt"),
        pytest.param("m", tuple("abcdef"), "they serve a, b, c, d, e, ...", id="of many"),
        pytest.param("quick", ("slow", "quick"), None, id="served"),
        pytest.param(None, ("slow", "quick"), None, id="all count"),
        pytest.param("quick", (), None, id="nothing is seen"),
    ],
)
def test_a_model_that_no_pod_serves(
    model: str | None, served: tuple[str, ...], told: str | None
) -> None:
    found = unserved(asked("99% < 300ms", model=model), served_by(*served))
    assert found == (
        told and f"no pod serves the model '{model}' that forescale.io/model names; {told}"
    )


def test_a_workload_whose_model_is_misspelt_is_told_so() -> None:
    story = Story(spec=spec(model="quik"))
    story.run(60, rate_rps=25)
    findings = {f.reason: f.message for f in story.decisions[-1].findings}
    assert findings[Reason.MODEL_UNSERVED].endswith("they serve m")


def test_which_of_several_models_is_too_slow_is_said() -> None:
    story = Story(spec=spec(slo=slo("99% < 40ms")))
    story.run(60, rate_rps=25)
    given = story.given()
    idle = ModelCounters(model="idle", success=0.0, failure=0.0, inferences=0.0, pending=0.0)
    both = tuple(replace(one, models=(*one.models, idle)) for one in given.samples)
    story.given = lambda: replace(given, samples=both)  # type: ignore[method-assign]
    story.now_s += 10.0
    story.tick()
    findings = {f.reason: f.message for f in story.decisions[-1].findings}
    assert findings[Reason.SLO_UNATTAINABLE].startswith("a request of model m takes 52 ms")
    assert findings[Reason.SLO_UNATTAINABLE].endswith("or serve them apart")
