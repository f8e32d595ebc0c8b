"""How people's YAML is read: no key twice, and in policies and scenarios `off` is a word."""

from __future__ import annotations

import re
from typing import Any

import yaml

_BOOLEAN = "tag:yaml.org,2002:bool"


class ManifestLoader(yaml.SafeLoader):
    """YAML takes the last of two equal keys without a word; here the second is an error, as to Kubernetes."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (AttributeError, ValueError) as error:
            # PyYAML takes 2026-02-30 for a date, and then it is none.
            said = f"{getattr(node, 'value', '')!r} can't be read ({error})"
            raise yaml.constructor.ConstructorError(None, None, said, node.start_mark) from error

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            key = str(getattr(key_node, "value", ""))
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is given twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


class UniqueKeyLoader(ManifestLoader):
    """`off` stays a word, as in YAML 1.2: `mode: off` is a mode, and not false."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in told if tag != _BOOLEAN]
        for first, told in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


UniqueKeyLoader.add_implicit_resolver(_BOOLEAN, re.compile(r"^(?:true|false)$", re.I), list("tTfF"))
