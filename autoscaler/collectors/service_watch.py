"""KServe's services of both kinds, kept up to date by watches. Neither kind need be installed."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from autoscaler.clients.kubernetes import KubernetesClient
from autoscaler.clock import Clock
from autoscaler.collectors import inference_service, llm_inference_service
from autoscaler.collectors.inference_service import InferenceServiceView
from autoscaler.collectors.llm_inference_service import LlmServiceView
from autoscaler.collectors.seen import EitherService
from autoscaler.collectors.watched import Watched


class ServiceWatch:
    """Those that carry an annotation of forescale, or one that was to be."""

    def __init__(
        self, client: KubernetesClient, clock: Clock, *, namespaces: Collection[str]
    ) -> None:
        """`namespaces` are those that are watched; empty: all."""
        self._inference_services: Watched[InferenceServiceView] = Watched(
            client,
            f"/apis/{inference_service.API_VERSION}/{inference_service.PLURAL}",
            inference_service.service,
            clock,
            namespaces=namespaces,
            optional=True,
        )
        newest, *older = (
            f"/apis/{version}/{llm_inference_service.PLURAL}"
            for version in llm_inference_service.API_VERSIONS
        )
        self._llm_services: Watched[LlmServiceView] = Watched(
            client,
            newest,
            llm_inference_service.service,
            clock,
            namespaces=namespaces,
            optional=True,
            older=older,
        )

    @property
    def kinds(self) -> tuple[Watched[Any], ...]:
        return (self._inference_services, self._llm_services)

    def __iter__(self) -> Iterator[EitherService]:
        """The newest known state of each."""
        yield from self._inference_services.objects.values()
        yield from self._llm_services.objects.values()
