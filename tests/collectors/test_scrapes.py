"""Which pods did not answer their last scrape: Prometheus' own answer to our queries, and what we read in it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from autoscaler.clients.prometheus import PrometheusClient
from autoscaler.collectors import scrapes
from autoscaler.collectors.scrapes import ANSWERING, FAILED, KNOWN, TOOK, Scraped
from autoscaler.core.types import Scrape, Targets
from tests.fakes.prometheus_api import PrometheusApi

NAMESPACES = frozenset({"team"})
ANSWERED = 'timestamp(up{namespace=~"team"}) and (up == 1)'


def series(value: float, **labels: str) -> dict[str, Any]:
    return {"metric": labels, "value": [1003.0, str(value)]}


async def looked(answers: dict[str, list[dict[str, Any]]]) -> tuple[Scraped, list[str]]:
    api = PrometheusApi()
    api.vectors = answers
    async with api.serving():
        client = PrometheusClient(api.url, timeout_s=5.0)
        try:
            return await scrapes.look(client, 1003.0, NAMESPACES), api.asked
        finally:
            client.close()


async def test_where_all_answer_one_question_is_asked() -> None:
    assert await looked({}) == (Scraped(), [FAILED])


async def test_of_another_namespace_nothing_more_is_asked() -> None:
    told, asked = await looked({FAILED: [series(1000.0, namespace="other", pod="a")]})
    assert (told, asked) == (Scraped(), [FAILED])


async def test_a_failed_scrape_is_told_with_its_time_and_what_else_answers() -> None:
    told, _ = await looked(
        {
            FAILED: [
                series(1000.0, namespace="team", pod="a", instance="1"),
                series(1001.0, namespace="team", pod="a", instance="2"),
                series(999.0, instance="a node"),
            ],
            TOOK: [
                series(0.01, namespace="team", pod="a", instance="1"),
                series(4.0, namespace="team", pod="a", instance="2"),
            ],
            ANSWERED: [series(1002.0, namespace="team", pod="b")],
            KNOWN: [series(30.0)],
            ANSWERING: [series(27.0)],
        }
    )
    assert told.scrapes == {
        ("team", "a"): Scrape(pod="a", at_s=1001.0, answered=False, took_s=4.0),
        ("team", "b"): Scrape(pod="b", at_s=1002.0, answered=True),
    }
    assert told.targets == Targets(known=30, answering=27)


async def test_what_is_not_told_is_not_known_and_a_count_of_nothing_is_none() -> None:
    told, _ = await looked({FAILED: [series(1000.0, namespace="team", pod="a")]})
    assert told.scrapes == {("team", "a"): Scrape(pod="a", at_s=1000.0, answered=False)}
    assert told.targets == Targets(known=0, answering=0)


def test_prometheus_understands_the_questions_so(tmp_path: Path) -> None:
    """a stopped answering after the second scrape, of c only a sidecar answers, and a node answers nothing."""
    if shutil.which("promtool") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("promtool: not on PATH")
        pytest.skip("promtool: not on PATH (Debian: apt-get install prometheus)")
    up = {
        'up{namespace="team",pod="a"}': "1 1 0 0",
        'up{namespace="team",pod="b"}': "1 1 1 1",
        'up{namespace="team",pod="c",job="server"}': "0 0 0 0",
        'up{namespace="team",pod="c",job="sidecar"}': "1 1 1 1",
        'up{instance="node"}': "0 0 0 0",
        'scrape_duration_seconds{namespace="team",pod="a"}': "0.1 0.1 4 4",
        'scrape_duration_seconds{namespace="team",pod="b"}': "0.1 0.1 0.1 0.1",
    }
    expected = {
        FAILED: [('{namespace="team",pod="a"}', 15), ('{instance="node"}', 15)],
        TOOK: [('scrape_duration_seconds{namespace="team",pod="a"}', 4)],
        ANSWERED: [
            ('{namespace="team",pod="b"}', 15),
            ('{namespace="team",pod="c",job="sidecar"}', 15),
        ],
        KNOWN: [("{}", 5)],
        ANSWERING: [("{}", 2)],
    }
    tests = [
        {
            "expr": promql,
            "eval_time": "17s",
            "exp_samples": [{"labels": labels, "value": value} for labels, value in found],
        }
        for promql, found in expected.items()
    ]
    inputs = [{"series": name, "values": values} for name, values in up.items()]
    document = {
        "evaluation_interval": "5s",
        "tests": [{"interval": "5s", "input_series": inputs, "promql_expr_test": tests}],
    }
    path = tmp_path / "test.yaml"
    path.write_text(yaml.safe_dump(document))
    done = subprocess.run(
        ["promtool", "test", "rules", str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
