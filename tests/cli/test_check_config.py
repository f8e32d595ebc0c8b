"""`forescale check-config`: everything that is wrong with a policy and with manifests, at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autoscaler.cli.manifests import workloads_in
from autoscaler.config import Settings
from tests.cli.command import forescale


def test_a_good_file_and_its_workloads_are_fine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "policy.yaml").write_text("engine: {tick_s: 5}\n")
    (tmp_path / "deploy.yaml").write_text(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: bert\n  namespace: team\n"
        "  annotations: {forescale.io/slo: 'p95 < 200ms'}\n---\nkind: Service\nmetadata: {name: s}\n"
    )
    code, out, _ = forescale(
        capsys, "check-config", f"{tmp_path}/policy.yaml", "--manifests", f"{tmp_path}/deploy.yaml"
    )
    assert code == 0
    assert out.splitlines() == [
        f"{tmp_path}/policy.yaml: fine",
        "team/bert: p95 < 200ms, mode auto: fine",
    ]


def test_a_policys_slo_is_told_as_such_and_a_namespace_without_effect(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "policy.yaml").write_text(
        "namespaces: {team: {slo: 'p95 < 200ms'}, lab: {allow: false}}\n"
    )
    text = "kind: Deployment\nmetadata: {name: bert, namespace: %s, annotations: {forescale.io/slo: default}}\n"
    (tmp_path / "deploy.yaml").write_text(f"{text % 'team'}---\n{text % 'lab'}")
    code, out, err = forescale(
        capsys, "check-config", f"{tmp_path}/policy.yaml", "--manifests", f"{tmp_path}/deploy.yaml"
    )
    assert code == 0
    assert out.splitlines()[1:] == ["team/bert: p95 < 200ms (the policy's), mode auto: fine"]
    assert (
        err
        == f"! {tmp_path}/deploy.yaml: lab/bert: has no effect, the policy has allow: false for lab\n"
    )


def test_all_problems_of_all_files_come_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "policy.yaml").write_text("engine: {tick_z: 5}\n")
    folder = tmp_path / "manifests"
    folder.mkdir()
    (folder / "a.yaml").write_text(
        "kind: Deployment\nmetadata:\n  name: a\n  annotations: {forescale.io/slo: fast, forescale.io/mode: both}\n"
    )
    (folder / "b.yaml").write_text(
        "kind: Deployment\nmetadata: {name: b, annotations: {forescale.io/mode: auto}}\n"
    )
    (folder / "c.yaml").write_text("kind: [\n")
    code, _, err = forescale(
        capsys, "check-config", f"{tmp_path}/policy.yaml", "--manifests", str(folder), "/no/where"
    )
    assert code == 2
    text = err.replace(f"{tmp_path}/", "")
    for said in (
        "policy.yaml: engine.tick_z: is not a setting, did you mean tick_s?",
        "manifests/a.yaml: default/a forescale.io/slo: 'fast' is no objective",
        "manifests/a.yaml: default/a forescale.io/mode: 'both'",
        "manifests/b.yaml: default/b: has forescale.io/mode, forescale.io/slo must be there too",
        "manifests/c.yaml:2: ",
        "/no/where: there is no such file",
    ):
        assert said in text


MISTAKEN = {
    "a prefix misspelt": (
        "{kind: Deployment, metadata: {name: a, annotations: {forecale.io/slo: 99% < 1s}}}",
        "default/a forecale.io/slo: is no annotation of forescale, did you mean forescale.io/slo?",
    ),
    "a prefix cut short": (
        "{kind: Deployment, metadata: {name: a, annotations: {forescale.io/slo: 99% < 1s, forescale/mode: auto}}}",
        "default/a forescale/mode: is no annotation of forescale, did you mean forescale.io/mode?",
    ),
    "somebody else's": (
        "{kind: Deployment, metadata: {name: a, annotations: {argocd.io/mode: auto, prometheus.io/model: b}}}",
        "",
    ),
    "a key twice": (
        "{kind: Deployment, metadata: {name: a, annotations: {forescale.io/slo: p9 < 1s, forescale.io/slo: 95% < 1s}}}",
        "a.yaml:1: the key 'forescale.io/slo' is given twice",
    ),
    "a number": (
        "{kind: Deployment, metadata: {name: a, annotations: {forescale.io/slo: 99% < 1s, "
        "forescale.io/min-replicas: 3}}}",
        "default/a forescale.io/min-replicas: 3 is no text, as Kubernetes wants it, write the value in quotation marks",
    ),
    "YAML's off": (
        "{kind: Deployment, metadata: {name: a, annotations: {forescale.io/slo: 99% < 1s, forescale.io/mode: off}}}",
        "default/a forescale.io/mode: False is no text",
    ),
    "a list": (
        "{kind: Deployment, metadata: {name: a, annotations: [forescale.io/slo]}}",
        "",
    ),
    "metadata that is none": ("{kind: Deployment, metadata: bert}", ""),
    "a template that is none": (
        "{kind: Deployment, metadata: {name: a, annotations: {forescale.io/slo: 99% < 1s}}, "
        "spec: {template: {spec: [bert]}}}",
        "default/a: its pod template can't be read",
    ),
    "a spread that is none": (
        "{kind: Deployment, metadata: {name: a, annotations: {forescale.io/slo: 99% < 1s, "
        "forescale.io/survive: node}}, spec: {template: {spec: {topologySpreadConstraints: bert, "
        "containers: [{resources: {limits: {a/gpu: 1}}}]}}}}",
        "default/a: its pod template can't be read",
    ),
    "a slice that is not named": (
        "{kind: Deployment, metadata: {name: a, annotations: {forescale.io/slo: 99% < 1s, "
        "forescale.io/slice-shapes: '1g.10gb, 2g.20gb'}}, "
        "spec: {template: {spec: {containers: [{resources: {limits: {nvidia.com/gpu: 1}}}]}}}}",
        "default/a forescale.io/slice-shapes: beside a template that asks for gpu, 1g.10gb, 2g.20gb are allowed",
    ),
    "a GPU beside a slice": (
        "{kind: Deployment, metadata: {name: a, annotations: {forescale.io/slo: 99% < 1s}}, spec: {template: {spec: "
        "{containers: [{resources: {limits: {nvidia.com/gpu: 1, nvidia.com/mig-1g.10gb: 1}}}]}}}}",
        "default/a: nvidia.com/gpu: 1, nvidia.com/mig-1g.10gb: 1, one kind of GPU or slice is allowed",
    ),
    "at the pods": (
        "{kind: Deployment, metadata: {name: a}, "
        "spec: {template: {metadata: {annotations: {forescale.io/slo: 99% < 1s}}}}}",
        "default/a: has forescale.io annotations at its pod template, where nobody reads them",
    ),
    "at both, as kustomize's commonAnnotations": (
        "{kind: Deployment, metadata: {name: a, annotations: {forescale.io/slo: 99% < 1s}}, "
        "spec: {template: {metadata: {annotations: {forescale.io/slo: 99% < 1s}}}}}",
        "",
    ),
    "at a Pod": (
        "{kind: Pod, metadata: {name: a, annotations: {forescale.io/slo: 99% < 1s}}}",
        "a Pod has forescale.io annotations, one of Deployment, StatefulSet, InferenceService, LLMInferenceService is "
        "allowed",
    ),
    "a time zone": (
        "{kind: Deployment, metadata: {name: a, annotations: {forescale.io/slo: 99% < 1s, "
        "forescale.io/schedule: 4 @ 0 8 * * 1-5 for 10h in Europe/Berln}}}",
        "default/a forescale.io/schedule: 'Europe/Berln' is no time zone",
    ),
}  # fmt: skip


def service(*annotations: str, spec: str = "{predictor: {}}") -> str:
    own = "".join(f", serving.kserve.io/{text}" for text in annotations)
    return (
        "{kind: InferenceService, "
        f"metadata: {{name: a, annotations: {{forescale.io/slo: 99% < 1s{own}}}}}, spec: {spec}}}"
    )


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        (service("deploymentMode: Standard", "autoscalerClass: external"), 0, ""),
        (service("autoscalerClass: none"), 0, ""),
        (
            service(),
            0,
            "default/inferenceservice/a: only recommended, KServe's own autoscaler (hpa, by default) holds it: "
            "set serving.kserve.io/autoscalerClass: external",
        ),
        (service("deploymentMode: Knative"), 0, "only recommended, Knative's autoscaler"),
        (
            service("autoscalerClass: extern"),
            2,
            "serving.kserve.io/autoscalerClass: 'extern', external or none lets forescale scale it",
        ),
        (service("deploymentMode: Raw"), 2, "serving.kserve.io/deploymentMode: 'Raw', Standard or Knative"),
        (service(spec="{predictor: {workerSpec: {}}}"), 2, "spec.predictor.workerSpec: is set"),
    ],
)  # fmt: skip
def test_an_inference_service_that_will_not_be_scaled_is_told_of(
    text: str, code: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.yaml").write_text(text)
    got, _, err = forescale(capsys, "check-config", "--manifests", f"{tmp_path}/a.yaml")
    assert got == code
    assert said in err
    assert bool(said) == bool(err)


def llm(spec: str, *annotations: str, slo: str = "p95 ttft < 2s", version: str = "v1alpha2") -> str:
    own = "".join(f", {text}" for text in annotations)
    return (
        f"{{apiVersion: serving.kserve.io/{version}, kind: LLMInferenceService, "
        f"metadata: {{name: a, annotations: {{forescale.io/slo: {slo}{own}}}}}, spec: {spec}}}"
    )


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        (llm("{}"), 0, ""),
        (llm("{replicas: 2}"), 0, ""),
        (llm("{replicas: 2}", version="v1alpha1"), 0, ""),
        (
            llm("{scaling: {maxReplicas: 4, keda: {}}}"),
            0,
            "default/llminferenceservice/a: only recommended, KServe's own autoscaler (spec.scaling: keda) holds it: "
            "take spec.scaling out",
        ),
        (
            llm("{}", 'serving.kserve.io/stop: "true"'),
            0,
            "only recommended, KServe (serving.kserve.io/stop: true) holds it: take serving.kserve.io/stop off",
        ),
        (llm("{worker: {}}"), 2, "default/llminferenceservice/a spec.worker: is set, multi-node services"),
        (llm("{prefill: {}}"), 2, "default/llminferenceservice/a spec.prefill: is set, services are scaled whose"),
        (
            llm("{}", version="v1alpha1"),
            0,
            "default/llminferenceservice/a: spec.replicas is needed where KServe is older than 0.17",
        ),
        (
            llm("{replicas: 8}", 'forescale.io/max-replicas: "4"'),
            0,
            "default/llminferenceservice/a: spec.replicas is 8, and no more than max-replicas, 4, will run",
        ),
        (
            llm("{replicas: 1}", 'forescale.io/min-replicas: "2"'),
            0,
            "default/llminferenceservice/a: spec.replicas is 1, and no fewer than min-replicas, 2, will run",
        ),
        (llm("{replicas: many}"), 2, "default/llminferenceservice/a: its spec can't be read, must be as KServe has it"),
        (
            "{kind: LLMInferenceService, metadata: {name: a}, spec: {annotations: {forescale.io/slo: p95 ttft < 2s}}}",
            2,
            "default/llminferenceservice/a: has forescale.io annotations at its pod template, where nobody reads them",
        ),
    ],
)  # fmt: skip
def test_an_llm_inference_service_is_told_of_what_will_come_of_it(
    text: str, code: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.yaml").write_text(text)
    got, _, err = forescale(capsys, "check-config", "--manifests", f"{tmp_path}/a.yaml")
    assert (got, said in err, bool(said)) == (code, True, bool(err)), err


@pytest.mark.parametrize(
    ("containers", "engine"),
    [
        ("[]", "vllm (KServe's own template)"),
        ("[{name: main, image: 'mine:1'}]", "vllm (KServe's own template)"),
        ("[{name: main, image: 'lmsysorg/sglang:v0.5'}]", "sglang (image lmsysorg/sglang:v0.5)"),
        ("[{name: main, command: [serve-it]}]", "triton (assumed)"),
    ],
)
def test_kserves_own_template_runs_vllm(containers: str, engine: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(llm(f"{{template: {{containers: {containers}}}}}"))
    (found,), problems = workloads_in([tmp_path / "a.yaml"], Settings())
    assert (f"{found.engine} ({found.engine_from})", problems) == (engine, [])


@pytest.mark.parametrize("name", MISTAKEN)
def test_a_mistaken_manifest_is_told_of_or_left_to_kubernetes(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, said = MISTAKEN[name]
    (tmp_path / "a.yaml").write_text(text)
    code, _, err = forescale(capsys, "check-config", "--manifests", f"{tmp_path}/a.yaml")
    assert (code, said in err) == (2 if said else 0, True)
    assert "Traceback" not in err


def test_effective_settings_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "policy.yaml").write_text("engine: {tick_s: 5}\n")
    code, out, _ = forescale(capsys, "check-config", f"{tmp_path}/policy.yaml", "--json")
    assert code == 0
    assert json.loads(out)["settings"]["engine"]["tick_s"] == 5.0


@pytest.mark.parametrize(("when", "told"), [("ScheduleAnyway", True), ("DoNotSchedule", False)])
def test_what_spreads_no_pods_can_not_survive_a_loss(
    when: str, told: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spread = (
        f"{{topologyKey: kubernetes.io/hostname, maxSkew: 1, whenUnsatisfiable: {when}, "
        "labelSelector: {matchLabels: {app: a}}}"
    )
    (tmp_path / "a.yaml").write_text(
        "kind: Deployment\n"
        "metadata: {name: a, annotations: {forescale.io/slo: 99% < 1s, forescale.io/survive: node}}\n"
        "spec:\n  template:\n    metadata: {labels: {app: a}}\n    spec:\n"
        f"      topologySpreadConstraints: [{spread}]\n"
        "      containers: [{name: triton, resources: {limits: {nvidia.com/gpu: 1}}}]\n"
    )
    code, _, err = forescale(capsys, "check-config", "--manifests", f"{tmp_path}/a.yaml")
    assert code == 0
    assert ("default/a: survive: node, and nothing spreads its pods" in err) is told


@pytest.mark.parametrize(
    ("container", "said"),
    [
        (
            {"image": "ghcr.io/huggingface/text-generation-inference:3.3.5"},
            "its pods run tgi (image ghcr.io/huggingface/text-generation-inference:3.3.5), which no built-in queries "
            "read: write a set named tgi into the policy's `queries`",
        ),
        (
            {"command": ["python3", "-m", "sglang.launch_server", "--model-path=m"]},
            "SGLang exports no metrics unless its command has --enable-metrics",
        ),
        ({"image": "lmsysorg/sglang:v0.5.3"}, None),
    ],
)
def test_pods_that_will_tell_nothing_are_named_before_they_are_there(
    container: dict[str, object],
    said: str | None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    manifest = {
        "kind": "Deployment",
        "metadata": {"name": "a", "annotations": {"forescale.io/slo": "p95 ttft < 1s"}},
        "spec": {"template": {"spec": {"containers": [{"name": "server", **container}]}}},
    }
    (tmp_path / "a.yaml").write_text(json.dumps(manifest))
    code, _, err = forescale(capsys, "check-config", "--manifests", str(tmp_path))
    assert (code, err) == (0, f"! {tmp_path}/a.yaml: default/a: {said}\n" if said else "")


@pytest.mark.parametrize(
    ("own", "said"),
    [
        (
            {
                "slo": "99% < 1s",
                "max-replicas": "3",
                "schedule": "2 @ 0 7 * * * for 1h; 9 @ 0 8 * * * for 1h",
            },
            "schedule: asks for 9 replicas, and max-replicas allows 3: no more will run",
        ),
        (
            {"slo": "99% < 1s", "schedule": "400 @ 0 8 * * * for 1h"},
            "schedule: asks for 400 replicas, and the policy's max_replicas allows 100: no more will run",
        ),
        ({"slo": "99% < 1s", "schedule": "100 @ 0 8 * * * for 1h"}, None),
        (
            {"slo": "p95 ttft < 1s, 99% < 3s", "engine": "triton"},
            "nothing tells how many requests miss p95 ttft < 1s of triton (annotation): only engines that generate",
        ),
        ({"slo": "p95 ttft < 1s", "engine": "vllm"}, None),
        # Nothing says which engine it is: the metrics will.
        ({"slo": "p95 ttft < 1s"}, None),
    ],
)
def test_what_is_allowed_and_does_not_do_what_it_says_is_noted(
    own: dict[str, str], said: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    annotations = {f"forescale.io/{key}": value for key, value in own.items()}
    manifest = {"kind": "Deployment", "metadata": {"name": "a", "annotations": annotations}}
    (tmp_path / "a.yaml").write_text(json.dumps(manifest))
    code, out, err = forescale(capsys, "check-config", "--manifests", str(tmp_path))
    assert (code, out.endswith(": fine\n")) == (0, True)
    assert err.startswith(f"! {tmp_path}/a.yaml: default/a: {said}") if said else err == ""
