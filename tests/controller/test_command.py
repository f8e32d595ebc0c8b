"""`forescale run`, `plan` and `explain` as processes, against an API server and a Prometheus over HTTP."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.fakes.cluster_api import ClusterApi, deployment, put_pods
from tests.fakes.prometheus_api import PrometheusApi

BERT = "/apis/apps/v1/namespaces/team/deployments/bert"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/forescale/leases/forescale"


@dataclass
class World:
    """Both servers, and how the command reaches them."""

    api: ClusterApi
    prometheus: PrometheusApi
    options: list[str]
    folder: Path

    async def start(self, *argv: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "autoscaler", *argv, *self.options),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def end(self, process: asyncio.subprocess.Process) -> tuple[int, str, str]:
        """(exit code, stdout, stderr)."""
        out, err = await asyncio.wait_for(process.communicate(), 30.0)
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()

    async def controller(self, identity: str) -> asyncio.subprocess.Process:
        folder = str(self.folder / identity)
        process = await self.start(
            *("run", "--identity", identity, "--namespace", "forescale", "--port", "0"),
            *("--bind", "127.0.0.1", "--journal", folder),
        )
        return process

    def leader(self) -> str | None:
        lease = self.api.objects.get(LEASE)
        return lease["spec"]["holderIdentity"] if lease else None


@asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    api, prometheus = ClusterApi(), PrometheusApi()
    async with api.serving(), prometheus.serving():
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_text(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
            "contexts: [{name: c, context: {cluster: c, user: u}}]\n"
            f"clusters: [{{name: c, cluster: {{server: '{api.url}'}}}}]\n"
            "users: [{name: u, user: {}}]\n"
        )
        options = ["--kubeconfig", str(kubeconfig), "--prometheus-url", prometheus.url]
        yield World(api, prometheus, options, folder)


async def test_a_terminated_leader_gives_back_and_exits_with_0(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.api.put(BERT, deployment("bert", 2, {"slo": "99% < 300ms", "min-replicas": "4"}))
        process = await w.controller("a")
        await w.api.until(lambda: w.api.objects[BERT]["spec"]["replicas"] == 4)
        process.send_signal(signal.SIGTERM)
        code, _, err = await w.end(process)
        assert code == 0, err
        assert LEASE in w.api.objects
        assert w.leader() is None
        assert "/api/v1/namespaces/forescale/configmaps/forescale-state" in w.api.objects
        assert '"event":"scaled"' in err
        assert len((tmp_path / "a" / "forescale.jsonl").read_bytes().splitlines()) >= 2


async def test_a_leader_whose_lease_is_taken_exits_with_1_and_writes_nothing_more(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as w:
        w.api.put(BERT, deployment("bert", 2, {"slo": "99% < 300ms"}))
        process = await w.controller("a")
        await w.api.until(lambda: w.leader() == "a")
        lease = dict(w.api.objects[LEASE])
        lease["spec"] = {**lease["spec"], "holderIdentity": "thief"}
        w.api.put(LEASE, lease)
        before = len(w.api.writes)
        code, _, err = await w.end(process)
        assert code == 1
        assert "leadership lost: the lease is held by thief, not by a" in err
        assert "Traceback" not in err
        assert w.leader() == "thief"
        assert [path for _, path in w.api.writes[before:] if "/events/" not in path] == []


async def test_plan_and_explain_against_a_cluster(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.api.put(BERT, deployment("bert", 2, {"slo": "99% < 300ms"}))
        w.api.put(BERT.replace("bert", "odd"), deployment("odd", 1, {"slo": "fast"}))
        put_pods(w.api, "bert", 2)
        code, out, err = await w.end(await w.start("plan"))
        assert (code, err) == (0, "")
        assert "team/bert  99% < 300ms  triton (assumed)  auto  2    2       NoData" in out
        assert "! team/odd forescale.io/slo: 'fast' is no objective" in out
        # Nobody is kept waiting for two scrapes: Prometheus has them.
        ago_s = {round(max(w.prometheus.times_s) - time_s) for time_s in w.prometheus.times_s}
        assert ago_s == {30, 10, 0}
        code, out, _ = await w.end(await w.start("plan", "--json"))
        assert json.loads(out)["decisions"][0]["target"] == 2
        code, out, _ = await w.end(await w.start("explain", "team/bert"))
        assert code == 0
        assert "2, stays   NoData" in out
        code, _, err = await w.end(await w.start("explain", "team/bart"))
        assert (code, err) == (
            1,
            "forescale: team/bart: is not known, did you mean team/bert?\n",
        )
        code, _, err = await w.end(await w.start("explain", "team/odd"))
        assert code == 1
        assert err.startswith("forescale: team/odd forescale.io/slo: 'fast' is no objective")
        assert w.api.writes == []
