"""Does for an InferenceService in Knative mode what KServe and Knative do together, as far as scale goes.

- The service's annotations and its minReplicas become part of a Revision's template: a change of either makes a new
  Revision with pods of its own, and the one before it is scaled to nothing.
- A Revision gets a PodAutoscaler with its annotations. From Knative 1.21 on later changes of those named
  `autoscaling.knative.dev/...` are taken over (`follows`); before that they have no effect.
- A PodAutoscaler keeps its Deployment between its min-scale and max-scale. Nobody asks for more than the least here:
  the demand that Knative itself would see is not played.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import Any

from autoscaler.clients.kubernetes import KubernetesClient
from autoscaler.errors import ActuationError, SourceError
from loadtests.kserve.controller import MERGE, MODE, NOT_COPIED, PERIOD_S, SERVICES, owner

Object = dict[str, Any]
SCALING = "autoscaling.knative.dev/"
TEMPLATE = "stack.forescale.io/template"
REVISIONS = "/apis/serving.knative.dev/v1/namespaces/{}/revisions"
AUTOSCALERS = "/apis/autoscaling.internal.knative.dev/v1alpha1/namespaces/{}/podautoscalers"
DEPLOYMENTS = "/apis/apps/v1/namespaces/{}/deployments"


class StandInKnative:
    """Looks at all services of Knative mode again and again."""

    def __init__(self, client: KubernetesClient, *, follows: bool) -> None:
        self._client = client
        self._follows = follows

    async def run(self) -> None:
        """For ever."""
        while True:
            try:
                async for services, _ in self._client.pages(SERVICES):
                    for service in services:
                        if (service["metadata"].get("annotations") or {}).get(MODE) == "Knative":
                            await self.reconcile(service)
            except (SourceError, ActuationError):
                pass  # the next look is as good
            await asyncio.sleep(PERIOD_S)

    async def reconcile(self, service: Object) -> None:
        """Brings one service's Revisions, their autoscalers and their Deployments in order."""
        namespace = service["metadata"]["namespace"]
        template = _template(service)
        digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:12]
        revisions = await self._of(service, REVISIONS)
        if not any(r["metadata"]["labels"][TEMPLATE] == digest for r in revisions):
            new = _revision(service, template, digest, len(revisions) + 1)
            await self._client.write("POST", REVISIONS.format(namespace), new)
            return
        autoscalers = {a["metadata"]["name"]: a for a in await self._of(service, AUTOSCALERS)}
        deployments = {d["metadata"]["name"]: d for d in await self._of(service, DEPLOYMENTS)}
        for revision in revisions:
            name = revision["metadata"]["name"]
            autoscaler = await self._synced(revision, autoscalers.get(name))
            least = int(autoscaler["metadata"]["annotations"].get(f"{SCALING}min-scale", 1))
            wanted = least if revision is revisions[-1] else 0
            await self._deployed(revision, deployments.get(f"{name}-deployment"), wanted)

    async def _of(self, service: Object, path: str) -> list[Object]:
        """What was made for the service, by name."""
        listed = await self._client.read(path.format(service["metadata"]["namespace"]))
        label, name = "serving.kserve.io/inferenceservice", service["metadata"]["name"]
        own = [o for o in listed["items"] if o["metadata"].get("labels", {}).get(label) == name]
        return sorted(own, key=lambda item: str(item["metadata"]["name"]))

    async def _synced(self, revision: Object, there: Object | None) -> Object:
        metadata = revision["metadata"]
        path = AUTOSCALERS.format(metadata["namespace"])
        own = {k: v for k, v in metadata["annotations"].items() if k.startswith(SCALING)}
        if there is None:
            made: Object = {
                "apiVersion": "autoscaling.internal.knative.dev/v1alpha1",
                "kind": "PodAutoscaler",
                "metadata": {
                    "name": metadata["name"],
                    "annotations": own,
                    "labels": metadata["labels"],
                    "ownerReferences": [_owner(revision)],
                },
                "spec": {},
            }
            await self._client.write("POST", path, made)
            return made
        if self._follows and there["metadata"]["annotations"] != own:
            change = {"metadata": {"annotations": own}}
            name = metadata["name"]
            await self._client.write("PATCH", f"{path}/{name}", change, content=MERGE)
            there["metadata"]["annotations"] = own
        return there

    async def _deployed(self, revision: Object, there: Object | None, replicas: int) -> None:
        path = DEPLOYMENTS.format(revision["metadata"]["namespace"])
        if there is None:
            await self._client.write("POST", path, _deployment(revision, replicas))
        elif there["spec"]["replicas"] != replicas:
            change = {"spec": {"replicas": replicas}}
            name = there["metadata"]["name"]
            await self._client.write("PATCH", f"{path}/{name}", change, content=MERGE)


def _template(service: Object) -> Object:
    """What KServe puts into the template: any change of it is a new Revision."""
    metadata, predictor = service["metadata"], service["spec"]["predictor"]
    annotations = {k: v for k, v in metadata["annotations"].items() if k not in NOT_COPIED}
    annotations[f"{SCALING}min-scale"] = str(predictor.get("minReplicas", 1))
    return {"annotations": annotations, "containers": predictor.get("containers", [])}


def _revision(service: Object, template: Object, digest: str, number: int) -> Object:
    name = f"{service['metadata']['name']}-predictor-{number:05}"
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Revision",
        "metadata": {
            "name": name,
            "annotations": template["annotations"],
            "labels": {
                "serving.kserve.io/inferenceservice": service["metadata"]["name"],
                "component": "predictor",
                TEMPLATE: digest,
            },
            "ownerReferences": [_owner(service)],
        },
        "spec": {"containers": template["containers"]},
    }


def _deployment(revision: Object, replicas: int) -> Object:
    metadata = revision["metadata"]
    labels = {**metadata["labels"], "serving.knative.dev/revision": metadata["name"]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": f"{metadata['name']}-deployment",
            "annotations": metadata["annotations"],
            "labels": labels,
            "ownerReferences": [_owner(revision)],
        },
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"serving.knative.dev/revision": metadata["name"]}},
            "template": {
                "metadata": {"labels": labels, "annotations": metadata["annotations"]},
                "spec": revision["spec"],
            },
        },
    }


def _owner(item: Object) -> Object:
    return owner(item, item["apiVersion"], item["kind"])
