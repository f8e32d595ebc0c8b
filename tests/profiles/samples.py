"""Files as the tools write them: their columns and keys, our own numbers."""

from __future__ import annotations

import json

# One instance, batches up to 8: 25 ms for one, 37 ms for eight.
PERF_ANALYZER = """\
Concurrency,Inferences/Second,Client Send,Network+Server Send/Recv,Server Queue,Server Compute Input,\
Server Compute Infer,Server Compute Output,Client Recv,p50 latency,p90 latency,p95 latency,p99 latency
1,38.9,61,420,33,120,25080,40,9,25650,25900,26020,26600
2,71.5,63,455,190,150,27100,46,9,27900,28600,28900,29800
8,210.4,70,520,480,310,36700,90,11,37900,39400,40100,42000
16,213.0,71,610,37100,320,37050,92,11,75000,76400,77100,79000
"""

# Two instances without dynamic batching; the default fields do not tell compute times.
MODEL_ANALYZER = """\
Model,Batch,Concurrency,Model Config Path,Instance Group,Max Batch Size,Satisfies Constraints,\
Throughput (infer/sec),p99 Latency (ms)
resnet,1,1,resnet_config_3,2:GPU,8,Yes,160.0,8.1
resnet,1,16,resnet_config_3,2:GPU,8,Yes,900.0,19.0
resnet,4,1,resnet_config_3,2:GPU,8,Yes,400.0,11.2
resnet,1,1,resnet_config_default,1:GPU,128,Yes,150.0,9.0
"""

MODEL_ANALYZER_COMPUTE = """\
Model,Batch,Concurrency,Model Config Path,Instance Group,Max Batch Size,Throughput (infer/sec),\
p99 Latency (ms),Server Queue time (ms),Server Compute Input time (ms),Server Compute Infer time (ms),\
Server Compute Output time (ms)
resnet,1,1,resnet_config_3,2:GPU,8,160.0,8.1,0.1,0.2,5.7,0.1
resnet,1,32,resnet_config_3,2/GPU,8,1600.0,22.0,9.0,0.4,9.4,0.2
"""


def genai_perf(step_ms: float = 25.0, tokens_rps: float = 640.0, **changes: object) -> str:
    """One run; `changes` replace whole metrics, None leaves one out."""
    document: dict[str, object] = {
        "request_throughput": {"unit": "requests/sec", "avg": tokens_rps / 200.0},
        "request_latency": {"unit": "ms", "avg": 5100.0, "p99": 5900.0},
        "time_to_first_token": {"unit": "ms", "avg": 90.0, "p99": 210.0},
        "inter_token_latency": {"unit": "ms", "avg": step_ms, "p99": step_ms * 1.4},
        "output_token_throughput": {"unit": "tokens/sec", "avg": tokens_rps},
        "output_sequence_length": {"unit": "tokens", "avg": 200.0},
        "input_config": {"model": ["llama"], "concurrency": 16, "streaming": True},
    }
    document.update(changes)
    return json.dumps({k: v for k, v in document.items() if v is not None}, indent=2)
