"""A mirror of one resource: list, watch, resume, and list anew where history is gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from autoscaler.collectors.mirror import Mirror, View
from autoscaler.errors import SourceExpired, SourceMissing, SourceUnavailable
from tests.fakes.clock import FakeClock

Event = tuple[str, dict[str, Any]] | Exception | float
"""What a watch tells, what ends it, or how long nothing comes."""


def item(uid: str, version: str, value: int = 0) -> dict[str, Any]:
    return {"metadata": {"uid": uid, "resourceVersion": version}, "value": value}


class FakeApi:
    """Lists and watches as told; ends the mirror by a cancellation when the script is over."""

    def __init__(self, lists: list[list[dict[str, Any]]], watches: list[list[Event]]) -> None:
        self.lists = lists
        self.watches = watches
        self.asked: list[str] = []
        self.clock = FakeClock()
        self.unknown_for_s = 0.0
        """After the first list the kind is not known until then."""

    async def pages(
        self, path: str, *, accept: str
    ) -> AsyncIterator[tuple[list[dict[str, Any]], str]]:
        if self.asked and self.clock.mono_s < self.unknown_for_s:
            self.asked.append("404")
            raise SourceMissing(f"GET {path}: status 404")
        self.asked.append("list")
        found = self.lists.pop(0)
        yield found[:1], "10"
        yield found[1:], "10"

    async def watch(
        self, path: str, version: str, *, accept: str
    ) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        self.asked.append(f"watch {version}")
        if not self.watches:
            raise asyncio.CancelledError
        for event in self.watches.pop(0):
            if isinstance(event, Exception):
                raise event
            if isinstance(event, float):
                await self.clock.sleep(event)
            else:
                yield event


async def mirrored(api: FakeApi, *, optional: bool = False) -> Mirror[int]:
    mirror: Mirror[int] = Mirror(
        api,  # type: ignore[arg-type]
        "/things",
        lambda raw, before: raw["value"] if raw["value"] >= 0 else None,
        api.clock,
        optional=optional,
    )
    task = asyncio.create_task(mirror.run())
    await asyncio.gather(task, return_exceptions=True)
    return mirror


async def test_events_are_taken_in_and_a_closed_stream_goes_on_where_it_was() -> None:
    api = FakeApi(
        [[item("a", "1", 1), item("b", "2", 2)]],
        [
            [("MODIFIED", item("a", "11", 5)), ("DELETED", item("b", "12"))],
            [("ADDED", item("c", "13", 7)), ("BOOKMARK", item("", "20"))],
        ],
    )
    mirror = await mirrored(api)
    assert dict(mirror.objects) == {"a": 5, "c": 7}
    assert api.asked == ["list", "watch 10", "watch 12", "watch 20"]
    assert mirror.synced


async def test_history_that_is_gone_is_listed_anew() -> None:
    api = FakeApi([[item("a", "1", 1)], [item("b", "30", 2)]], [[SourceExpired("too old")], []])
    mirror = await mirrored(api)
    assert dict(mirror.objects) == {"b": 2}
    assert api.asked[:3] == ["list", "watch 10", "list"]


async def test_a_broken_connection_keeps_what_is_known_and_says_so() -> None:
    api = FakeApi([[item("a", "1", 1)]], [[SourceUnavailable("reset by peer")]])
    mirror = await mirrored(api)
    assert dict(mirror.objects) == {"a": 1}
    assert mirror.error == "reset by peer"
    assert api.asked == ["list", "watch 10", "watch 10"]


async def test_an_accepted_watch_ends_the_error() -> None:
    api = FakeApi(
        [[item("a", "1", 1)]],
        [[SourceUnavailable("reset by peer")], [("BOOKMARK", item("", "10")), 300.0]],
    )
    mirror = await mirrored(api)
    assert mirror.error is None


@pytest.mark.parametrize(
    ("watch", "error", "waited_s"),
    [
        pytest.param(
            [("BOOKMARK", item("", "10"))],
            "the watch ends as soon as it has begun",
            0.5 + 1.0 + 2.0 + 5.0,
            id="closed at once, as a proxy may do",
        ),
        pytest.param(
            [("BOOKMARK", item("", "10")), SourceUnavailable("reset by peer")],
            "reset by peer",
            0.5 + 1.0 + 2.0 + 5.0,
            id="broken at once",
        ),
        pytest.param(
            [("BOOKMARK", item("", "10")), 60.0, SourceUnavailable("reset by peer")],
            "reset by peer",
            4 * 60.5,
            id="broken after a minute",
        ),
        pytest.param(
            [("BOOKMARK", item("", "10")), ("MODIFIED", item("a", "11"))],
            None,
            0.0,
            id="closed after news",
        ),
        pytest.param(
            [("BOOKMARK", item("", "10")), 300.0], None, 1200.0, id="closed in its own time"
        ),
    ],
)
async def test_a_watch_that_ends_at_once_is_not_begun_again_at_once(
    watch: list[Event], error: str | None, waited_s: float
) -> None:
    """Four times, one like the other."""
    api = FakeApi([[item("a", "1", 1)]], [list(watch) for _ in range(4)])
    mirror = await mirrored(api)
    assert (mirror.error, api.clock.mono_s) == (error, waited_s)


async def test_a_version_that_the_api_server_never_reaches_is_listed_anew() -> None:
    """Its store was restored from a backup: the version that is asked for is in its future."""
    ahead: Event = SourceUnavailable("watch /things: status 504")
    api = FakeApi(
        [[item("a", "900", 1)], [item("b", "20", 2)]], [*([ahead] for _ in range(6)), [300.0]]
    )
    mirror = await mirrored(api)
    assert dict(mirror.objects) == {"b": 2}
    assert api.asked == ["list", *["watch 10"] * 6, "list", *["watch 10"] * 2]
    assert mirror.error is None


async def test_history_that_is_gone_each_time_is_listed_anew_at_a_slower_pace() -> None:
    gone = SourceExpired("too old")
    api = FakeApi([[item("a", "1", 1)] for _ in range(4)], [[gone], [gone], [gone], [300.0]])
    await mirrored(api)
    assert api.clock.mono_s == 0.5 + 1.0 + 2.0 + 300.0


async def test_an_api_server_that_is_gone_for_ten_minutes_is_two_lines_of_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One in each try was 25 for each kind of object."""
    gone: Event = SourceUnavailable("watch /things: Cannot connect to host 10.0.0.1:443")
    api = FakeApi(
        [[item("a", "1", 1)] for _ in range(5)],
        [
            *([gone] for _ in range(24)),
            [("BOOKMARK", item("", "10")), 60.0, ("BOOKMARK", item("", "11"))],
        ],
    )
    with caplog.at_level("INFO", logger="autoscaler.collectors.mirror"):
        await mirrored(api)
    assert [(line.levelname, line.getMessage()) for line in caplog.records] == [
        ("WARNING", "/things: is not up to date"),
        ("INFO", "/things: is watched again"),
    ]


@pytest.mark.parametrize(("asked_s", "waited_s"), [(7.0, 7.0), (86400.0, 120.0)])
async def test_as_long_as_the_api_server_asks_for_is_waited_within_reason(
    asked_s: float, waited_s: float
) -> None:
    refused = SourceUnavailable("429", retry_after_s=asked_s)
    api = FakeApi([[item("a", "1", 1)]], [[refused], [300.0]])
    await mirrored(api)
    assert api.clock.mono_s == waited_s + 300.0


async def test_what_ends_unexpectedly_is_not_up_to_date() -> None:
    """It is begun again in seconds; meanwhile nobody must take what is known for fresh."""
    api = FakeApi([[item("a", "1", 1)]], [[TypeError("code is None")]])
    assert (await mirrored(api)).error == "TypeError: code is None"


async def test_an_object_that_can_not_be_read_stops_no_other() -> None:
    api = FakeApi(
        [[{"metadata": {"uid": "x"}}, item("a", "1", 1)]],
        [[("ADDED", {"metadata": None}), ("ADDED", item("b", "11", 2))]],
    )
    mirror = await mirrored(api)
    assert dict(mirror.objects) == {"a": 1, "b": 2}


async def test_readers_of_one_kind_share_its_watch() -> None:
    api = FakeApi(
        [[item("a", "1", 1), item("b", "2", 2)]],
        [[("ADDED", item("c", "11", 3)), ("DELETED", item("a", "12", 1))]],
    )
    mirror: Mirror[int] = Mirror(
        api,  # type: ignore[arg-type]
        "/things",
        lambda raw, _: raw["value"],
        api.clock,
    )
    odd = mirror.view(lambda raw, before: raw["value"] * 10 if raw["value"] % 2 else None)
    broken: View[int] = mirror.view(lambda raw, _: raw["nothing"])
    assert (mirror.synced, odd.synced) == (False, False)
    task = asyncio.create_task(mirror.run())
    await asyncio.gather(task, return_exceptions=True)
    assert api.asked == ["list", "watch 10", "watch 12"]
    assert [dict(view.objects) for view in (mirror, odd, broken)] == [
        {"b": 2, "c": 3},
        {"c": 30},
        {},
    ]
    assert (odd.synced, odd.path, odd.error) == (True, "/things", mirror.error)


async def test_a_view_that_comes_late_is_not_taken_for_empty() -> None:
    api = FakeApi([[item("a", "1", 1)], [item("a", "1", 1)]], [])
    mirror: Mirror[int] = Mirror(
        api,  # type: ignore[arg-type]
        "/things",
        lambda raw, _: raw["value"],
        api.clock,
    )
    await mirror.relist()
    late = mirror.view(lambda raw, _: raw["value"])
    assert (mirror.synced, late.synced) == (True, False)
    await mirror.relist()
    assert (late.synced, dict(late.objects)) == (True, {"a": 1})


async def test_what_projects_to_nothing_is_dropped() -> None:
    api = FakeApi([[item("a", "1", 1)]], [[("MODIFIED", item("a", "11", -1))]])
    assert dict((await mirrored(api)).objects) == {}


class Unknown(FakeApi):
    """A cluster that does not know the kind of object until it is installed."""

    def __init__(self, looks: int) -> None:
        super().__init__([[item("a", "1", 5)]], [])
        self.looks = looks

    async def pages(
        self, path: str, *, accept: str
    ) -> AsyncIterator[tuple[list[dict[str, Any]], str]]:
        self.looks -= 1
        if self.looks >= 0:
            self.asked.append("404")
            raise SourceMissing("no such kind")
        async for page in super().pages(path, accept=accept):
            yield page


async def test_a_kind_that_need_not_be_there_is_looked_for_again() -> None:
    api = Unknown(2)
    mirror: Mirror[int] = Mirror(
        api,  # type: ignore[arg-type]
        "/things",
        lambda raw, before: raw["value"],
        FakeClock(),
        optional=True,
    )
    await mirror.relist()
    assert (mirror.synced, mirror.error, dict(mirror.objects)) == (True, None, {})
    task = asyncio.create_task(mirror.run())
    await asyncio.gather(task, return_exceptions=True)
    assert api.asked == ["404", "404", "list", "watch 10"]
    assert mirror.objects == {"a": 5}


class Versions(FakeApi):
    """A cluster that serves an older version, and from its second list of that the newer one too."""

    async def pages(
        self, path: str, *, accept: str
    ) -> AsyncIterator[tuple[list[dict[str, Any]], str]]:
        self.asked.append(path)
        if path == "/new/things" and self.asked.count("/old/things") < 2:
            raise SourceMissing(f"GET {path}: status 404")
        yield [item("a", "1", 2 if path == "/new/things" else 1)], "10"


async def test_an_older_version_is_read_until_the_newer_one_is_served() -> None:
    """A watch lasts minutes: when one ends, the newest is asked for again. Of that one it is resumed as ever."""
    watches: list[list[Event]] = [[300.0], [300.0], [300.0], [300.0]]
    api = Versions([], watches)
    mirror: Mirror[int] = Mirror(
        api,  # type: ignore[arg-type]
        "/new/things",
        lambda raw, before: raw["value"],
        api.clock,
        optional=True,
        older=["/old/things"],
    )
    task = asyncio.create_task(mirror.run())
    await asyncio.gather(task, return_exceptions=True)
    old = ["/new/things", "/old/things", "watch 10"]
    assert api.asked == [*old, *old, "/new/things", "watch 10", "watch 10", "watch 10"]
    assert (mirror.path, dict(mirror.objects), mirror.known) == ("/new/things", {"a": 2}, True)


async def test_a_kind_that_is_installed_anew_is_seen_within_seconds() -> None:
    """Its definition was deleted and comes back half a minute later: after five minutes its objects were seen."""
    gone = SourceMissing("watch /things: status 404")
    api = FakeApi([[item("a", "1", 1)], [item("b", "9", 2)]], [[gone], [300.0]])
    api.unknown_for_s = 30.0
    mirror = await mirrored(api, optional=True)
    assert (api.asked, dict(mirror.objects)) == (
        ["list", "watch 10", "404", "404", "404", "list", "watch 10", "watch 10"],
        {"b": 2},
    )
    assert api.clock.mono_s == 0.5 + 5.0 + 10.0 + 20.0 + 300.0
