"""The command's options: what each is for, and what goes with what. All of it is told before anything is sent."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Mapping
from pathlib import Path

from autoscaler.simulation.continuous_model import Lengths
from loadtests.load.completions import Completions
from loadtests.load.driver import TIMEOUT_S
from loadtests.load.targets import HTTP_PORT
from loadtests.load.triton import Inferences

# Answers take minutes where they are long and the server is busy.
STREAM_TIMEOUT_S = 600.0
LONGEST_TIMEOUT_S = 3600.0
# Of a prompt and its answer, unless the model is known to take fewer.
MOST_TOKENS = 1_000_000
DEFAULTS = {
    "connections": 16,
    "max_age_s": 60.0,
    "port": HTTP_PORT,
    "prompt_tokens": 500.0,
    "answer_tokens": 200.0,
    "prompt_cv": 1.0,
    "answer_cv": 1.0,
    "max_model_tokens": MOST_TOKENS,
}
OF_TOKENS = ("prompt_tokens", "prompt_cv", "answer_tokens", "answer_cv", "max_model_tokens")


def parser(doc: str) -> argparse.ArgumentParser:
    """Options that may not be given together have no default here, but `None`."""
    made = argparse.ArgumentParser(prog="python -m loadtests.load", description=doc)
    made.add_argument(
        "--protocol",
        choices=("triton", "openai"),
        default="triton",
        help="openai: completions with streaming, as vLLM and SGLang serve them",
    )
    made.add_argument("--kubeconfig", help="default: as kubectl finds it")
    made.add_argument("--namespace", default="default")
    where = made.add_mutually_exclusive_group(required=True)
    where.add_argument("--deployment", help="its ready pods, least outstanding requests first")
    where.add_argument("--address", help="HOST:PORT of a server or proxy")
    made.add_argument("--port", type=int, help="of the --deployment's pods (8000)")
    made.add_argument("--connections", type=int, help="of triton to --address, long-lived (16)")
    made.add_argument("--max-age-s", type=float, help="of such a connection (60)")
    made.add_argument("--model", required=True)
    made.add_argument("--load", required=True, help="RATExSECONDS in turn, such as 24x60,96x120")
    made.add_argument("--seed", type=int, default=1)
    tokens = made.add_argument_group("with --protocol openai; lengths are lognormal")
    tokens.add_argument("--prompt-tokens", type=float, help="mean (500)")
    tokens.add_argument("--prompt-cv", type=float, help="standard deviation / mean (1); 0: fixed")
    tokens.add_argument("--answer-tokens", type=float, help="mean (200)")
    tokens.add_argument("--answer-cv", type=float, help="standard deviation / mean (1); 0: fixed")
    tokens.add_argument("--max-model-tokens", type=int, help="most of prompt and answer together")
    made.add_argument("--timeout-s", type=float, help="of a request (60; with openai 600)")
    made.add_argument("--threshold", action="append", default=[], help="may be given repeatedly")
    made.add_argument("--json", action="store_true", help="print figures and thresholds as JSON")
    made.add_argument("--log", type=Path, help="each request, as gzipped CSV")
    return made


def complete(given: argparse.Namespace) -> None:
    """Puts in what was left out. Raises ValueError for what is out of bounds or does not go together."""
    _check_combined(given)
    for name, value in DEFAULTS.items():
        if getattr(given, name) is None:
            setattr(given, name, value)
    if given.timeout_s is None:
        given.timeout_s = STREAM_TIMEOUT_S if given.protocol == "openai" else TIMEOUT_S
    if given.address is not None:
        told = re.fullmatch(r"[^:/\s]+:(\d{1,5})", given.address)
        if told is None or not 1 <= int(told[1]) <= 65535:
            raise ValueError(f"--address {given.address!r}: must be HOST:PORT")
    if not 1 <= given.port <= 65535:
        raise ValueError(f"--port {given.port}: must be 1 to 65535")
    if given.connections < 1:
        raise ValueError(f"--connections {given.connections}: must be at least 1")
    if not given.max_age_s > 0.0:
        raise ValueError(f"--max-age-s {given.max_age_s:g}: must be more than 0")
    if not 0.0 < given.timeout_s <= LONGEST_TIMEOUT_S:
        raise ValueError(
            f"--timeout-s {given.timeout_s:g}: must be more than 0 and at most {LONGEST_TIMEOUT_S:g}"
        )
    if given.seed < 0:
        raise ValueError(f"--seed {given.seed}: must not be negative")
    if not 2 <= given.max_model_tokens <= MOST_TOKENS:
        raise ValueError(
            f"--max-model-tokens {given.max_model_tokens}: must be 2 to {MOST_TOKENS:,}"
        )


def _check_combined(given: argparse.Namespace) -> None:
    def refuse(names: tuple[str, ...], why: str) -> None:
        for name in names:
            if getattr(given, name) is not None:
                raise ValueError(f"--{name.replace('_', '-')}: {why}")

    if given.protocol == "triton":
        refuse(OF_TOKENS, "goes with --protocol openai; triton's requests have no tokens")
    else:
        # One connection for several streams would make one wait for the other: a closed loop.
        refuse(
            ("connections", "max_age_s"),
            "goes with --protocol triton; with openai each request has a connection of its own",
        )
    if given.deployment is not None:
        refuse(("connections", "max_age_s"), "goes with --address")
    else:
        refuse(("port",), "goes with --deployment; --address has its port in it")


def protocol(
    given: argparse.Namespace, requests: int, environment: Mapping[str, str] = os.environ
) -> Inferences | Completions:
    """What is to be asked, so many times. `given` is complete. Raises ValueError for lengths that can't be."""
    if given.protocol == "triton":
        return Inferences(given.model)
    try:
        lengths = Lengths(
            prompt_tokens=given.prompt_tokens,
            answer_tokens=given.answer_tokens,
            prompt_cv=given.prompt_cv,
            answer_cv=given.answer_cv,
        )
    except ValueError as error:
        # `prompt_tokens: 0.0, 1 to 1,000,000`
        raise ValueError(f"--{str(error).replace('_', '-')} are allowed") from error
    mean = given.prompt_tokens + given.answer_tokens
    if mean > given.max_model_tokens:
        raise ValueError(
            f"--max-model-tokens {given.max_model_tokens}: prompt and answer have {mean:g} in the mean"
        )
    prompts, answers = lengths.draw(requests, given.seed, given.max_model_tokens)
    return Completions(
        model=given.model,
        prompt_tokens=prompts.tolist(),
        answer_tokens=answers.tolist(),
        seed=given.seed,
        key=environment.get("OPENAI_API_KEY") or None,
    )
