"""The measurement on a GPU, without one: what is refused, read, kept, and learned of what Triton showed."""

from __future__ import annotations

from pathlib import Path

import pytest

from autoscaler.core.types import BatchTime, ModelProfile
from loadtests.validate.gpu.judge import line_off
from loadtests.validate.gpu.learned import learn
from loadtests.validate.gpu.lines import append
from loadtests.validate.gpu.needs import Machine, missing
from loadtests.validate.gpu.record import setting
from loadtests.validate.gpu.recording import LevelRecord, Look, read, since
from loadtests.validate.gpu.repository import NETWORKS, config
from loadtests.validate.gpu.utilisation import parse

WITH_GPU = Machine(
    system="Linux x86_64",
    python="/p",
    torch="2.11",
    site_packages="/s",
    gpu="H100",
    nvidia_smi="/n",
)


def batches(**counts: int) -> tuple[BatchTime, ...]:
    """`b8=5`: five batches of eight, of 8 ms and 1 ms an item."""
    return tuple(
        BatchTime(batch_size=size, count=count, total_s=count * (0.008 + 0.001 * size))
        for name, count in counts.items()
        for size in (int(name[1:]),)
    )


def level(looks: tuple[Look, ...]) -> LevelRecord:
    return LevelRecord(
        setting="s",
        load_ratio=0.6,
        rate_rps=400.0,
        started_s=1000.0,
        sent_s=(0.0, 1.0),
        latencies_s=(0.01, 0.02),
        lateness_p99_s=0.001,
        failed=0,
        looks=looks,
    )


def look(at_s: float, *times: BatchTime) -> Look:
    labels = '{model="m",version="1"}'
    requests = sum(item.batch_size * item.count for item in times)
    return Look(
        at_s=at_s,
        profile=ModelProfile(model="m", max_batch_size=8, batch_times=times),
        metrics=f"nv_inference_request_success{labels} {requests}\n"
        f"nv_inference_count{labels} {requests}\n",
    )


@pytest.mark.parametrize(
    ("machine", "device", "told"),
    [
        (WITH_GPU, "cuda", []),
        (Machine(system="Linux x86_64", python="/p", torch="2.11"), "cpu", []),
        (Machine(system="Linux x86_64", python="/p", torch="2.11"), "cuda", ["nvidia-smi"]),
        (Machine(system="Linux x86_64", python="/p"), "cuda", ["/p -m pip install torch", "GPU"]),
        (Machine(system="Darwin arm64", python="/p", torch="2.11"), "cpu", ["Darwin arm64"]),
        (
            Machine(system="Linux x86_64", python="/p", torch="2.11", nvidia_smi="/n"),
            "cuda",
            ["is_available() is False"],
        ),
    ],
)
def test_what_is_missing_is_said(machine: Machine, device: str, told: list[str]) -> None:
    found = missing(machine, device)
    assert len(found) == len(told)
    assert all(words in line for words, line in zip(told, found, strict=True))


def test_nvidia_smi_is_read_and_what_it_does_not_tell_is_left_out() -> None:
    reading = parse("53, 491.39, 1980\n")
    assert reading is not None
    assert (reading.busy_ratio, reading.power_w, reading.clock_mhz) == (0.53, 491.39, 1980.0)
    assert parse("[N/A], 491.39, 1980\n") is None


def test_a_line_that_was_cut_short_is_left_out(tmp_path: Path) -> None:
    path, whole = tmp_path / "recording.jsonl", level((look(1000.0),))
    append(path, whole)
    with path.open("ab") as file:
        file.write(b'{"type":"Lev')
    assert list(read(path)) == [whole]


def test_what_is_no_recording_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "other.jsonl"
    path.write_text("{}\n")
    with pytest.raises(ValueError, match=r"other\.jsonl:1: .*is it a recording"):
        list(read(path))


def test_only_what_was_executed_in_between_counts() -> None:
    assert since(batches(b1=7, b8=5), batches(b1=7)) == batches(b8=5)


def test_an_h100_is_no_straight_line() -> None:
    affine = batches(b1=10, b2=10, b4=10, b8=10)
    assert line_off(affine) == pytest.approx(0.0, abs=1e-9)
    # Milliseconds of an encoder's batches on an H100: flat while the processor launches, then by the item.
    measured_ms = {1: 8.1, 2: 7.7, 4: 8.3, 8: 9.5, 16: 15.7, 32: 25.8}
    h100 = [BatchTime(batch_size=b, count=1, total_s=ms / 1e3) for b, ms in measured_ms.items()]
    assert line_off(h100) > 0.1


def test_forescale_learns_of_the_level_and_of_nothing_before_it() -> None:
    # A thousand slow batches before: they are no traffic of the level.
    before = BatchTime(batch_size=8, count=1000, total_s=100.0)
    after = BatchTime(batch_size=8, count=1100, total_s=100.0 + 100 * 0.016)
    learned = learn(level((look(1000.0, before), look(1020.0, after))), slo="95% < 1s")
    assert learned is not None
    assert learned.largest_seen == 8
    assert learned.full_rps == pytest.approx(8 / 0.016)
    assert learn(level((look(1000.0, before), look(1020.0, before))), slo="95% < 1s") is None


def test_the_network_is_a_parameter_of_tritons_configuration() -> None:
    text = config(setting("s", max_batch_size=8, instances=2), NETWORKS["cuda"])
    assert "instance_group [{ count: 2 kind: KIND_GPU }]" in text
    assert r"\"width\": 1024" in text
