"""`python -m loadtests.load`: open-loop load on the ready pods of a Deployment, or on an address, judged by thresholds.

Exit code 0, 1 where it could not run, nothing was answered or the client was too slow to measure anything, 2 for a bad
configuration, 99 where a threshold was missed, 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import statistics
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from autoscaler.claim import claim
from autoscaler.clients.kubernetes import KubernetesClient
from autoscaler.errors import AutoscalerError, ConfigError, SourceInvalid
from loadtests.load import options, profile, request_log, thresholds
from loadtests.load.completions import Completions
from loadtests.load.driver import MAX_LATENESS_S, Driver, lateness_p99_s
from loadtests.load.pods import PodWatch
from loadtests.load.request_log import Request
from loadtests.load.served import check
from loadtests.load.targets import PinnedConnections, ReadyPods, Targets
from loadtests.load.thresholds import Threshold, Verdict
from loadtests.load.triton import Inferences

OK, FAILED, USAGE, MISSED, INTERRUPTED = 0, 1, 2, 99, 130
# A run against nothing is a mistake in its arguments, found before its load is.
FIRST_POD_S = 60.0
# By chance the answers of an interrupted run are shorter than those of the whole.
SHORTER_RATIO = 0.8


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code."""
    given = options.parser(__doc__).parse_args(arguments)
    try:
        options.complete(given)
        limits = thresholds.parse(given.threshold, streamed=given.protocol == "openai")
        steps = profile.parse(given.load)
        due_s = profile.arrivals(steps, seed=given.seed)
        if not due_s:
            raise ValueError(f"load {given.load!r}: asks for no request, at least one is needed")
        protocol = options.protocol(given, len(due_s))
        _check_measurable(limits, protocol)
        if given.log is not None:
            # What can't be written is found before the load is sent, and not after it.
            claim(given.log)
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return USAGE
    requests: list[Request] = []
    interrupted = False
    try:
        asyncio.run(_run(given, protocol, due_s, requests))
    except KeyboardInterrupt:
        interrupted = True
        print(f"interrupted: {len(requests)} of {len(due_s)} requests are over", file=sys.stderr)
    except ConfigError as error:
        print(f"load: {error}", file=sys.stderr)
        return USAGE
    except (AutoscalerError, OSError) as error:
        print(f"load: {error}", file=sys.stderr)
        return FAILED
    logged = _log(given.log, requests)
    code = _tell(given, limits, requests)
    if isinstance(protocol, Completions):
        _tell_of_tokens(protocol, requests)
    return INTERRUPTED if interrupted else code if logged else FAILED


def _check_measurable(limits: Sequence[Threshold], protocol: Inferences | Completions) -> None:
    """Raises ValueError for a threshold that nothing could be measured for."""
    if not isinstance(protocol, Completions) or max(protocol.answer_tokens) > 1:
        return
    for limit in limits:
        if limit.metric == "tpot":
            raise ValueError(
                f"threshold {limit.text!r}: tpot is of the tokens after the first, and no answer has "
                "more than one; raise --answer-tokens"
            )


def _log(path: Path | None, requests: Sequence[Request]) -> bool:
    """Whether it was written; a disk that is full must not take the figures along."""
    if path is None:
        return True
    try:
        request_log.write(path, requests)
    except OSError as error:
        print(f"load: {path}: {error.strerror}, the log is not whole", file=sys.stderr)
        return False
    return True


def _tell(
    given: argparse.Namespace, limits: Sequence[Threshold], requests: Sequence[Request]
) -> int:
    """What came of it, and the exit code."""
    if failed := Counter(one.outcome for one in requests if one.outcome != request_log.OK):
        outcome, count = failed.most_common(1)[0]
        print(f"{count} of {len(requests)} failed with: {outcome}", file=sys.stderr)
    verdicts = thresholds.judge(limits, requests)
    late_s = lateness_p99_s(requests)
    if given.json:
        print(json.dumps(thresholds.as_json(requests, verdicts) | {"lateness_p99_s": late_s}))
    else:
        for line in (thresholds.summary(requests), *map(_line, verdicts)):
            print(line)
    if late_s > MAX_LATENESS_S:
        print(
            f"invalid: the client sent {late_s * 1000:.0f} ms late (p99), at most "
            f"{MAX_LATENESS_S * 1000:.0f} ms is a measurement; give it a lower rate or more of a processor",
            file=sys.stderr,
        )
    return exit_code(requests, verdicts, late_s)


def _tell_of_tokens(protocol: Completions, requests: Sequence[Request]) -> None:
    """What makes the figures of streams other than they seem."""
    answered = [one for one in requests if one.outcome == request_log.OK]
    counted = [one.tokens for one in answered if one.tokens is not None]
    if len(counted) < len(answered):
        print(
            f"{len(answered) - len(counted)} of {len(answered)} answers told no usage: their tokens are not "
            "known, and no tpot is kept by them",
            file=sys.stderr,
        )
    asked = statistics.fmean(protocol.answer_tokens)
    if counted and statistics.fmean(counted) < SHORTER_RATIO * asked:
        print(
            f"answers had {statistics.fmean(counted):.0f} tokens in the mean, {asked:.0f} were asked for: "
            "does the server know ignore_eos?",
            file=sys.stderr,
        )


def exit_code(requests: Sequence[Request], verdicts: Sequence[Verdict], late_s: float) -> int:
    """A client that was itself late has measured nothing, whatever its figures say, nor one that nobody answered."""
    answered = any(one.outcome == request_log.OK for one in requests)
    if late_s > MAX_LATENESS_S or not (answered or verdicts):
        return FAILED
    return OK if all(verdict.passed for verdict in verdicts) else MISSED


async def _run(
    given: argparse.Namespace,
    protocol: Inferences | Completions,
    due_s: tuple[float, ...],
    requests: list[Request],
) -> None:
    """Adds to `requests` what is over, also where it is interrupted."""
    # Each request under way holds a file, and the usual limit of 1,024 is less than the system allows.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if given.address is not None:
        await check(given.address, protocol)
        return await _drive(_to_address(given, protocol), given.timeout_s, due_s, requests)
    client = await KubernetesClient.connect(
        kubeconfig=given.kubeconfig, context=None, timeout_s=5.0
    )
    watch = PodWatch(client, given.namespace, given.deployment)
    watching = asyncio.create_task(watch.run())
    try:
        await _first_pod(watch, given.deployment)
        await check(f"{next(iter(watch.ready().values()))}:{given.port}", protocol)
        targets = ReadyPods(watch.ready, protocol, port=given.port)
        await _drive(targets, given.timeout_s, due_s, requests)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await client.close()


def _to_address(given: argparse.Namespace, protocol: Inferences | Completions) -> Targets:
    if isinstance(protocol, Completions):
        host, port = given.address.rsplit(":", 1)
        return ReadyPods(lambda: {given.address: host}, protocol, port=int(port))
    return PinnedConnections(
        given.address, protocol, connections=given.connections, max_age_s=given.max_age_s
    )


async def _first_pod(watch: PodWatch, deployment: str) -> None:
    if not watch.ready():
        text = f"waiting up to {FIRST_POD_S:g} s for a ready pod of {deployment}"
        print(text, file=sys.stderr)
    try:
        async with asyncio.timeout(FIRST_POD_S):
            while not watch.ready():
                await asyncio.sleep(0.1)
    except TimeoutError as error:
        raise SourceInvalid(
            f"deployment {deployment}: no pod was ready within {FIRST_POD_S:g} s; is it in this namespace?"
        ) from error


async def _drive(
    targets: Targets, timeout_s: float, due_s: tuple[float, ...], requests: list[Request]
) -> None:
    driver = Driver(targets, timeout_s=timeout_s)
    columns = (TextColumn("sending"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("sending", total=len(due_s))
        showing = asyncio.create_task(_show(progress, task, driver))
        try:
            await driver.run(due_s)
        finally:
            requests += driver.requests
            showing.cancel()
            await asyncio.gather(showing, return_exceptions=True)


async def _show(progress: Progress, task: TaskID, driver: Driver) -> None:
    while True:
        progress.update(task, completed=len(driver.requests))
        await asyncio.sleep(0.5)


def _line(verdict: Verdict) -> str:
    mark = "ok    " if verdict.passed else "MISSED"
    figure = "nothing measured" if verdict.figure is None else f"{verdict.figure:.4g}"
    return f"{mark} {verdict.threshold.text}  ({figure})"


if __name__ == "__main__":
    sys.exit(main())
