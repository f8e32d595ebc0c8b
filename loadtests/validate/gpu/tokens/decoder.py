"""A decoder with random weights: what it writes is nothing, how long its steps take is what is measured.

The only module that uses PyTorch, which is no dependency of the project.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import torch
from torch import Tensor
from torch.nn import functional

from loadtests.validate.gpu.tokens.recording import Shape
from loadtests.validate.gpu.tokens.stepping import Row

# Of bfloat16, whose numbers have eight bits.
NEAR = 0.02


@dataclass(frozen=True, slots=True)
class _Layer:
    norm_in: Tensor
    qkv: Tensor
    out: Tensor
    norm_mlp: Tensor
    gate_up: Tensor
    down: Tensor
    keys: Tensor
    """The cache: slots x tokens of a slot, heads, width of a head."""
    values: Tensor


@dataclass(frozen=True, slots=True)
class _Places:
    """Where a step's tokens and sequences lie; on the device."""

    write: Tensor
    """In the cache, of each new token."""
    queries: Tensor
    """Where each sequence's new tokens begin, and where the last ends."""
    keys: Tensor
    """Where each sequence's slot begins."""
    lengths: Tensor
    """Of each sequence with its new tokens."""
    most_new: int
    most_held: int


@dataclass(frozen=True, slots=True)
class _Recorded:
    """A step that gives so many sequences a token, as one launch."""

    graph: torch.cuda.CUDAGraph
    places: _Places
    """Where it looks for what to do; filled before it is launched."""
    told: Tensor


class Decoder:
    """Takes steps for as many sequences as its cache has slots, each of at most `slot_tokens`."""

    def __init__(self, shape: Shape, *, slots: int, slot_tokens: int, device: str) -> None:
        self.shape, self.slots, self.slot_tokens = shape, slots, slot_tokens
        self._device = device
        self._recorded: dict[int, _Recorded] = {}
        self._dtype = torch.bfloat16 if device == "cuda" else torch.float32
        torch.manual_seed(1)
        self._embedding = self._random(shape.vocabulary, shape.width)
        self._head = self._random(shape.vocabulary, shape.width)
        self._norm = self._random(shape.width)
        self._layers = [self._layer() for _ in range(shape.layers)]

    def _random(self, *size: int) -> Tensor:
        return torch.empty(size, device=self._device, dtype=self._dtype).normal_(std=0.02)

    def _layer(self) -> _Layer:
        shape = self.shape
        cache = (self.slots * self.slot_tokens, shape.key_heads, shape.head_width)
        return _Layer(
            norm_in=self._random(shape.width),
            qkv=self._random((shape.heads + 2 * shape.key_heads) * shape.head_width, shape.width),
            out=self._random(shape.width, shape.heads * shape.head_width),
            norm_mlp=self._random(shape.width),
            gate_up=self._random(2 * shape.inner_width, shape.width),
            down=self._random(shape.width, shape.inner_width),
            keys=self._random(*cache),
            values=self._random(*cache),
        )

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def arrange(self, *, slots: int, slot_tokens: int) -> None:
        """Divides the cache anew, and on a GPU records the steps without prompts: launched kernel by kernel, an idle
        GPU would wait for the processor.
        """
        self.slots, self.slot_tokens = slots, slot_tokens
        self._recorded = {}
        if self._device == "cuda":
            pool = torch.cuda.graph_pool_handle()
            self._recorded = {n: self._record(n, pool) for n in range(slots, 0, -1)}

    def _record(self, count: int, pool: object) -> _Recorded:
        places = replace(
            self._places([Row(slot, 0, 1) for slot in range(count)]), most_held=self.slot_tokens
        )
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            self._forward(places)
        torch.cuda.current_stream().wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=pool):
            told = self._forward(places)
        return _Recorded(graph=graph, places=places, told=told)

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def step(self, rows: Sequence[Row]) -> Tensor:
        """A token of each sequence, once the device is done."""
        places = self._places(rows)
        recorded = self._recorded.get(len(rows)) if places.most_new == 1 else None
        if recorded is None:
            return self._forward(places).cpu()
        for name in ("write", "queries", "keys", "lengths"):
            getattr(recorded.places, name).copy_(getattr(places, name))
        recorded.graph.replay()
        return recorded.told.cpu()

    def _forward(self, places: _Places) -> Tensor:
        words = (places.write * 7919) % self.shape.vocabulary
        x = self._embedding[words]
        for layer in self._layers:
            x = x + self._attended(layer, self._normed(x, layer.norm_in), places)
            gate, up = functional.linear(self._normed(x, layer.norm_mlp), layer.gate_up).chunk(2, 1)
            x = x + functional.linear(functional.silu(gate) * up, layer.down)
        last = self._normed(x[places.queries[1:] - 1], self._norm)
        return functional.linear(last, self._head).argmax(dim=1)

    def check_attention(self) -> float:
        """By how much the kernel differs from attention one by one. Raises RuntimeError where it is too much."""
        shape, places = self.shape, self._places([Row(3, 40, 1), Row(0, 7, 30), Row(5, 900, 1)])

        def random(tokens: int, heads: int) -> Tensor:
            size = (tokens, heads, shape.head_width)
            return torch.randn(size, device=self._device, dtype=self._dtype)

        query = random(32, shape.heads)
        keys, values = (random(6 * self.slot_tokens, shape.key_heads) for _ in range(2))
        known = one_by_one(query, keys, values, places)
        apart: float = (flash(query, keys, values, places) - known).abs().max().item()
        if not apart < NEAR:
            raise RuntimeError(
                f"the attention kernel is off by {apart:g}, which is not below {NEAR}"
            )
        return apart

    def _normed(self, x: Tensor, weight: Tensor) -> Tensor:
        return functional.rms_norm(x, (self.shape.width,), weight)

    def _places(self, rows: Sequence[Row]) -> _Places:
        starts = [row.slot * self.slot_tokens for row in rows]
        write = [
            start + row.held + number
            for start, row in zip(starts, rows, strict=True)
            for number in range(row.new)
        ]
        lengths = [row.held + row.new for row in rows]

        def on_device(values: Sequence[int], dtype: torch.dtype = torch.int32) -> Tensor:
            return torch.tensor(values, dtype=dtype).to(self._device, non_blocking=True)

        return _Places(
            write=on_device(write, torch.int64),
            queries=on_device([0, *accumulate(row.new for row in rows)]),
            # A slot is as long as the next one's start: of each, only its length is read.
            keys=on_device([*starts, self.slots * self.slot_tokens]),
            lengths=on_device(lengths),
            most_new=max(row.new for row in rows),
            most_held=max(lengths),
        )

    def _attended(self, layer: _Layer, x: Tensor, places: _Places) -> Tensor:
        shape = self.shape
        heads = functional.linear(x, layer.qkv).view(x.shape[0], -1, shape.head_width)
        query, key, value = heads.split([shape.heads, shape.key_heads, shape.key_heads], dim=1)
        layer.keys[places.write], layer.values[places.write] = key, value
        attend = flash if self._device == "cuda" else one_by_one
        attended = attend(query.contiguous(), layer.keys, layer.values, places)
        return functional.linear(attended.reshape(x.shape[0], -1), layer.out)


def flash(query: Tensor, keys: Tensor, values: Tensor, places: _Places) -> Tensor:
    """All sequences in one kernel, each over what its slot holds of it."""
    attended: Tensor = torch.ops.aten._flash_attention_forward(
        query,
        keys,
        values,
        places.queries,
        places.keys,
        places.most_new,
        places.most_held,
        0.0,
        True,
        False,
        seqused_k=places.lengths,
    )[0]
    return attended


def one_by_one(query: Tensor, keys: Tensor, values: Tensor, places: _Places) -> Tensor:
    """The same, sequence by sequence: where there is no such kernel, and what it is compared with."""
    bounds, parts = places.queries.tolist(), []
    for number, (start, length) in enumerate(
        zip(places.keys.tolist(), places.lengths.tolist(), strict=False)
    ):
        new = bounds[number + 1] - bounds[number]
        seen = torch.ones(new, length, dtype=torch.bool, device=query.device)
        parts.append(
            functional.scaled_dot_product_attention(
                query[bounds[number] : bounds[number + 1]].transpose(0, 1).unsqueeze(0),
                keys[start : start + length].transpose(0, 1).unsqueeze(0),
                values[start : start + length].transpose(0, 1).unsqueeze(0),
                attn_mask=seen.tril(length - new),
                enable_gqa=True,
            )[0].transpose(0, 1)
        )
    return torch.cat(parts)
