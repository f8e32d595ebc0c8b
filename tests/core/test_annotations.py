"""What a team may write on a workload, and what it is told when it writes something else."""

from __future__ import annotations

from typing import Any

import pytest

from autoscaler.core.annotations import PREFIX, Defaults, Shape, parse_workload
from autoscaler.core.slo import parse_slo
from autoscaler.core.types import Mode, Pause, Slo, SloForm, WorkloadId, WorkloadSpec

BERT = WorkloadId(namespace="team", name="bert")
SHAPE = Shape(api_version="apps/v1", gpus_per_replica=2.0)


def parse(defaults: Defaults | None = None, /, **annotations: str) -> WorkloadSpec | list[str]:
    own = {PREFIX + key.replace("_", "-"): value for key, value in annotations.items()}
    parsed = parse_workload(BERT, own, defaults=defaults or Defaults(), shape=SHAPE)
    return parsed if isinstance(parsed, WorkloadSpec) else [str(problem) for problem in parsed]


@pytest.mark.parametrize(
    ("text", "form", "ratio", "threshold_s", "signal"),
    [
        ("p95 < 200ms", SloForm.MINUTES, 0.95, 0.2, "latency"),
        ("99% < 200ms", SloForm.REQUESTS, 0.99, 0.2, "latency"),
        ("99.9%<=1.5s", SloForm.REQUESTS, 0.999, 1.5, "latency"),
        ("  P50   <  300us ", SloForm.MINUTES, 0.5, 0.0003, "latency"),
        ("p99 ttft < 2s", SloForm.MINUTES, 0.99, 2.0, "ttft"),
        ("95% latency < 1m", SloForm.REQUESTS, 0.95, 60.0, "latency"),
    ],
)
def test_one_objective(
    text: str, form: SloForm, ratio: float, threshold_s: float, signal: str
) -> None:
    slo = parse_slo(text, "here")
    assert isinstance(slo, Slo)
    (objective,) = slo.objectives
    assert (objective.form, objective.signal) == (form, signal)
    assert (objective.ratio, objective.threshold_s) == pytest.approx((ratio, threshold_s))
    assert (slo.compliance_ratio, slo.window_s) == (0.99, 28 * 86400.0)


def test_several_objectives_with_target_and_window() -> None:
    slo = parse_slo("p99 ttft < 2s, p95 tpot < 50ms for 99.5% over 7d", "here")
    assert isinstance(slo, Slo)
    assert [objective.signal for objective in slo.objectives] == ["ttft", "tpot"]
    assert slo.compliance_ratio == pytest.approx(0.995)
    assert slo.window_s == 7 * 86400.0
    mixed = parse_slo("p95 tpot < 50ms, 99% < 3s for 99.5%", "here")
    assert isinstance(mixed, Slo)
    assert mixed.compliance_ratio == pytest.approx(0.995)
    only_window = parse_slo("99% < 1s over 12h", "here")
    assert isinstance(only_window, Slo)
    assert only_window.window_s == 12 * 3600.0


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "'' is no objective"),
        ("fast", "'fast' is no objective"),
        ("p95 200ms", "'p95 200ms' is no objective"),
        ("p95 < 200", "'p95 < 200' is no objective"),
        ("p0 < 200ms", "asks for 0 %, 50 to 99.99 % are allowed"),
        ("p100 < 200ms", "asks for 100 %, 50 to 99.99 % are allowed"),
        ("p95 < 0ms", "has 0 s, 0.1 ms to 1 hour are allowed"),
        ("99% < 300ms, 99% < 0.3s", "'99% < 0.3s' says 99% < 300ms again, each objective once"),
        ("p95 < 2s for 100%", "for 100%, more than 0 and less than 100 %"),
        ("p95 < 2s for 99% over 400d", "over 400 d, 1 hour to 90 days"),
        ("p95 < nanms", "is no objective"),
        (
            "99% < 300ms for 99.9%",
            "'for 99.9%' beside 99% < 300ms, it goes with `pN < T`, whose minutes are",
        ),
    ],
)
def test_what_is_no_slo(text: str, told: str) -> None:
    problems = parse_slo(text, "team/bert forescale.io/slo")
    assert not isinstance(problems, Slo)
    assert told in str(problems[0])
    assert str(problems[0]).startswith("team/bert forescale.io/slo: ")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("p95 itl < 50ms", "`p95 tpot < 50ms`"),
        ("p95 e2e < 10s", "`p95 latency < 10s`"),
        ("p95 tpot > 20 tokens/s", "`p95 tpot < 50ms`"),
        ("p95 tpot < 30 tok/s", "`p95 tpot < 33.33ms`"),
        ("TTFT p95 < 1s", "`p95 ttft < 1s`"),
        ("p95 ttft < 1000", "`p95 ttft < 1000ms` or `p95 ttft < 1000s`"),
        ("p95 ttft < 1s and p95 tpot < 50ms", "`p95 ttft < 1s, p95 tpot < 50ms`"),
        ("p95 ttft < 1s; p95 itl < 50ms", "`p95 ttft < 1s, p95 tpot < 50ms`"),
        # In a hurry.
        ("<300ms", "`99% < 300ms`"),
        ("latency < 300ms", "`99% latency < 300ms`"),
        ("300ms p99", "`p99 < 300ms`"),
        ("200ms > p95", "`p95 < 200ms`"),
        ("p95: 200ms", "`p95 < 200ms`"),
        ("p95=200ms", "`p95 < 200ms`"),
        ("p99 > 300ms", "`p99 < 300ms`"),
        ("p95 latency under 200ms", "`p95 latency < 200ms`"),
        ("99% of requests in 300ms", "`99% < 300ms`"),
        ("95th percentile < 200ms", "`p95 < 200ms`"),
        ("p999 < 2s", "`p99.9 < 2s`"),
        ('"p99 < 300ms"', "`p99 < 300ms`"),
        ("p95 < 200ms,", "`p95 < 200ms`"),
        ("p95 < 200ms  # as agreed", "`p95 < 200ms`"),
        # Decimal commas: as two objectives the second half asked whether 0ms was meant.
        ("p99,9 < 0,3s", "`p99.9 < 0.3s`"),
        # Units in full, small and large.
        ("p99 < 300 milliseconds", "`p99 < 300ms`"),
        ("p99 < 2 sec", "`p99 < 2s`"),
        ("p99 < 2min", "`p99 < 2m`"),
        ("99% < 1h", "`99% < 60m`"),
        ("p99 < 150000ns", "`p99 < 150us`"),
        # What another keyboard, or a word processor, makes of it.
        ("p99\uff1c300ms", "`p99<300ms`"),
        ("p99 \u2264 300ms", "`p99 <= 300ms`"),
        # Two of them, and windows.
        ("p95 < 200ms p99 < 500ms", "`p95 < 200ms, p99 < 500ms`"),
        ("p95 < 200ms\np99 < 500ms", "`p95 < 200ms, p99 < 500ms`"),
        ("p95 < 200ms / p99 < 500ms", "`p95 < 200ms, p99 < 500ms`"),
        ("99% < 300ms over 30 days", "`99% < 300ms over 30d`"),
        ("p95 < 200ms for 99.5 over 7d", "`p95 < 200ms for 99.5% over 7d`"),
    ],
)
def test_other_tools_words_are_understood_and_not_taken(text: str, meant: str) -> None:
    """What was meant is offered; a guess is not followed."""
    told = parse_slo(text, "test")
    assert isinstance(told, tuple)
    assert [problem.allowed for problem in told] == [f"did you mean {meant}?"]


@pytest.mark.parametrize(
    "text", ["avg < 200ms", "utilization < 70%", "p99 queue < 50ms", "99.9%", ""]
)
def test_what_is_no_objective_in_any_words_is_told_what_is_allowed(text: str) -> None:
    told = parse_slo(text, "test")
    assert isinstance(told, tuple)
    assert told[0].allowed.startswith("write for example `p95 < 200ms`")


@pytest.mark.parametrize(
    "text", ["p95 < 100us", "p95 < 100\u00b5s", "p95 < 100\u03bcs", "p95\u00a0<\u00a00.1ms"]
)
def test_the_shortest_time_in_each_spelling(text: str) -> None:
    found = parse_slo(text, "test")
    assert isinstance(found, Slo)
    assert found.objectives[0].threshold_s == 0.0001


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("startup_time", "1h", 3600.0),
        ("startup_time", "4M", 240.0),
        ("engine", "Triton ", "triton"),
    ],
)
def test_spelling_that_can_mean_one_thing_only_is_taken(key: str, text: str, value: object) -> None:
    spec = parse(slo="99% < 300ms", **{key: text})
    assert isinstance(spec, WorkloadSpec)
    assert (spec.startup_time_s if key == "startup_time" else spec.engine) == value


def test_one_annotation_is_enough() -> None:
    spec = parse(slo="99% < 300ms")
    assert isinstance(spec, WorkloadSpec)
    assert (spec.mode, spec.pause, spec.min_replicas, spec.max_replicas) == (
        Mode.AUTO,
        Pause.NONE,
        1,
        None,
    )
    assert (spec.engine, spec.api_version, spec.gpus_per_replica) == ("triton", "apps/v1", 2.0)


def test_a_team_may_take_the_policys_slo_and_its_own_goes_first() -> None:
    ours = Defaults(slo="p95 < 200ms")
    for given in ("default", " Default "):
        spec = parse(ours, slo=given)
        assert isinstance(spec, WorkloadSpec)
        assert (spec.slo.text, spec.slo_from) == ("p95 < 200ms", "policy")
    spec = parse(ours, slo="99% < 1s")
    assert isinstance(spec, WorkloadSpec)
    assert (spec.slo.text, spec.slo_from) == ("99% < 1s", "annotation")


def test_a_default_opts_nobody_in_who_did_not_ask_for_it() -> None:
    (told,) = parse(Defaults(slo="p95 < 200ms"), mode="recommend")  # type: ignore[misc]
    assert "forescale.io/slo: is missing" in told
    assert "write `default` for the policy's `p95 < 200ms`, or write for example" in told
    (told,) = parse(slo="default")  # type: ignore[misc]
    assert "'default', the policy has none for this namespace (`namespaces.team.slo`)" in told


@pytest.mark.parametrize(
    ("own", "most", "mode"),
    [
        ("auto", Mode.AUTO, Mode.AUTO),
        ("auto", Mode.RECOMMEND, Mode.RECOMMEND),
        (None, Mode.RECOMMEND, Mode.RECOMMEND),
        ("off", Mode.RECOMMEND, Mode.OFF),
        ("recommend", Mode.OFF, Mode.OFF),
    ],
)
def test_no_annotation_goes_further_than_the_policy_lets_it(
    own: str | None, most: Mode, mode: Mode
) -> None:
    spec = parse(Defaults(max_mode=most), slo="99% < 1s", **({"mode": own} if own else {}))
    assert isinstance(spec, WorkloadSpec)
    assert spec.mode is mode


def test_everything_at_once() -> None:
    spec = parse(
        Defaults(max_priority=5),
        slo="99% < 300ms",
        mode="Recommend",
        min_replicas="2",
        max_replicas="9",
        model="bert-large",
        priority="7",
        startup_time="4m",
        pause="down",
        schedule="4 @ 0 8 * * mon-fri for 10h in Europe/Berlin; 2 @ */30 * * * * for 5m",
    )
    assert isinstance(spec, WorkloadSpec)
    assert (spec.mode, spec.pause, spec.min_replicas, spec.max_replicas) == (
        Mode.RECOMMEND,
        Pause.DOWN,
        2,
        9,
    )
    # Policy caps the priority.
    assert (spec.model, spec.priority, spec.startup_time_s) == ("bert-large", 5, 240.0)
    first, second = spec.schedule
    assert (first.cron, first.duration_s, first.min_replicas, first.timezone) == (
        "0 8 * * mon-fri",
        36000.0,
        4,
        "Europe/Berlin",
    )
    assert (second.cron, second.duration_s, second.timezone) == ("*/30 * * * *", 300.0, "UTC")


@pytest.mark.parametrize(
    ("annotations", "told"),
    [
        ({"mode": "on"}, "mode: 'on', one of auto, recommend, off is allowed"),
        ({"pause": "yes"}, "pause: 'yes', one of none, up, down, all is allowed"),
        (
            {"slice_shapes": "1g.10gb"},
            "slice-shapes: '1g.10gb', two or more MIG profiles are allowed, each once",
        ),
        ({"slice_shapes": "1g.10gb, 1g.10gb"}, "two or more MIG profiles are allowed, each once"),
        ({"slice_shapes": "gpu, 1g.10gb"}, "slice-shapes: 'gpu, 1g.10gb', two or more MIG"),
        ({"model": ""}, "model: '', a name is allowed, or leave it out"),
        ({"variant_group": " "}, "variant-group: ' ', a name is allowed, or leave it out"),
        (
            {"slice_shapes": "1g.10gb, 2g.20gb", "variant_group": "bert"},
            "slice-shapes: beside variant-group, one of them is allowed: leave the other out",
        ),
        (
            {"slice_shapes": "1g.10gb, 2g.20gb", "survive": "node"},
            "slice-shapes: beside survive, one of them is allowed: leave the other out",
        ),
        ({"survive": "rack"}, "survive: 'rack', one of none, node, zone is allowed"),
        ({"min_replicas": "0"}, "min-replicas: 0, 1 or more is allowed: at 0 nothing shows demand"),
        (
            {"min_replicas": "two"},
            "min-replicas: 'two', a whole number of at most nine digits is allowed",
        ),
        (
            {"min_replicas": "5", "max_replicas": "3"},
            "max-replicas: 3, at least min-replicas (5) is needed",
        ),
        ({"engine": "tgi"}, "engine: 'tgi', one of triton is allowed"),
        ({"startup_time": "soon"}, "startup-time: 'soon', a time up to two hours is allowed"),
        ({"startup_time": "3h"}, "startup-time: '3h', a time up to two hours is allowed"),
        (
            {"schedule": "4 @ 0 8 * * * for 0h"},
            "schedule: '4 @ 0 8 * * * for 0h' is over at once, a time above 0 is allowed",
        ),
        ({"schedule": "4 at night"}, "schedule: '4 at night', `REPLICAS @ CRON for TIME in ZONE`"),
        (
            {"max_replica": "3"},
            "max-replica: is no annotation of forescale, did you mean forescale.io/max-replicas?",
        ),
        (
            {"MaxReplicas": "3"},
            "MaxReplicas: is no annotation of forescale, did you mean forescale.io/max-replicas?",
        ),
        ({"colour": "blue"}, "colour: is no annotation of forescale, known are slo,"),
    ],
)
def test_problems_name_key_value_and_what_is_allowed(
    annotations: dict[str, str], told: str
) -> None:
    problems = parse(slo="99% < 300ms", **annotations)
    assert isinstance(problems, list)
    assert len(problems) == 1
    assert problems[0].startswith(f"team/bert {PREFIX}")
    assert told in problems[0]


def test_all_problems_are_told_at_once() -> None:
    problems = parse(slo="fast", mode="on", min_replicas="x", wrong="1")
    assert isinstance(problems, list)
    assert len(problems) == 4


TGI = {"engine": "tgi", "engine_from": "image tgi:3"}
NO_METRICS = {"engine": "sglang", "engine_from": "command", "silent": "no --enable-metrics"}


@pytest.mark.parametrize(
    ("shape", "engines", "own", "engine", "silent"),
    [
        # Another engine's metrics may be scraped of them after all, so that it is not refused.
        (TGI, ("triton",), {}, "triton", "its pods run tgi (image tgi:3), which no built-in"),
        (TGI, ("tgi", "triton"), {}, "tgi", None),
        (TGI, ("mine", "triton"), {"engine": "mine"}, "mine", None),
        (NO_METRICS, ("sglang", "triton"), {}, "sglang", "no --enable-metrics"),
        ({}, ("triton",), {}, "triton", None),
    ],
)
def test_why_pods_may_tell_nothing(
    shape: dict[str, Any],
    engines: tuple[str, ...],
    own: dict[str, str],
    engine: str,
    silent: str | None,
) -> None:
    annotations = {PREFIX + key: value for key, value in {"slo": "p95 < 1s", **own}.items()}
    parsed = parse_workload(
        BERT,
        annotations,
        defaults=Defaults(engines=engines),
        shape=Shape(api_version="apps/v1", gpus_per_replica=1.0, **shape),
    )
    assert isinstance(parsed, WorkloadSpec)
    assert parsed.engine == engine
    assert (parsed.silent or "").startswith(silent or "")
    assert (parsed.silent is None) == (silent is None)


def test_other_peoples_annotations_are_none_of_ours() -> None:
    parsed = parse_workload(
        BERT,
        {PREFIX + "slo": "99% < 1s", "other.io/forescale": "x"},
        defaults=Defaults(),
        shape=SHAPE,
    )
    assert isinstance(parsed, WorkloadSpec)


def test_a_member_of_a_group_may_sleep() -> None:
    parsed = parse(slo="p95 < 1s", min_replicas="0", variant_group="bert")
    assert isinstance(parsed, WorkloadSpec)
    assert (parsed.min_replicas, parsed.may_sleep, parsed.variant_group) == (1, True, "bert")


def test_blanks_around_a_name_are_none_of_it() -> None:
    parsed = parse(slo="p95 < 1s", model=" bert ", variant_group="llm\n")
    assert isinstance(parsed, WorkloadSpec)
    assert (parsed.model, parsed.variant_group) == ("bert", "llm")


def test_slices_that_the_own_template_may_ask_for() -> None:
    spec = parse(slo="99% < 300ms", slice_shapes="1g.10gb,2g.20gb , 1g.10gb+me", survive="none")
    assert isinstance(spec, WorkloadSpec)
    assert spec.slice_shapes == ("1g.10gb", "2g.20gb", "1g.10gb+me")


@pytest.mark.parametrize("kind", ["InferenceService", "StatefulSet"])
def test_only_a_deployment_of_ones_own_may_change_its_template(kind: str) -> None:
    own = {PREFIX + "slo": "99% < 300ms", PREFIX + "slice-shapes": "1g.10gb, 2g.20gb"}
    workload = WorkloadId(namespace="team", name="bert", kind=kind)
    (problem,) = parse_workload(workload, own, defaults=Defaults(), shape=SHAPE)  # type: ignore[misc]
    assert f"slice-shapes: on {kind}, a Deployment of one's own is allowed" in str(problem)


def test_a_workload_without_objective_is_told_what_opts_in() -> None:
    """Not that '' is no objective: nothing was given."""
    (problem,) = parse(mode="recommend")  # type: ignore[misc]
    assert problem.startswith(
        "team/bert forescale.io/slo: is missing, it opts the workload in: write"
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("slo", ", ".join(f"p95 < {n}ms" for n in range(1, 400))),
        ("schedule", "1 @ 0 8 * * * for 1h; " * 200),
        ("model", "m" * 4001),
    ],
)
def test_what_would_be_read_for_long_in_each_tick_is_not_read_at_all(key: str, value: str) -> None:
    """It is a team's own text, and all teams' workloads are decided in one tick."""
    told = parse(**{"slo": "99% < 1s", key: value})
    given = f"has {len(value)} characters, at most 4000 are allowed"
    assert told == [f"team/bert forescale.io/{key}: {given}"]
    assert isinstance(parse(slo="99% < 1s", model="m" * 4000), WorkloadSpec)


def test_of_many_annotations_that_are_none_ten_are_named() -> None:
    told = parse(slo="99% < 1s", **{f"k{n:04}": "v" for n in range(6000)})
    assert isinstance(told, list)
    assert len(told) == 11
    assert (
        told[-1] == "team/bert forescale.io/k0010: is none either, nor are 5989 more, remove them"
    )


def test_a_name_gives_no_command_to_a_terminal() -> None:
    told = parse(slo="99% < 1s", model="\x1b]0;mine\x07")
    assert told == [
        "team/bert forescale.io/model: '\\x1b]0;mine\\x07', a name of characters that can be seen is allowed"
    ]
