"""Where the API server is, who asks, and which way it goes: kubeconfigs, service accounts, proxies."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable

import yaml
from kubernetes_asyncio import config as loader
from kubernetes_asyncio.client import Configuration
from kubernetes_asyncio.config.kube_config import KubeConfigLoader
from requests.utils import get_environ_proxies, select_proxy

from autoscaler.errors import ConfigError, Problem

# As often as the library reads a service account's token in a pod.
RENEW_S = 60.0


async def configured(kubeconfig: str | None, context: str | None) -> Configuration:
    """From a kubeconfig, else the pod's service account, else KUBECONFIG or ~/.kube/config.

    Raises ConfigError saying what was tried.
    """
    configuration = Configuration()
    _require_file(kubeconfig)
    try:
        if kubeconfig is None and context is None and "KUBERNETES_SERVICE_HOST" in os.environ:
            loader.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        else:
            found = await loader.load_kube_config(
                config_file=kubeconfig, context=context, client_configuration=configuration
            )
            configuration.refresh_api_key_hook = _renewal(found)
    except (
        *(loader.ConfigException, yaml.YAMLError, OSError),
        *(AttributeError, TypeError, ValueError),
    ) as error:
        tried = kubeconfig or "KUBECONFIG or ~/.kube/config"
        raise _unusable(
            f"kubeconfig {tried}", _unreadable(error), "give --kubeconfig, or run in a cluster"
        ) from error
    return configuration


def proxy_of(url: str) -> str | None:
    """HTTPS_PROXY or the like where NO_PROXY does not except it: by name, address or, as clusters do, range of them."""
    return select_proxy(url, get_environ_proxies(url))


def _renewal(found: KubeConfigLoader) -> Callable[[Configuration], Awaitable[None]]:
    """Reads a kubeconfig's token anew: its file is exchanged, and what a plugin gave out lasts a quarter of an hour.
    The plugin itself is asked when that is over."""
    last_s = asyncio.get_running_loop().time()

    async def renew(configuration: Configuration) -> None:
        nonlocal last_s
        now_s = asyncio.get_running_loop().time()
        if now_s - last_s < RENEW_S:
            return
        last_s = now_s
        await found.load_and_set(configuration)

    return renew


def _require_file(kubeconfig: str | None) -> None:
    """The loader's own words for a file that is not there are about its contents."""
    if kubeconfig is not None:
        if not _is_file(kubeconfig):
            raise _unusable(
                f"kubeconfig {kubeconfig}", "there is no such file", "name a readable one"
            )
        return
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        return
    named = os.environ.get("KUBECONFIG", "")
    # KUBECONFIG may list several, of which some need not exist; an empty one counts as none.
    if not any(_is_file(path) for path in (named or "~/.kube/config").split(os.pathsep)):
        told = f"KUBECONFIG={named}" if named else "KUBECONFIG is not set, and ~/.kube/config"
        raise _unusable(told, "there is no such file", "set it, or give --kubeconfig")


def _unusable(where: str, given: str, allowed: str) -> ConfigError:
    return ConfigError((Problem(where, given, allowed),))


def _unreadable(error: Exception) -> str:
    """The loader trips over what is no kubeconfig at all, in words of its own code."""
    if isinstance(error, yaml.YAMLError):
        mark = getattr(error, "problem_mark", None)
        return "is no YAML" + (f", in line {mark.line + 1}" if mark else "")
    if isinstance(error, AttributeError | TypeError):
        return "is no kubeconfig"
    return str(error)


def _is_file(path: str) -> bool:
    return bool(path) and os.path.isfile(os.path.expanduser(path))
