"""In which order latency is read, by decisions and by accounting alike: gateway, server's histogram, summaries."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from autoscaler.core.compliance import compliance_of
from autoscaler.core.ledger import Account, advance
from autoscaler.core.settings import EngineConfig
from autoscaler.core.types import (
    Facts,
    ModelCounters,
    PodSample,
    PodStatus,
    ReplicaStatus,
    TickInput,
    WorkloadId,
    WorkloadInput,
    WorkloadSpec,
)
from autoscaler.engine import DecisionEngine
from tests.core.story import Story
from tests.core.test_ledger import START_S, slo

INF = 1e308


@dataclass
class Seen:
    """A server of 10 requests a second, of which `slow` took over 200 ms, behind a gateway that knows better."""

    server: str = "histogram"
    gateway_rps: float | None = 10.0
    gateway_bound_s: float = 0.2
    gateway_slow: float = 0.05
    gateway_failed: float = 0.0
    slow: float = 0.01
    facts: list[Facts] = field(default_factory=list)

    def run(self, seconds: float = 600.0) -> Account:
        engine, account = DecisionEngine(EngineConfig()), None
        for tick in range(round(seconds / 10.0) + 1):
            now_s = START_S + 10.0 * tick
            given = self.given(10.0 * tick, now_s)
            (decision,) = engine.tick(TickInput(now_s=now_s, workloads=(given,))).decisions
            self.facts.append(decision.facts)
            account = advance(account, given, now_s, stale_after_s=30.0)
        assert account is not None
        return account

    def given(self, served_s: float, now_s: float) -> WorkloadInput:
        gateway: tuple[PodSample, ...] = ()
        if self.gateway_rps is not None:
            requests = self.gateway_rps * served_s
            failed = requests * self.gateway_failed
            gateway = (
                PodSample(
                    pod="gateway-0",
                    sampled_at_s=now_s,
                    models=(
                        ModelCounters(
                            model="",
                            success=requests - failed,
                            failure=failed,
                            latency_buckets=(
                                (
                                    self.gateway_bound_s,
                                    (requests - failed) * (1 - self.gateway_slow),
                                ),
                                (INF, requests - failed),
                            ),
                        ),
                    ),
                ),
            )
        return WorkloadInput(
            spec=WorkloadSpec(id=WorkloadId(namespace="team", name="bert"), slo=slo("99% < 200ms")),
            replicas=ReplicaStatus(desired=1),
            pods=(PodStatus(name="bert-0", created_s=START_S - 99.0, ready_s=START_S - 90.0),),
            samples=(
                PodSample(
                    pod="bert-0", sampled_at_s=now_s, models=(self._server(10.0 * served_s),)
                ),
            ),
            gateway=gateway,
        )

    def _server(self, requests: float) -> ModelCounters:
        told = ModelCounters(model="m", success=requests, inferences=requests)
        if self.server == "histogram":
            buckets = ((0.2, requests * (1.0 - self.slow)), (INF, requests))
            return replace(told, latency_buckets=buckets)
        return replace(told, latency_quantiles=((1.0 - self.slow, 0.2), (0.999, 0.4)))


@pytest.mark.parametrize(
    ("seen", "source", "missed"),
    [
        pytest.param(Seen(), "gateway", 0.05, id="the gateway first"),
        pytest.param(
            Seen(gateway_failed=0.1), "gateway", 0.1 + 0.9 * 0.05, id="and its failures are misses"
        ),
        pytest.param(
            Seen(gateway_bound_s=0.25), "histogram", 0.01,
            id="a gateway without a bucket at the threshold tells nothing exactly",
        ),
        pytest.param(
            Seen(gateway_rps=5.0), "histogram", 0.01,
            id="half of the requests pass the gateway by",
        ),
        pytest.param(Seen(gateway_rps=None), "histogram", 0.01, id="no gateway"),
        pytest.param(
            Seen(gateway_rps=None, server="summary"), "summary", 0.01, id="summaries: an estimate"
        ),
    ],
)  # fmt: skip
def test_where_latency_is_read(seen: Seen, source: str, missed: float) -> None:
    account = seen.run()
    (objective,) = compliance_of(account).objectives
    assert objective.source == source
    compliance = objective.windows[0].compliance
    assert compliance.estimate == pytest.approx(1.0 - missed, abs=1e-3)
    assert seen.facts[-1].violated_from == source
    assert seen.facts[-1].violated_ratio == pytest.approx(missed, abs=1e-3)
    exact = compliance.low == pytest.approx(compliance.high, abs=1e-9)
    assert exact == (source != "summary")


def test_a_gateway_that_is_not_scraped_any_more_leaves_it_to_the_servers() -> None:
    seen = Seen()
    account = seen.run()
    given = seen.given(610.0, START_S + 610.0)
    stale = replace(given, gateway=(replace(given.gateway[0], sampled_at_s=START_S + 500.0),))
    account = advance(account, stale, START_S + 610.0, stale_after_s=30.0)
    assert account.ledgers[0].source == "histogram"


@pytest.mark.parametrize(
    ("of_servers", "target"),
    [
        # Triton's default: what it is that misses is not known.
        pytest.param(None, 6, id="the servers tell nothing"),
        pytest.param(0.0, 2, id="the servers that are not flooded miss nothing"),
    ],
)
def test_what_a_gateway_sees_is_not_put_down_to_a_flooded_replica(
    of_servers: float | None, target: int
) -> None:
    story = Story(replicas=6, rate_rps=12.0, misses=of_servers)
    # Half an hour's work, while all six get new requests.
    story.pods[0].pending = 60_000.0
    for tick in range(1, 61):
        requests = 400.0 * tick
        buckets = ((0.3, 0.7 * requests), (INF, requests))
        model = ModelCounters(model="", success=requests, failure=0.0, latency_buckets=buckets)
        edge = PodSample(pod="edge", sampled_at_s=story.now_s - 2.0, models=(model,))
        given = replace(story.given(), gateway=(edge,))
        (decision,) = story.engine.tick(TickInput(now_s=story.now_s, workloads=(given,))).decisions
        story.scale(decision.target)
        story._pass(10.0)
    assert (decision.target, story.pods[0].pending > 20_000.0) == (target, True)
