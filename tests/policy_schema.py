"""What the JSON Schema of policies says of a document, and what only the reader can see."""

from __future__ import annotations

import functools
import json
import re

from jsonschema import Draft202012Validator

from harness import policy

_ONLY_THE_READER = re.compile(
    "|".join(
        (
            # rules between two values
            r"the range from \d+ to \d+ ",
            r"endPort \d+ is less than port \d+ ",
            r"except '.*' is not (known to be )?a part of cidr ",
            r"a named port in a rule with (networks|nodes|domainNames) ",
            # an address, or a part of a text, within its syntax
            r"'::ffff:10\.0\.0\.0/104' is an IPv4 address in an IPv6 one ",
            # names that may be those of a custom kind
            r"there is no kind 'NetworkPolicy' in networking/v1",
            r"apiVersion is 'networking\.k8s\.oi/v1' ",
            r"apiVersion is '10\.0\.0\.0/8' ",
            r"kind is 'Ingress' ",
            # what the reader of files leaves out before
            r"unknown key 'status' ",
            r"'' is not a valid name in metadata ",
        )
    )
)


@functools.cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(json.loads(policy.json_schema()))


def takes(document: object) -> bool:
    """Return whether the schema has nothing against a document."""
    return _validator().is_valid(document)


def only_the_reader_sees(message: str) -> bool:
    """Return whether a fault of the reader is none that a schema can describe."""
    return _ONLY_THE_READER.match(message) is not None
