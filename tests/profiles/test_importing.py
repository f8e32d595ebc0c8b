"""Every format to one profile, and every problem with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from autoscaler.config.profile_file import Profile, profile_text, read_profile
from autoscaler.errors import ConfigError
from autoscaler.profiles.importing import Told, import_profile
from autoscaler.profiles.measured import Server
from autoscaler.profiles.perf_analyzer import implied_batch
from tests.profiles.samples import (
    MODEL_ANALYZER,
    MODEL_ANALYZER_COMPUTE,
    PERF_ANALYZER,
    genai_perf,
)


def imported(folder: Path, *texts: str, told: Told | None = None) -> Profile:
    paths = [folder / f"file{index}" for index, _ in enumerate(texts)]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    return import_profile(paths, told or Told())


def problems(folder: Path, *texts: str, told: Told | None = None) -> list[str]:
    """What is said, without the folder's name."""
    with pytest.raises(ConfigError) as caught:
        imported(folder, *texts, told=told)
    return [str(problem).replace(f"{folder}/", "") for problem in caught.value.problems]


def batches(profile: Profile) -> dict[int, float]:
    """Milliseconds by batch size, of the only model."""
    (model,) = profile.models
    return {item.batch_size: round(item.mean_s * 1000.0, 2) for item in model.batches}


# ---------------------------------------------------------------- what is read


def test_perf_analyzer_tells_batch_sizes_by_littles_law(tmp_path: Path) -> None:
    profile = imported(tmp_path, PERF_ANALYZER, told=Told(model="bert"))
    # 71.5 x 27.3 ms = 1.95 at once; 210.4 x 37.1 ms = 7.8; 213 x 37.5 ms = 7.98.
    assert batches(profile) == {1: 25.24, 2: 27.3, 8: 37.28}
    assert profile.sources == ("perf_analyzer: file0",)
    assert (profile.models[0].max_batch_size, profile.models[0].instances) == (None, 1)


@pytest.mark.parametrize(
    ("rate", "compute_s", "client", "instances", "expected"),
    [
        pytest.param(38.9, 0.0252, 1, 1, 1, id="mostly idle"),
        pytest.param(400.0, 0.019, 1, 1, 7, id="7.6 at once: at least seven"),
        pytest.param(210.0, 0.0377, 1, 1, 8, id="7.92: eight, with an idle moment in between"),
        pytest.param(400.0, 0.019, 1, 2, 3, id="two instances share them"),
        pytest.param(100.0, 0.04, 8, 1, 8, id="the client batches eight"),
    ],
)
def test_implied_batch(
    rate: float, compute_s: float, client: int, instances: int, expected: int
) -> None:
    assert implied_batch(rate, compute_s, client_batch=client, instances=instances) == expected


def test_model_analyzer_without_compute_times_tells_what_ran_alone(tmp_path: Path) -> None:
    profile = imported(tmp_path, MODEL_ANALYZER, told=Told(config="resnet_config_3"))
    assert batches(profile) == {1: 6.25, 4: 10.0}
    assert (profile.models[0].max_batch_size, profile.models[0].instances) == (8, 2)


def test_model_analyzer_with_compute_times_is_read_as_perf_analyzer(tmp_path: Path) -> None:
    # 1600 x 10 ms over two instances are 8 at once on each.
    assert batches(imported(tmp_path, MODEL_ANALYZER_COMPUTE)) == {1: 6.0, 8: 10.0}


def test_genai_perf_tells_steps_by_sequences(tmp_path: Path) -> None:
    profile = imported(tmp_path, genai_perf(25.0, 640.0), genai_perf(20.0, 50.0))
    assert batches(profile) == {1: 20.0, 16: 25.0}
    assert profile.models[0].model == "llama"


def test_a_plain_table_may_tell_everything(tmp_path: Path) -> None:
    text = (
        "batch_size,service_ms,model,executions,instances,max_batch_size,max_queue_delay_ms,variability,memory_mib\n"
        "1,50,m,100,2,4,5,1.5,6000\n1,60,m,300,2,4,5,1.5,6000\n\n2,70,m,1,2,4,5,1.5,6000\n"
    )
    profile = imported(tmp_path, text)
    assert batches(profile) == {1: 57.5, 2: 70.0}
    (model,) = profile.models
    assert (model.instances, model.max_batch_size, model.variability) == (2, 4, 1.5)
    assert (model.max_queue_delay_s, model.memory_mib) == (0.005, 6000)


def test_what_is_given_beats_what_the_file_says(tmp_path: Path) -> None:
    told = Told(config="resnet_config_3", server=Server(instances=3, max_batch_size=16))
    (model,) = imported(tmp_path, MODEL_ANALYZER, told=told).models
    assert (model.instances, model.max_batch_size) == (3, 16)


def test_files_of_several_models_become_one_profile(tmp_path: Path) -> None:
    text = "batch_size,service_s,model\n1,0.01,a\n1,0.02,b\n"
    profile = imported(tmp_path, text, genai_perf())
    assert [model.model for model in profile.models] == ["a", "b", "llama"]


def test_a_profile_is_read_as_it_was_written(tmp_path: Path) -> None:
    profile = imported(tmp_path, MODEL_ANALYZER_COMPUTE)
    path = tmp_path / "p.json"
    path.write_text(profile_text(profile))
    assert read_profile(path) == profile


# ---------------------------------------------------------------- what is wrong

HEADER = PERF_ANALYZER.splitlines()[0]


@pytest.mark.parametrize(
    ("text", "told", "expected"),
    [
        pytest.param(
            PERF_ANALYZER, Told(), ["file0: perf_analyzer's CSV names no model, give --model NAME"],
            id="no model",
        ),
        pytest.param(
            f"{HEADER}\n1,x,0,0,0,1,2,3,0,1,1,1,1\n2,9,0,0,0,-1,2,3,0,1,1,1,1\n3,9\n4,9,0,0,0,0,0,0,0,1,1,1,1\n",
            Told(model="m"),
            [
                "file0:2: Inferences/Second 'x', must be a finite number",
                "file0:3: Server Compute Input -1, must be 0 or more",
                "file0:4: 2 columns, 13 as the header has",
                "file0:5: Server Compute Input + Server Compute Infer + Server Compute Output is 0, "
                "a batch takes some time",
            ],
            id="each line",
        ),
        pytest.param(
            "Concurrency,Inferences/Second,Server Compute Infer\n1,9,100\n", Told(model="m"),
            [
                "file0:1: no column 'Server Compute Input', must be there",
                "file0:1: no column 'Server Compute Output', must be there",
            ],
            id="missing columns",
        ),
        pytest.param(
            PERF_ANALYZER, Told(model="m", server=Server(max_batch_size=4)),
            [
                "file0:4: a batch of 8 on a server that takes 4 at most, "
                "must fit: give --max-batch-size, or --instances where several ran at once"
            ],
            id="more than fits",
        ),
        pytest.param(
            MODEL_ANALYZER, Told(),
            [
                "file0:5: resnet has 2 configurations, "
                "name one with --config: resnet_config_3, resnet_config_default"
            ],
            id="several configurations",
        ),
        pytest.param(
            MODEL_ANALYZER, Told(config="resnet_config_9"),
            ["file0: no configuration 'resnet_config_9', one of resnet_config_3, resnet_config_default"],
            id="unknown configuration",
        ),
        pytest.param(
            "\n".join(MODEL_ANALYZER.splitlines()[i] for i in (0, 2)), Told(),
            [
                "file0:1: no compute times, and no line at concurrency 1, add perf_server_compute_input, "
                "perf_server_compute_infer and perf_server_compute_output to inference_output_fields: "
                "throughput alone does not tell the time of a batch"
            ],
            id="throughput alone",
        ),
        pytest.param(
            MODEL_ANALYZER, Told(model="bert"),
            ["profile import: no line on model 'bert', check --model and --config"],
            id="another model",
        ),
        pytest.param(
            genai_perf(inter_token_latency=None), Told(),
            ["file0: no inter_token_latency, must be there: run GenAI-Perf with --streaming"],
            id="no streaming",
        ),
        pytest.param(
            genai_perf(inter_token_latency={"unit": "fortnights", "avg": 1}, input_config={}), Told(),
            [
                "file0:16: inter_token_latency in 'fortnights', one of ms, milliseconds, s, sec, us, ns",
                "file0: its input_config names no model, give --model NAME",
            ],
            id="a unit that is not known",
        ),
        pytest.param(
            genai_perf(output_token_throughput={"unit": "tokens/sec", "avg": "many"}), Told(),
            ["file0:21: output_token_throughput has no avg, must be a number above 0"],
            id="no number",
        ),
        pytest.param('{"a": 1,\n b}', Told(), [
            "file0:2: Expecting property name enclosed in double quotes, must be JSON"], id="no JSON"),
        pytest.param(
            "batch_size,service_ms,modell\n0,52,m\n2.5,64,m\n2,-1,m\n3,nan,m\n", Told(model="m"),
            [
                "file0:1: column 'modell', did you mean model?",
                "file0:2: batch_size 0, must be whole, 1 to 65536",
                "file0:3: batch_size 2.5, must be whole, 1 to 65536",
                "file0:4: service_ms -1, must be 0 or more",
                "file0:5: service_ms 'nan', must be a finite number",
            ],
            id="a careless table",
        ),
        pytest.param(
            "batch_size,service_ms,model,instances\n1,5,m,1\n2,7,m,2\n", Told(),
            ["m: instances 1 (file0:2), 2 (file0:3), must be the same on all lines of a model"],
            id="lines that contradict each other",
        ),
        pytest.param(
            "batch_size,model\n1,m\n", Told(),
            ["file0:1: neither service_s nor service_ms, exactly one of the two must be there"],
            id="no time",
        ),
        pytest.param(
            "batch_size,service_ms\n", Told(model="m"),
            ["file0:1: no line follows the header, at least one"], id="no line",
        ),
        pytest.param(
            "batch_size,service_ms\n1,5\n", Told(model="m", client_batch=4),
            ["--batch-size: 4, of perf_analyzer, of which no file is: leave it out"], id="another's -b",
        ),
        pytest.param(
            "batch_size,service_ms\n1,5\n", Told(model="m", config="c"),
            ["--config: c, of Model Analyzer, of which no file is: leave it out"], id="another's config",
        ),
        pytest.param(
            "batch_size,service_ms,variability\n1,5,99\n", Told(model="m"),
            ["profile import: models.0.variability: 99, between 0.1 and 16"], id="beyond bounds",
        ),
    ],
)  # fmt: skip
def test_every_problem_is_told_with_its_line(
    tmp_path: Path, text: str, told: Told, expected: list[str]
) -> None:
    assert problems(tmp_path, text, told=told) == expected


def test_problems_of_all_files_come_at_once(tmp_path: Path) -> None:
    said = problems(tmp_path, "", "a,b\n1,2\n")
    assert said[0].startswith("file0: is empty, must be perf_analyzer's CSV")
    assert said[1].startswith("file1:1: columns 'a,b', must be perf_analyzer's CSV")
    assert len(said) == 2


def test_a_file_that_is_wrong_throughout_tells_a_hundred_problems(tmp_path: Path) -> None:
    said = problems(tmp_path, "batch_size,service_ms\n" + "x,1\n" * 300, told=Told(model="m"))
    assert len(said) == 101
    assert said[-1] == ": 200 more problems, mend these"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param(
            "batch_size,service_ms\n1," + "5" * 140_000 + "\n",
            ["file0:2: field larger than field limit (131072), must be CSV"],
            id="a field of megabytes",
        ),
        pytest.param(
            'batch_size,service_ms\n1,"50\n2,60\n',
            ["file0:3: unexpected end of data, must be CSV"],
            id="an open quotation mark",
        ),
        pytest.param(
            "batch_size,service_ms\n1,1e9\n",
            [
                "profile import: models.0.batches.0.mean_s: 1e+06, 1e-06 to 3600 seconds: is it in another unit?"
            ],
            id="another unit",
        ),
        pytest.param("[" * 100_000, ["file0: is nested too deeply, must be JSON"], id="nested"),
    ],
)
def test_what_no_measurement_is_is_told(tmp_path: Path, text: str, told: list[str]) -> None:
    found = problems(tmp_path, text, told=Told(model="bert"))
    assert found[: len(told)] == told


def test_a_throughput_of_another_unit_is_no_batch(tmp_path: Path) -> None:
    text = PERF_ANALYZER.replace("38.9", "38900000")
    assert problems(tmp_path, text, told=Told(model="bert")) == [
        "profile import: models.0.batches: a batch of 1.03e+06, at most 65536"
    ]


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", None])
def test_what_can_not_be_read_is_told(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "file0"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match="name a readable file"):
        import_profile([path], Told())


def test_the_byte_order_mark_of_a_spreadsheet_is_no_column(tmp_path: Path) -> None:
    path = tmp_path / "file0"
    path.write_bytes("\ufeffbatch_size,service_ms\r\n1,52\r\n".encode())
    assert batches(import_profile([path], Told(model="m"))) == {1: 52.0}
