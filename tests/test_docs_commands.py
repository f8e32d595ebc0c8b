"""Every command that a page shows is run: here, or by the suite that the table names. One in neither fails."""

from __future__ import annotations

import contextlib
import gzip
import io
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from autoscaler.cli import build_parser, main
from autoscaler.codec import encode
from autoscaler.controller.accounts import Accounts
from autoscaler.controller.server import CompliancePage, page_of
from autoscaler.simulation.journal_file import JournalHeader, header_line, record_line
from loadtests.load import options as load_options
from tests.fakes.answering import answering
from tests.fakes.recorded import RecordedStory
from tests.profiles.samples import PERF_ANALYZER

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text()
PAGES = ("README.md", "CONTRIBUTING.md", *sorted(
    page.relative_to(ROOT).as_posix() for page in (ROOT / "docs").rglob("*.md")
))  # fmt: skip

CI = ".ci/run"
# The README's own lines, which `make bench-first-ten-minutes` reads from it and runs in a fresh clone.
PATH = ("loadtests/bench/first_ten_minutes.py", "def path_of")
HANDED_OVER = ("tests/cluster/test_real_parts.py", "def test_the_migration_pages_lines")
COMMAND, HAND = "tests/controller/test_command.py", "by hand"
# (command, where it is run, what says so there). What no suite can run is run by hand, and why is said.
ELSEWHERE = {
    "make demo": (CI, "make demo"),
    "make test": (CI, "make test"),
    "make e2e": (CI, "make e2e"),
    "make e2e-kserve": (CI, "make e2e-kserve"),
    "make venv": ("Makefile", "test: lint"),
    "make lint": ("Makefile", "test: lint"),
    "make docs-reference": ("tests/test_docs.py", "def test_references_are_current"),
    "make deploy-files": ("tests/deploy/test_files.py", "def test_what_is_installed_is"),
    ".venv/bin/python -m pytest tests/core": (CI, "make test"),
    ".venv/bin/python -m pytest tests/core/test_stories.py -k outage": (CI, "make test"),
    ".venv/bin/python -m pytest tests/golden tests/core/test_stories.py": (CI, "make test"),
    ".venv/bin/python -m pytest tests/test_*.py": (CI, "make test"),
    '.venv/bin/python -m pytest -m "not cluster"': (CI, "make test"),
    "make stack": PATH,
    "make stack-down": PATH,
    "export KUBECONFIG=$PWD/build/stack/admin.kubeconfig FORESCALE_PROMETHEUS_URL=http://127.0.0.1:19090": PATH,
    "kubectl apply -f loadtests/stack/manifests/bert.yaml": PATH,
    "kubectl annotate deployment bert -n team forescale.io/slo='99% < 300ms' forescale.io/mode=recommend": PATH,
    ".venv/bin/forescale run --no-leader-election --journal build/journal >build/run.log 2>&1 &": PATH,
    ".venv/bin/python -m loadtests.load --namespace team --deployment bert --model bert --load 20x45,60x60": PATH,
    ".venv/bin/forescale plan": PATH,
    ".venv/bin/forescale explain team/bert": PATH,
    "kill %1": PATH,
    ".venv/bin/forescale report build/journal": PATH,
    "kubectl apply -k deploy/kustomize/base": ("loadtests/e2e/controllers.py", '"apply", "-k"'),
    "forescale plan --prometheus-url http://127.0.0.1:9090": (COMMAND, '"plan"'),
    "forescale dashboard > forescale.json": ("tests/deploy/test_files.py", '["dashboard"]'),
    "forescale rules --output rules/": ("tests/rules/test_promtool.py", '"--output"'),
    "forescale rules --prometheus-rule | kubectl apply -f -": (
        "tests/cli/test_rules.py",
        '"--prometheus-rule"',
    ),
    "promtool test rules rules/*.test.yaml": ("tests/rules/test_promtool.py", '"test", "rules"'),
    "docker build -t registry.example.com/forescale:0.1.0 .": (
        HAND,
        "wants a container engine; make bench-image runs the Dockerfile's steps",
    ),
    "docker push registry.example.com/forescale:0.1.0": (HAND, "wants a registry"),
    "helm install forescale deploy/helm/forescale -n forescale --create-namespace "
    "--set image.repository=registry.example.com/forescale "
    "--set policy.prometheus.url=http://prometheus-operated.monitoring.svc:9090": (
        "tests/deploy/test_helm.py",
        "def test_the_pages_values_are_taken",
    ),
    ".venv/bin/python -m loadtests.load --deployment bert --namespace team --model bert --load 20x60,80x120 "
    "--threshold 'latency: p(95) < 200ms' --threshold 'failed: rate < 1%' --log build/load.csv.gz": (
        HAND,
        "three minutes of a real server; tests/loadtests/test_driver.py and test_thresholds.py",
    ),
    ".venv/bin/python -m loadtests.load --protocol openai --deployment chat --namespace team --model llama "
    "--load 2x60,8x120 --prompt-tokens 500 --answer-tokens 200 --threshold 'ttft: p(95) < 1s' "
    "--threshold 'tpot: p(95) < 50ms'": (
        "tests/loadtests/test_completions.py",
        "def test_a_run_by_its_command",
    ),
    "make e2e-nodes": (CI, "make e2e-nodes"),
    "make e2e-sick": (HAND, "nine minutes of real Triton; tests/loadtests/test_sick_checks.py"),
    "make validate-simulator ARGS=--quick": (HAND, "minutes of real Triton; tests/loadtests"),
    "make validate-gpu": (HAND, "wants a GPU and PyTorch; tests/loadtests judges a recording"),
    "make bench": (HAND, "hours; each benchmark's parts are tested in tests/loadtests"),
    "make bench-forecast ARGS=--quick": (HAND, "minutes; tests/loadtests/test_forecast_protocol.py"),
    "kubectl create rolebinding forescale-templates -n team --clusterrole=forescale-templates "
    "--serviceaccount=forescale:forescale": (
        "tests/cluster/test_templates.py",
        '"create", "rolebinding"',
    ),
    "kubectl delete hpa bert -n team": HANDED_OVER,
    "kubectl annotate deployment bert -n team forescale.io/mode-": HANDED_OVER,
}  # fmt: skip
# What takes minutes as it stands, or has no end, is run over less time.
SHORTER = {
    "forescale watch --controller http://127.0.0.1:8080": ("--for", "0"),
    "forescale simulate 'diurnal(low_rps=20, high_rps=110) * noise(cv=0.1, seed=1)' --startup 4,240": (
        "--hours",
        "0.1",
    ),
}  # fmt: skip
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: bert, namespace: team, annotations: {forescale.io/slo: "99% < 300ms"}}
"""
SCENARIO = """
workload: {slo: "95% < 1.1s"}
demand: {shape: constant(20), hours: 0.1}
server: {batch_service_s: [0.08, 0.1]}
startup: {median_s: 10}
"""


def commands() -> list[tuple[str, str]]:
    """(page, command) of every line of a page's shell blocks, without its comment."""
    found = []
    for page in PAGES:
        for block in re.findall(r"```sh\n(.*?)```", (ROOT / page).read_text(), re.S):
            lines = (line.split(" #")[0].strip() for line in block.splitlines())
            found += [(page, line) for line in lines if line and not line.startswith("#")]
    return found


SHOWN = commands()
RUN_HERE = [(page, line) for page, line in SHOWN if line not in ELSEWHERE]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where somebody works who follows the pages: the files that they name are there."""
    folder = tmp_path_factory.mktemp("workplace")
    (folder / "deploy").mkdir()
    (folder / "deploy" / "bert.yaml").write_text(DEPLOYMENT)
    for name in ("policy.yaml", "new-policy.yaml"):
        (folder / name).write_text("engine: {max_replicas: 5}\n")
    (folder / "perf.csv").write_text(PERF_ANALYZER)
    (folder / "black-friday.yaml").write_text(SCENARIO)
    (folder / "docs" / "examples").mkdir(parents=True)
    for name, hours in (("fleet.yaml", "hours: 5"), ("retry-storm.yaml", "hours: 1.5")):
        example = (ROOT / "docs" / "examples" / name).read_text()
        assert example.count(hours) >= 1, name
        (folder / "docs" / "examples" / name).write_text(example.replace(hours, "hours: 0.1"))
    rows = "".join(f"{minute},{900 + 10 * minute},5\n" for minute in range(4))
    (folder / "requests.csv.gz").write_bytes(gzip.compress(f"minute,chat,other\n{rows}".encode()))
    story = RecordedStory()
    header = JournalHeader(config=story.config, state=story.engine.snapshot())
    for rate_rps in (10.0, 60.0):
        story.run(200, rate_rps=rate_rps)
    lines = [header_line(header), *(record_line(record) for record in story.records)]
    (folder / "journal").mkdir()
    (folder / "journal" / "forescale.jsonl").write_bytes(b"".join(lines))
    return folder


@pytest.fixture(scope="module")
def controller() -> Iterator[str]:
    """What a running one answers."""
    story = RecordedStory()
    records = story.record(120, rate_rps=40)
    accounts = Accounts(stale_after_s=30.0)
    for record in records:
        accounts.take(record.input)
    pages = {
        "/debug/decisions": encode(page_of(records[-1], leader="me")),
        "/debug/slo": encode(CompliancePage(workloads=accounts.compliance())),
    }
    with answering(200, pages) as url:
        yield url


@pytest.mark.parametrize(("page", "command"), RUN_HERE)
def test_it_does_what_the_page_says(
    page: str,
    command: str,
    workplace: Path,
    controller: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    program, *argv = shlex.split(command)
    assert program == "forescale", f"{page}: {command}: is neither run here nor in ELSEWHERE"
    monkeypatch.chdir(workplace)
    changed = [
        item.replace("http://127.0.0.1:8080", controller).replace("/var/lib/forescale/", "")
        for item in argv
    ]
    code = main([*changed, *SHORTER.get(command, ())])
    shown = capsys.readouterr()
    # 99: forescale missed the goal of a few minutes that began with one replica.
    assert code in ((0, 99) if argv[0] == "simulate" else (0,)), shown.err
    # What is written into a folder is all that such a command does.
    assert shown.out or "--output" in argv


@pytest.mark.parametrize("command", ELSEWHERE)
def test_what_is_run_elsewhere_is_shown_and_really_run(command: str) -> None:
    assert command in {shown for _, shown in SHOWN}, "no page shows it any more"
    where, needle = ELSEWHERE[command]
    assert needle
    assert where == HAND or needle in (ROOT / where).read_text()


@pytest.mark.parametrize(
    "command",
    [line for line in ELSEWHERE if "forescale plan" in line or "forescale explain" in line],
)
def test_what_needs_a_cluster_is_at_least_understood(command: str) -> None:
    build_parser().parse_args(shlex.split(command)[1:])


def test_the_decision_that_a_contributor_is_shown_can_be_made(
    capsys: pytest.CaptureFixture[str],
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.S)
    exec(code, {})
    assert capsys.readouterr().out.startswith("size: 2 -> 8, DemandRising: ")


def within_text() -> set[tuple[str, str]]:
    """(page, command) of every command that a sentence or a table names, not a block."""
    found = set()
    for page in (*PAGES, "CHANGELOG.md"):
        text = re.sub(r"```.*?```", "", (ROOT / page).read_text(), flags=re.S)
        named = re.findall(r"`((?:make|forescale) [^`]+)`", text)
        found |= {(page, " ".join(command.split())) for command in named}
    return found


@pytest.mark.parametrize(("page", "command"), sorted(within_text()))
def test_what_a_sentence_names_is_there(page: str, command: str) -> None:
    """A target of make, or a command with options that its parser knows; what is to be given may be left out."""
    program, what, *given = shlex.split(command)
    if program == "make":
        assert re.search(rf"^{re.escape(what)}:", MAKEFILE, re.M), f"{page}: no target {what}"
        return
    with pytest.raises(SystemExit) as left:
        build_parser().parse_args([what, "--help"])
    assert left.value.code == 0, f"{page}: {what}"
    options = {option for item in given if (option := item.split("=")[0]).startswith("--")}
    assert {option for option in options if option not in usage(what, given)} == set(), page


def usage(command: str, given: list[str]) -> str:
    """The help of a command, and of its own where it has some; `demo` has a parser of its own."""
    shown = io.StringIO()
    for words in ([command], [command, *given[:1]]):
        with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(io.StringIO()):
            with contextlib.suppress(SystemExit):
                main([*words, "--help"])
    return shown.getvalue()


def test_there_are_commands_to_run() -> None:
    assert len(RUN_HERE) >= 10


@pytest.mark.parametrize(
    ("shown", "page"),
    [
        pytest.param(lambda: usage("simulate", []), "simulation.md", id="simulate"),
        pytest.param(lambda: usage("backtest", []), "simulation.md", id="backtest"),
        pytest.param(lambda: usage("demo", []), "simulation.md", id="demo"),
        pytest.param(lambda: usage("profile", ["import"]), "profiles.md", id="profile import"),
        pytest.param(lambda: load_options.parser("").format_help(), "load.md", id="load"),
    ],
)
def test_every_option_is_on_the_page(shown: Callable[[], str], page: str) -> None:
    text = (ROOT / "docs" / page).read_text()
    options = set(re.findall(r"(?<!\w)--[a-z][a-z-]+", shown())) - {"--help"}
    assert {option for option in options if option not in text} == set()
