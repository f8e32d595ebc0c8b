"""What `plan` and `explain` show of an engine that generates tokens: its unit, and which objective it is about."""

from __future__ import annotations

import pytest
from rich.console import Console
from rich.table import Table

from autoscaler.cli.render import console, decisions_table, explanation
from autoscaler.core.reasons import Reason
from autoscaler.core.types import Decision, Facts, Mode, WorkloadId, WorkloadSpec
from tests.core.test_ledger import slo

LLM = WorkloadId(namespace="team", name="llm")
SEEN = Facts(
    offered_rps=796.0,
    upper_rps=1071.0,
    capacity_rps=214.0,
    capacity_limit="50 ms a token",
    tokens=True,
    violated_ratio=0.08,
    violated_of="p95 tpot < 50ms",
    violated_from="histogram",
)


def decided(facts: Facts) -> Decision:
    return Decision(
        workload=LLM,
        current=2,
        target=5,
        reason=Reason.DEMAND_RISING,
        message="more",
        mode=Mode.AUTO,
        facts=facts,
    )


def of(engine: str) -> WorkloadSpec:
    return WorkloadSpec(id=LLM, slo=slo("p95 ttft < 1s, p95 tpot < 50ms"), engine=engine)


def shown(*parts: object) -> str:
    out = Console(width=300)
    with out.capture() as captured:
        for part in parts:
            out.print(part)
    return captured.get()


def test_explain_counts_tokens_and_names_what_binds() -> None:
    text = shown(*explanation(decided(SEEN), of("mine"), 0.0))
    for line in (
        "796 tokens/s arriving",
        "1,071 tokens/s, over the lead time",
        "carries 214 tokens/s within the SLO",
        "50 ms a token",
        "8 % of p95 tpot < 50ms, from the servers' histogram",
    ):
        assert line in text


@pytest.mark.parametrize(
    ("facts", "engine", "demand"),
    [
        (SEEN, "mine", "796 tokens"),
        # Nothing is seen now: the engine tells.
        (Facts(offered_rps=796.0), "sglang", "796 tokens"),
        (Facts(offered_rps=796.0), "triton", "796"),
        (Facts(), "vllm", "-"),
    ],
)
def test_plan_says_what_it_counts(facts: Facts, engine: str, demand: str) -> None:
    header, row = shown(decisions_table([(decided(facts), of(engine))])).splitlines()[:2]
    at = header.index("DEMAND/S") + len("DEMAND/S")
    assert row[:at].endswith(f" {demand}")
    assert row[at : at + 2] == "  "


def test_what_others_write_is_no_command_to_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A server may call its model whatever it likes."""
    table = Table("model")
    table.add_row("\x1b]0;mine\x07")
    out = console()
    out.print("serves \x1b[2Jbert\n")
    out.print(table)
    told = capsys.readouterr().out
    assert not {"\x1b", "\x07"} & set(told)
    assert "serves \N{REPLACEMENT CHARACTER}[2Jbert\n" in told
