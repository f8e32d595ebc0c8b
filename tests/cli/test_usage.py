"""The command line: help at once, one-line errors that say what to do, exit codes, numbers with their units."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from autoscaler.cli import COMMANDS
from autoscaler.cli.render import duration, number, share, waiting
from tests.cli.command import forescale


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


def test_no_figure_is_cut_on_a_narrow_terminal(
    journal: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    _, out, _ = forescale(capsys, "slo", "--journal", str(journal))
    head, *lines = out.splitlines()
    assert "…" not in out
    assert head.split()[-1] == "SEEN"
    assert all(line.startswith("team/bert") and "99% < 300ms" in line for line in lines)


def test_a_reader_that_has_seen_enough_is_no_failure(journal: Path) -> None:
    argv = [sys.executable, "-m", "autoscaler", "slo", "--journal", str(journal)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        said = running.stderr.read()
    assert (running.returncode, said) == (0, b"")


def test_a_full_disk_below_the_output_is_said_in_one_line() -> None:
    argv = [sys.executable, "-m", "autoscaler", "dashboard"]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(argv, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "forescale: output: no space is left where it goes, name another place\n"


@pytest.mark.parametrize("command", ["dashboard", "slo --journal {journal}"])
def test_a_closed_output_is_no_failure(command: str, journal: Path) -> None:
    command = f"{sys.executable} -m autoscaler {command.format(journal=journal)} >&-"
    done = subprocess.run(["sh", "-c", command], stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        (("check-config",), 2, "check-config: no file, name a policy file or --manifests"),
        (("check-config", "/no/file"), 2, "/no/file: there is no such file"),
        (("plan", "--config", "/no/file"), 2, "/no/file: there is no such file"),
        (("plan", "--kubeconfig", "/no/file"), 2, "kubeconfig /no/file"),
        (("plan", "--prometheus-url", "localhost:9090"), 2, "must be http://HOST:PORT"),
        (("plan", "--wait", "-1"), 2, "--wait: -1, must be 0 to 3600 s"),
        (("doctor", "--service-account", "forescale/"), 2, "'forescale/', must be NAMESPACE/NAME"),
        (("plan", "--wait", "nan"), 2, "--wait: nan, must be 0 to 3600 s"),
        (
            ("sweep", "--lease", "a/b", "--namespace", "c", "--silent-for", "nan"),
            2, "--silent-for: nan, must be 0 s or more",
        ),
        (("run", "--kubeconfig", "/no/file"), 2, "kubeconfig /no/file"),
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
        (("explain", "bert"), 2, "explain: 'bert', must be NAMESPACE/NAME"),
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
        (duration(7199.0), "120 min"),
        (duration(9000.0), "2.5 h"),
        (duration(86400.0 * 12.3), "12 days"),
    ],
)
def test_numbers_have_units_and_unknown_is_a_dash(shown: str, expected: str) -> None:
    assert shown == expected
