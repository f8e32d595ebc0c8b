"""The command line: help at once, one-line errors that say what to do, exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from autoscaler.cli import COMMANDS, main
from autoscaler.cli.explain import unknown_workload
from autoscaler.cli.render import duration, number, share, waiting
from autoscaler.cli.slo import between
from autoscaler.codec import encode
from autoscaler.controller.server import page_of
from autoscaler.core.compliance import Bounds
from autoscaler.core.profile import BatchPrior, ModelPrior, WorkloadPrior
from autoscaler.core.settings import EngineConfig
from autoscaler.simulation.journal_file import JournalHeader, header_line, record_line
from tests.fakes.answering import answering
from tests.fakes.recorded import RecordedStory


def forescale(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    """(exit code, stdout, stderr)."""
    try:
        code = main(argv)
    except SystemExit as left:
        code = int(left.code or 0)
    shown = capsys.readouterr()
    return code, shown.out, shown.err


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Ten minutes, calm, a burst, calm."""
    story = RecordedStory()
    header = JournalHeader(config=story.config, state=story.engine.snapshot())
    for rate in (10.0, 60.0, 10.0):
        story.run(200, rate_rps=rate)
    path = tmp_path / "forescale.jsonl"
    path.write_bytes(header_line(header) + b"".join(record_line(r) for r in story.records))
    return path


# ---------------------------------------------------------------- help and imports


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "demo"])
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = forescale(capsys, command, "--help")
    assert code == 0
    assert f"forescale {command}" in out


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from autoscaler.cli import build_parser; build_parser().format_help();"
        "heavy = {'numpy', 'pydantic', 'yaml', 'rich', 'aiohttp', 'kubernetes_asyncio', 'msgspec', 'asyncio'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


@pytest.mark.parametrize("argv", [(), ("fly",), ("plan", "--wait", "soon"), ("replay",)])
def test_usage_errors_exit_with_2(
    argv: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert forescale(capsys, *argv)[0] == 2


def test_what_goes_on_is_said_on_a_terminal_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with waiting("reading j"):
        pass
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with waiting("reading j"):
        pass
    assert "reading j" in capsys.readouterr().err


def test_a_reader_that_has_seen_enough_is_no_failure(journal: Path) -> None:
    argv = [sys.executable, "-m", "autoscaler", "slo", "--journal", str(journal)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        said = running.stderr.read()
    assert (running.returncode, said) == (0, b"")


# ---------------------------------------------------------------- careless use


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        (("check-config",), 2, "check-config: no file, name a policy file or --manifests"),
        (("check-config", "/no/file"), 2, "/no/file: there is no such file"),
        (("plan", "--config", "/no/file"), 2, "/no/file: there is no such file"),
        (("plan", "--kubeconfig", "/no/file"), 1, "kubeconfig /no/file"),
        (("plan", "--prometheus-url", "localhost:9090"), 2, "must be http://HOST:PORT"),
        (("plan", "--wait", "-1"), 2, "--wait: -1, must not be negative"),
        (("run", "--kubeconfig", "/no/file"), 1, "kubeconfig /no/file"),
        (("run", "--port", "99999"), 2, "server.port: 99999, must be between 0 and 65535"),
        (("replay", "/no/file"), 2, "/no/file: No such file"),
        (("explain", "a/b", "--journal", "/no/file"), 2, "/no/file: No such file"),
        (("report", "/no/file"), 2, "/no/file: No such file, name a journal file, or a folder with"),
        (("backtest", "/no/file"), 2, "/no/file: No such file"),
        (("slo", "--journal", "/no/file"), 2, "/no/file: No such file"),
        (
            ("explain", "a/b", "--journal", "/no/file", "--controller", "http://127.0.0.1:1"),
            2, "explain: --controller and --journal, give one of them",
        ),
        (("explain", "a/b", "--controller", "localhost"), 2, "must be like http://127.0.0.1:8080"),
        (("explain", "a/b", "--controller", "http://127.0.0.1:1"), 1, "Connection refused"),
        (("explain", "a/b", "--at", "2026-01-31T14:10:00Z"), 2, "--at: without --journal"),
    ],
)  # fmt: skip
def test_careless_use_gets_one_line_that_says_what_to_do(
    argv: tuple[str, ...], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    got, out, err = forescale(capsys, *argv)
    assert (got, out) == (code, "")
    lines = [line for line in err.splitlines() if line.startswith("forescale: ")]
    assert len(lines) == 1
    assert said in lines[0]
    assert "Traceback" not in err


def test_an_unreachable_api_server_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
        "contexts: [{name: c, context: {cluster: c, user: u}}]\n"
        "clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]\n"
        "users: [{name: u, user: {}}]\n"
    )
    code, _, err = forescale(capsys, "plan", "--kubeconfig", str(kubeconfig))
    assert code == 1
    assert err.startswith("forescale: Kubernetes at http://127.0.0.1:1: ")
    assert "give --kubeconfig or --context" in err
    assert err.count("\n") == 1


# ---------------------------------------------------------------- check-config


def test_a_good_file_and_its_workloads_are_fine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "policy.yaml").write_text("engine: {tick_s: 5}\n")
    (tmp_path / "deploy.yaml").write_text(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: bert\n  namespace: team\n"
        "  annotations: {forescale.io/slo: 'p95 < 200ms'}\n---\nkind: Service\nmetadata: {name: s}\n"
    )
    code, out, _ = forescale(
        capsys, "check-config", f"{tmp_path}/policy.yaml", "--manifests", f"{tmp_path}/deploy.yaml"
    )
    assert code == 0
    assert out.splitlines() == [
        f"{tmp_path}/policy.yaml: fine",
        "team/bert: p95 < 200ms, mode auto: fine",
    ]


def test_all_problems_of_all_files_come_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "policy.yaml").write_text("engine: {tick_z: 5}\n")
    folder = tmp_path / "manifests"
    folder.mkdir()
    (folder / "a.yaml").write_text(
        "kind: Deployment\nmetadata:\n  name: a\n  annotations: {forescale.io/slo: fast, forescale.io/mode: both}\n"
    )
    (folder / "b.yaml").write_text(
        "kind: Deployment\nmetadata: {name: b, annotations: {forescale.io/mode: auto}}\n"
    )
    (folder / "c.yaml").write_text("kind: [\n")
    code, _, err = forescale(
        capsys, "check-config", f"{tmp_path}/policy.yaml", "--manifests", str(folder), "/no/where"
    )
    assert code == 2
    text = err.replace(f"{tmp_path}/", "")
    for said in (
        "policy.yaml: engine.tick_z: is not a setting, did you mean tick_s?",
        "manifests/a.yaml: default/a forescale.io/slo: 'fast' is no objective",
        "manifests/a.yaml: default/a forescale.io/mode: 'both'",
        "manifests/b.yaml: default/b: has forescale.io/mode, forescale.io/slo must be there too",
        "manifests/c.yaml:2: ",
        "/no/where: there is no such file",
    ):
        assert said in text


MISTAKEN = {
    "a number": (
        "{kind: Deployment, metadata: {name: a, annotations: {forescale.io/slo: 99% < 1s, "
        "forescale.io/min-replicas: 3}}}",
        "default/a forescale.io/min-replicas: 3 is no text, as Kubernetes wants it, write the value in quotation marks",
    ),
    "YAML's off": (
        "{kind: Deployment, metadata: {name: a, annotations: {forescale.io/slo: 99% < 1s, forescale.io/mode: off}}}",
        "default/a forescale.io/mode: False is no text",
    ),
    "a list": (
        "{kind: Deployment, metadata: {name: a, annotations: [forescale.io/slo]}}",
        "",
    ),
    "metadata that is none": ("{kind: Deployment, metadata: bert}", ""),
    "a template that is none": (
        "{kind: Deployment, metadata: {name: a, annotations: {forescale.io/slo: 99% < 1s}}, "
        "spec: {template: {spec: [bert]}}}",
        "default/a: its pod template can't be read",
    ),
    "at the pods": (
        "{kind: Deployment, metadata: {name: a}, "
        "spec: {template: {metadata: {annotations: {forescale.io/slo: 99% < 1s}}}}}",
        "default/a: has forescale.io annotations at its pod template, where nobody reads them",
    ),
    "at both, as kustomize's commonAnnotations": (
        "{kind: Deployment, metadata: {name: a, annotations: {forescale.io/slo: 99% < 1s}}, "
        "spec: {template: {metadata: {annotations: {forescale.io/slo: 99% < 1s}}}}}",
        "",
    ),
    "at a Pod": (
        "{kind: Pod, metadata: {name: a, annotations: {forescale.io/slo: 99% < 1s}}}",
        "a Pod has forescale.io annotations, one of Deployment, StatefulSet, InferenceService is allowed",
    ),
    "a time zone": (
        "{kind: Deployment, metadata: {name: a, annotations: {forescale.io/slo: 99% < 1s, "
        "forescale.io/schedule: 4 @ 0 8 * * 1-5 for 10h in Europe/Berln}}}",
        "default/a forescale.io/schedule: 'Europe/Berln' is no time zone",
    ),
}  # fmt: skip


def service(*annotations: str, spec: str = "{predictor: {}}") -> str:
    own = "".join(f", serving.kserve.io/{text}" for text in annotations)
    return (
        "{kind: InferenceService, "
        f"metadata: {{name: a, annotations: {{forescale.io/slo: 99% < 1s{own}}}}}, spec: {spec}}}"
    )


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        (service("deploymentMode: Standard", "autoscalerClass: external"), 0, ""),
        (service("autoscalerClass: none"), 0, ""),
        (
            service(),
            0,
            "default/inferenceservice/a: only recommended, KServe's own autoscaler (hpa, by default) holds it: "
            "set serving.kserve.io/autoscalerClass: external",
        ),
        (service("deploymentMode: Knative"), 0, "only recommended, Knative's autoscaler"),
        (
            service("autoscalerClass: extern"),
            2,
            "serving.kserve.io/autoscalerClass: 'extern', external or none lets forescale scale it",
        ),
        (service("deploymentMode: Raw"), 2, "serving.kserve.io/deploymentMode: 'Raw', Standard or Knative"),
        (service(spec="{predictor: {workerSpec: {}}}"), 2, "spec.predictor.workerSpec: is set"),
    ],
)  # fmt: skip
def test_an_inference_service_that_will_not_be_scaled_is_told_of(
    text: str, code: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.yaml").write_text(text)
    got, _, err = forescale(capsys, "check-config", "--manifests", f"{tmp_path}/a.yaml")
    assert got == code
    assert said in err
    assert bool(said) == bool(err)


@pytest.mark.parametrize("name", MISTAKEN)
def test_a_mistaken_manifest_is_told_of_or_left_to_kubernetes(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, said = MISTAKEN[name]
    (tmp_path / "a.yaml").write_text(text)
    code, _, err = forescale(capsys, "check-config", "--manifests", f"{tmp_path}/a.yaml")
    assert (code, said in err) == (2 if said else 0, True)
    assert "Traceback" not in err


def test_effective_settings_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "policy.yaml").write_text("engine: {tick_s: 5}\n")
    code, out, _ = forescale(capsys, "check-config", f"{tmp_path}/policy.yaml", "--json")
    assert code == 0
    assert json.loads(out)["settings"]["engine"]["tick_s"] == 5.0


# ---------------------------------------------------------------- replay


def test_replay_of_the_same_engine_finds_nothing(
    journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = forescale(capsys, "replay", str(journal))
    assert code == 0
    assert "60 ticks over 0.16 h, 60 decisions; 0 differ" in out


def test_replay_with_another_configuration_shows_both(
    journal: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "p.yaml").write_text("engine: {max_replicas: 2}\n")
    code, out, _ = forescale(
        capsys, "replay", str(journal), "--config", f"{tmp_path}/p.yaml", "--limit", "2"
    )
    assert code == 0
    assert "replica-hours of the targets" in out
    assert "TooManyReplicas" in out
    assert "more (--limit)" in out


def test_replay_that_differs_is_a_missed_threshold_and_a_broken_line_a_failure(
    journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = journal.read_bytes()
    journal.write_bytes(whole.replace(b'"target":2', b'"target":7', 1))
    assert forescale(capsys, "replay", str(journal))[0] == 99
    journal.write_bytes(whole[:-30])
    code, out, err = forescale(capsys, "replay", str(journal))
    assert code == 1
    assert "59 ticks" in out
    assert "forescale.jsonl:61: " in err


def test_replay_as_json(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = forescale(capsys, "replay", str(journal), "--json")
    assert code == 0
    assert json.loads(out)[0]["ticks"] == 60


# ---------------------------------------------------------------- slo


def test_compliance_is_counted_from_a_journal(
    journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The story's servers tell no latency, so nothing is known of how many were slow."""
    code, out, _ = forescale(capsys, "slo", "--journal", str(journal), "--json")
    assert code == 0
    (told,) = json.loads(out)["workloads"]
    (objective,) = told["objectives"]
    assert [window["window"] for window in objective["windows"]] == ["1h", "24h", "28d"]
    assert objective["windows"][0]["known_ratio"] == 0.0
    code, out, _ = forescale(capsys, "slo", "--journal", str(journal.parent))
    assert code == 0
    assert "BUDGET LEFT" in out
    assert "team/bert" in out


@pytest.mark.parametrize("command", [("slo", "--journal"), ("report", "--no-estimate")])
def test_a_line_that_its_writer_left_without_an_end_is_left_out_and_a_broken_one_is_not(
    command: tuple[str, str], journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A controller that is killed leaves one, and the next puts that file away among the others."""
    lines = journal.read_bytes().splitlines(keepends=True)
    folder = journal.parent / "journal"
    folder.mkdir()
    (folder / "forescale-20260101T000000-000.jsonl").write_bytes(b"".join(lines)[:-40])
    (folder / "forescale-20260102T000000-000.jsonl").write_bytes(lines[0][:-40])
    (folder / "forescale.jsonl").write_bytes(b"".join(lines))
    assert forescale(capsys, *command, str(folder))[0] == 0
    (folder / "forescale.jsonl").write_bytes(b"".join([*lines[:9], b"{}x\n", *lines[9:]]))
    code, _, err = forescale(capsys, *command, str(folder))
    assert (code, "forescale.jsonl:10: " in err) == (1, True)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ((), "slo: neither is given, give --controller or --journal"),
        (("--controller", "http://127.0.0.1:1", "--journal", "x"), "slo: both are given"),
    ],
)
def test_compliance_comes_from_one_place(
    argv: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = forescale(capsys, "slo", *argv)
    assert code == 2
    assert said in err


def test_bounds_are_shown_where_it_is_not_exact() -> None:
    told = Bounds(low=0.991, estimate=0.995, high=0.9975)
    assert between(told, 100.0, " %", digits=4) == "99.5 % (99.1 to 99.75)"
    spent = Bounds(low=-28.3, estimate=-18.7, high=-10.7)
    assert between(spent, 100.0, " %", digits=3) == "-1,870 % (-2,830 to -1,070)"
    assert between(Bounds(low=0.5, estimate=0.5, high=0.5), 1.0, "", digits=3) == "0.5"
    assert between(Bounds(low=0.0, estimate=None, high=1.0), 1.0, "", digits=3) == "-"


# ---------------------------------------------------------------- explain


def test_explain_shows_every_step(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = forescale(capsys, "explain", "team/bert", "--journal", str(journal.parent))
    assert code == 0
    for said in ("team/bert", "99% < 300ms", "STEP", "one replica", "time to ready", "demand"):
        assert said in out


def test_explain_says_why_a_capacity_is_not_proven(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    batches = (BatchPrior(batch_size=1, mean_s=0.05),)
    prior = WorkloadPrior(workload="team/bert", models=(ModelPrior(model="m", batches=batches),))
    story = RecordedStory(config=EngineConfig(priors=(prior,)))
    for pod in story.pods:  # within the quarantine of their warm-up
        pod.ready_s = story.now_s
    header = JournalHeader(config=story.config, state=story.engine.snapshot())
    lines = [record_line(record) for record in story.record(20, rate_rps=10.0)]
    path = tmp_path / "forescale.jsonl"
    path.write_bytes(header_line(header) + b"".join(lines))
    code, out, _ = forescale(capsys, "explain", "team/bert", "--journal", str(path))
    assert code == 0
    assert "not proven" in out
    assert "known from an imported profile" in out
    assert main(["replay", str(path)]) == 0


def test_explain_at_a_time_takes_the_tick_before(
    journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ("explain", "team/bert", "--journal", str(journal), "--json", "--at")
    _, out, _ = forescale(capsys, *argv, "2001-09-09T01:46:59")
    first = json.loads(out)["now_s"]
    _, out, _ = forescale(capsys, *argv, "2001-09-09T01:47:35Z")
    assert json.loads(out)["now_s"] == 1_000_000_050.0
    assert first < 1_000_000_050.0


def test_explain_at_a_time_looks_into_the_older_files_too(
    journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two files of five minutes each: the time lies in the first, whose last line was not finished."""
    lines = journal.read_bytes().splitlines(keepends=True)
    folder = journal.parent / "journal"
    folder.mkdir()
    (folder / "forescale-20010909T015140-000.jsonl").write_bytes(b"".join(lines[:31])[:-40])
    (folder / "forescale.jsonl").write_bytes(lines[0] + b"".join(lines[31:]))
    argv = ("explain", "team/bert", "--journal", str(folder), "--json")
    _, out, _ = forescale(capsys, *argv, "--at", "2001-09-09T01:47:35Z")
    assert json.loads(out)["now_s"] == 1_000_000_050.0
    _, out, _ = forescale(capsys, *argv)
    assert json.loads(out)["now_s"] == 1_000_000_560.0
    code, _, err = forescale(capsys, *argv, "--at", "1990-01-01T00:00:00Z")
    assert code == 2
    assert "--at: '1990-01-01T00:00:00Z', " in err
    assert "begins at 2001-09-09T01:46:" in err


def test_explain_of_an_unknown_workload_says_which_exist(
    journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = forescale(capsys, "explain", "team/bart", "--journal", str(journal))
    assert code == 1
    assert err == "forescale: team/bart: is not known, did you mean team/bert?\n"


@pytest.mark.parametrize(
    ("given", "names", "said"),
    [
        ("bert", ["team/bert"], "did you mean team/bert?"),
        ("other/bert", ["team/bert", "x/llama"], "did you mean team/bert?"),
        ("q/zzz", ["team/bert", "x/llama"], "there are: team/bert, x/llama"),
        ("q/zzz", [], "annotate one with forescale.io/slo"),
    ],
)
def test_near_matches(given: str, names: list[str], said: str) -> None:
    assert said in unknown_workload(given, names)


def test_explain_asks_a_running_controller(capsys: pytest.CaptureFixture[str]) -> None:
    story = RecordedStory()
    page = page_of(story.record(60, rate_rps=40)[-1], leader="me")
    with answering(200, encode(page)) as url:
        code, out, _ = forescale(capsys, "explain", "team/bert", "--controller", url)
    assert code == 0
    assert "99% < 300ms" in out


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (503, b'{"error": "this one does not lead; the leader is b"}', "HTTP 503: "),
        (200, b"<html>", "JSON is malformed"),
        (200, b'{"now_s": 1}', "missing required field"),
    ],
)
def test_explain_of_a_controller_that_answers_oddly(
    status: int, body: bytes, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with answering(status, body) as url:
        code, _, err = forescale(capsys, "explain", "team/bert", "--controller", url)
    assert code == 1
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (number(None), "-"),
        (number(0.0), "0"),
        (number(41.234), "41.2"),
        (number(12345.6), "12,346"),
        (share(0.0123), "1.23 %"),
        (duration(0.0456), "45.6 ms"),
        (duration(1.5), "1.5 s"),
        (duration(300.0), "5 min"),
    ],
)
def test_numbers_have_units_and_unknown_is_a_dash(shown: str, expected: str) -> None:
    assert shown == expected


# ---------------------------------------------------------------- rules

ANNOTATED = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: bert, namespace: team, annotations: {forescale.io/slo: "99% < 200ms, 90% < 50ms"}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: llm, namespace: team, annotations: {forescale.io/slo: "p95 < 2s"}}
"""


def test_rules_come_in_a_group_for_each_workload(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "team.yaml"
    path.write_text(ANNOTATED)
    code, out, _ = forescale(capsys, "rules", "--manifests", str(path), "--json")
    assert code == 0
    groups = {group["name"]: group["rules"] for group in json.loads(out)["groups"]}
    assert list(groups) == ["forescale/team/bert", "forescale/team/statefulset/llm"]
    objectives = {rule["labels"]["objective"] for rule in groups["forescale/team/bert"]}
    assert objectives == {"99% < 200ms", "90% < 50ms"}


def test_rules_of_one_workload_as_the_operators_resource(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "team.yaml"
    path.write_text(ANNOTATED)
    argv = ("team/bert", "--manifests", str(path), "--prometheus-rule", "--json")
    code, out, _ = forescale(capsys, "rules", *argv)
    assert code == 0
    document = json.loads(out)
    assert document["kind"] == "PrometheusRule"
    assert [group["name"] for group in document["spec"]["groups"]] == ["forescale/team/bert"]


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        (("team/brt",), 1, "team/brt: is not known, did you mean team/bert?"),
        (("--output", "x", "--json"), 2, "--output: with --json, writes plain rule files only"),
        (
            ("--output", __file__),
            1,
            "test_cli.py: File exists, name another place",
        ),
        (("--controller-alerts",), 2, "--controller-alerts: with --manifests, are of no workload"),
    ],
)
def test_rules_that_can_not_be_written(
    argv: tuple[str, ...],
    code: int,
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "team.yaml"
    path.write_text(ANNOTATED)
    got, _, err = forescale(capsys, "rules", *argv, "--manifests", str(path))
    assert got == code
    assert said in err


def test_a_mistake_in_a_manifest_stops_the_rules(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "team.yaml"
    path.write_text(ANNOTATED.replace("p95 < 2s", "fast"))
    code, _, err = forescale(capsys, "rules", "--manifests", str(path))
    assert code == 2
    assert "'fast' is no objective" in err
