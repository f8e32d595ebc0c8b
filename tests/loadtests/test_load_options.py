"""The load command's options: what goes together, and what is refused before anything is sent."""

from __future__ import annotations

import argparse

import pytest

from loadtests.load import options
from loadtests.load.__main__ import main
from loadtests.load.completions import Completions
from loadtests.load.triton import Inferences

OPENAI = ("--protocol=openai",)


def given(*arguments: str) -> argparse.Namespace:
    read = options.parser("").parse_args(
        ["--address=127.0.0.1:9", "--model=m", "--load=5x4", *arguments]
    )
    options.complete(read)
    return read


def test_triton_unless_it_is_told_otherwise() -> None:
    read = given()
    assert (read.timeout_s, read.connections, read.max_age_s) == (60.0, 16, 60.0)
    assert options.protocol(read, 10) == Inferences("m")


def test_an_answer_takes_minutes() -> None:
    assert given(*OPENAI).timeout_s == 600.0
    assert given(*OPENAI, "--timeout-s=30").timeout_s == 30.0


def test_lengths_are_those_of_a_scenario_file() -> None:
    read = given(*OPENAI, "--prompt-tokens=300", "--answer-tokens=50", "--answer-cv=0", "--seed=3")
    asked = options.protocol(read, 4000, {"OPENAI_API_KEY": "k"})
    assert isinstance(asked, Completions)
    assert set(asked.answer_tokens) == {50}
    assert sum(asked.prompt_tokens) / 4000 == pytest.approx(300, rel=0.1)
    assert (asked.seed, asked.key, len(asked.prompt_tokens)) == (3, "k", 4000)
    again = options.protocol(read, 4000, {"OPENAI_API_KEY": ""})
    assert isinstance(again, Completions)
    assert again.prompt_tokens == asked.prompt_tokens
    assert again.key is None


def test_prompt_and_answer_fit_the_model() -> None:
    asked = options.protocol(given(*OPENAI, "--max-model-tokens=1000"), 2000, {})
    assert isinstance(asked, Completions)
    assert max(map(sum, zip(asked.prompt_tokens, asked.answer_tokens, strict=True))) == 1000


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(
            ["--answer-tokens=5"],
            "--answer-tokens: goes with --protocol openai; triton's requests have no tokens",
            id="tokens of a tensor",
        ),
        pytest.param(["--max-model-tokens=5"], "goes with --protocol openai", id="its context"),
        pytest.param(["--port=80"], "--port: goes with --deployment", id="two ports"),
        pytest.param(
            [*OPENAI, "--connections=4"],
            "--connections: goes with --protocol triton; with openai each request has",
            id="a stream that waits for another",
        ),
        pytest.param([*OPENAI, "--max-age-s=4"], "--max-age-s: goes with --protocol triton", id="age"),
        pytest.param([*OPENAI, "--answer-tokens=0"], "--answer-tokens: 0.0, 1 to 1,000,000 are", id="none"),
        pytest.param([*OPENAI, "--prompt-cv=-1"], "--prompt-cv: -1.0, 0 to 10 are allowed", id="cv"),
        pytest.param([*OPENAI, "--prompt-tokens=nan"], "--prompt-tokens: nan, 1 to", id="no number"),
        pytest.param([*OPENAI, "--max-model-tokens=1"], "must be 2 to 1,000,000", id="no context"),
        pytest.param(
            [*OPENAI, "--max-model-tokens=600"],
            "--max-model-tokens 600: prompt and answer have 700 in the mean",
            id="a context below the mean",
        ),
        pytest.param([*OPENAI, "--timeout-s=0"], "--timeout-s 0: must be more than 0", id="no time"),
        pytest.param(["--timeout-s=1e9"], "at most 3600", id="for ever"),
        pytest.param(
            [*OPENAI, "--answer-tokens=1", "--answer-cv=0", "--threshold=tpot: max < 1s"],
            "tpot is of the tokens after the first",
            id="nothing after the first token",
        ),
        pytest.param(["--threshold=ttft: max < 1s"], "with --protocol openai", id="ttft of Triton"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_told_with_what_does(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    # Nothing listens at this address: it is never asked.
    assert main(["--address=127.0.0.1:9", "--model=m", "--load=5x4", *arguments]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("option", ["--connections=4", "--max-age-s=5"])
def test_connections_are_of_an_address(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--deployment=bert", "--model=m", "--load=5x4", option]) == 2
    assert "goes with --address" in capsys.readouterr().err


def test_a_port_is_of_pods() -> None:
    read = options.parser("").parse_args(["--deployment=d", "--model=m", "--load=5x4"])
    options.complete(read)
    assert read.port == 8000
    read = options.parser("").parse_args(["--deployment=d", "--model=m", "--load=5x4", "--port=0"])
    with pytest.raises(ValueError, match="--port 0: must be 1 to 65535"):
        options.complete(read)
