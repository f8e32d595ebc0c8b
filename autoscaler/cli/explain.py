"""`forescale explain NAMESPACE/NAME`: every step of one decision, with what it rests on.

Taken from a running controller, from a journal, or from a dry run of one's own.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from autoscaler.errors import AutoscalerError, ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autoscaler.controller.server import DecisionsPage
    from autoscaler.core.types import TickRecord

# Of ticks of 10 s: from here on none was made or kept at the time that is asked for.
LONG_BEFORE_S = 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    from autoscaler.cli.cluster import add_cluster_arguments

    parser.add_argument("workload", metavar="NAMESPACE/NAME")
    parser.add_argument(
        "--controller", metavar="URL", help="ask a running one, such as http://127.0.0.1:8080"
    )
    parser.add_argument("--journal", type=Path, metavar="PATH", help="take it from a journal")
    parser.add_argument(
        "--at",
        metavar="TIME",
        help="with --journal: the tick at 2026-01-31T14:10:00Z, or at 02:13 of the last day (UTC); else the last",
    )
    parser.add_argument(
        "--since",
        metavar="TIME",
        help="with --journal: every change of its replicas since then, a line for each",
    )
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    add_cluster_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Prints one decision."""
    if args.controller and args.journal:
        raise ConfigError((Problem("explain", "--controller and --journal", "give one of them"),))
    for name, given in (("--at", args.at), ("--since", args.since)):
        if given and not args.journal:
            raise ConfigError(
                (Problem(name, "without --journal", "name the journal to look into"),)
            )
    if args.at and args.since:
        raise ConfigError((Problem("explain", "--at and --since", "give one of them"),))
    if args.since:
        return _changes(args)
    page = _page(args)
    if args.at:
        _say_if_long_before(args.at, page.now_s)
    names = [str(decision.workload) for decision in page.decisions]
    if args.workload not in names:
        problems = [
            str(problem)
            for item in page.refused
            if args.workload in (str(item.workload), item.workload.name)
            for problem in item.problems
        ]
        if problems:
            raise AutoscalerError("; ".join(problems))
        raise AutoscalerError(unknown_workload(args.workload, names))
    index = names.index(args.workload)
    decision, spec = page.decisions[index], page.specs[index]
    if args.json:
        from autoscaler.codec import encode

        print(encode({"now_s": page.now_s, "decision": decision, "spec": spec}).decode())
        return 0
    from autoscaler.cli.render import console, explanation, finding_lines

    out = console()
    for part in (*explanation(decision, spec, page.now_s), *finding_lines(page.fleet)):
        out.print(part)
    return 0


def _changes(args: argparse.Namespace) -> int:
    """What became of it since a time: the moments that `--at` can be asked about."""
    from autoscaler.cli.render import changes_table, console, moment, print_whole, waiting
    from autoscaler.simulation.changes import changes_of
    from autoscaler.simulation.journal_file import files_since, records_of

    since_s = _time(args.since, "--since")
    names: set[str] = set()
    times_s: list[float] = []

    def records() -> Iterator[TickRecord]:
        for _, record in records_of(files_since(args.journal, since_s)):
            times_s.append(record.input.now_s)
            names.update(str(decision.workload) for decision in record.result.decisions)
            yield record

    with waiting(f"reading {args.journal}"):
        every = list(changes_of(records(), args.workload))
    if args.workload not in names:
        raise AutoscalerError(unknown_workload(args.workload, sorted(names)))
    if times_s[0] > since_s:
        console(stderr=True).print(f"! {args.journal} begins at {moment(times_s[0])}")
    if times_s[-1] < since_s:
        raise AutoscalerError(f"{args.journal}: its last tick is of {moment(times_s[-1])}")
    found = [change for change in every if change.at_s >= since_s]
    if args.json:
        from autoscaler.codec import encode

        print(encode({"workload": args.workload, "changes": found}).decode())
    elif found:
        print_whole(console(), changes_table(found))
    else:
        console().print(f"{args.workload}: its replicas have not changed since then")
    return 0


def _say_if_long_before(at: str, found_s: float) -> None:
    """What was decided long before a time is no answer to what happened then."""
    from autoscaler.cli.render import console, duration

    ago_s = _time(at) - found_s
    if ago_s > LONG_BEFORE_S:
        text = f"! no tick then: this is the last one, {duration(ago_s)} before {at}"
        console(stderr=True).print(f"{text}; other parts of the journal may have it")


def unknown_workload(given: str, names: list[str]) -> str:
    """Says which ones there are, the nearest first."""
    import difflib

    if not names:
        return f"{given}: no workload is known, annotate one with forescale.io/slo"
    last = given.rsplit("/", 1)[-1]
    near = difflib.get_close_matches(given, names, n=3, cutoff=0.6)
    near += [n for n in names if n.rsplit("/", 1)[-1] == last and n not in near]
    if near:
        return f"{given}: is not known, did you mean {' or '.join(near)}?"
    shown = ", ".join(sorted(names)[:10]) + (", ..." if len(names) > 10 else "")
    return f"{given}: is not known, there are: {shown}"


def _page(args: argparse.Namespace) -> DecisionsPage:
    """What was decided, and, but for a journal, what was refused."""
    if args.controller:
        from autoscaler.cli.controller import ask
        from autoscaler.controller.server import DecisionsPage

        return ask(args.controller, "/debug/decisions", DecisionsPage)
    if args.journal:
        from autoscaler.cli.render import waiting

        with waiting(f"reading {args.journal}"):
            return _from_journal(args.journal, args.at)
    from autoscaler.cli.cluster import dry_run
    from autoscaler.controller.server import page_of

    if "/" not in args.workload.strip("/"):
        # What a look of 15 s would end with.
        raise ConfigError((Problem("explain", repr(args.workload), "must be NAMESPACE/NAME"),))
    done = dry_run(args)
    return page_of(done.record, leader=None, refused=done.refused)


def _from_journal(path: Path, at: str | None) -> DecisionsPage:
    """The last tick up to that time, looked for from the newest file back."""
    from autoscaler.cli.render import moment
    from autoscaler.controller.server import page_of
    from autoscaler.simulation.journal_file import NO_TICK, JournalInvalid, JournalTorn, files_of

    at_s = _time(at) if at else None
    first_s: float | None = None
    begun: JournalInvalid | None = None
    for file in reversed(files_of(path)):
        try:
            found, began_s = _last(file, at_s)
        except JournalTorn as error:
            begun = error
            continue
        if found is not None:
            return page_of(found, leader=None)
        first_s = first_s if began_s is None else began_s
    if first_s is None:
        raise begun or JournalInvalid(f"{path}: {NO_TICK}")
    raise ConfigError((Problem("--at", repr(at), f"{path} begins at {moment(first_s)}"),))


def _last(file: Path, at_s: float | None) -> tuple[TickRecord | None, float | None]:
    """(the last tick of a file up to a time, when its first one was)."""
    from autoscaler.simulation.journal_file import JournalTorn, open_journal

    found: TickRecord | None = None
    first_s: float | None = None
    with open_journal(file) as journal:
        try:
            for record in journal.records():
                first_s = record.input.now_s if first_s is None else first_s
                if at_s is not None and record.input.now_s > at_s:
                    break
                found = record
        except JournalTorn:
            # The running controller may be in the middle of its last line, and one that was killed was.
            return found, first_s
    return found, first_s


def _time(text: str, option: str = "--at") -> float:
    """A moment, or a time of the day: then the last such, in UTC as all that is shown."""
    from datetime import UTC, datetime, time, timedelta

    from autoscaler.clock import SystemClock

    try:
        if ":" in text[:3]:
            now, asked = (
                datetime.fromtimestamp(SystemClock().now_s(), tz=UTC),
                time.fromisoformat(text),
            )
            today = datetime.combine(now.date(), asked, tzinfo=asked.tzinfo or UTC)
            return (today if today <= now else today - timedelta(days=1)).timestamp()
        at = datetime.fromisoformat(text)
    except ValueError as error:
        problem = Problem(option, repr(text), "must be like 2026-01-31T14:10:00Z, or 14:10")
        raise ConfigError((problem,)) from error
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
