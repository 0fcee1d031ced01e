"""Words that a message can have: a mistake is told with all of them, whichever field it is in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from msgspec import inspect

from beaver_actors.codec.wire import REQUESTS
from beaver_actors.codec.wire_decode import Limits, decode_request
from beaver_actors.codec.wire_errors import WireError, explain

WRONG = "no such word"
PATHS: dict[str, dict[str, object]] = {
    "word": {"word": WRONG},
    "state": {"state": WRONG},
    "reason": {"reason": WRONG},
    "topic": {"topic": WRONG},
    "reports[0].outcome": {"reports": [{"job_id": "a", "fence": 1, "outcome": WRONG}]},
    "jobs[0].backoff.kind": {"jobs": [{"kind": "a", "backoff": {"kind": WRONG}}]},
    "schedule.job.backoff.kind": {
        "schedule": {"name": "a", "every": 60, "job": {"kind": "a", "backoff": {"kind": WRONG}}}
    },
    "reports[0].jobs[0].backoff.kind": {
        "reports": [
            {
                "job_id": "a",
                "fence": 1,
                "outcome": "succeeded",
                "jobs": [{"kind": "a", "backoff": {"kind": WRONG}}],
            }
        ]
    },
}
"""A message with a wrong word in each field that has words, by the path of the field."""


def enumerations(type_: Any, path: str = "", within: tuple[Any, ...] = ()) -> Iterator[tuple[str, set[str]]]:
    """The fields with words in a type by their paths, as msgspec describes the type."""
    if isinstance(type_, inspect.LiteralType):
        yield path, {str(value) for value in type_.values}
    elif isinstance(type_, inspect.EnumType):
        yield path, {str(choice.value) for choice in type_.cls}
    elif isinstance(type_, inspect.StructType):
        if type_.cls not in within:
            for field in type_.fields:
                below = f"{path}.{field.encode_name}".removeprefix(".")
                yield from enumerations(field.type, below, (*within, type_.cls))
    elif isinstance(type_, inspect.UnionType):
        structs = [part for part in type_.types if isinstance(part, inspect.StructType)]
        if len(structs) > 1:
            yield f"{path}.{structs[0].tag_field}", {str(struct.tag) for struct in structs}
        for part in type_.types:
            yield from enumerations(part, path, within)
    elif isinstance(type_, inspect.Metadata):
        yield from enumerations(type_.type, path, within)
    elif isinstance(type_, inspect.ListType | inspect.VarTupleType):
        yield from enumerations(type_.item_type, f"{path}[0]", within)


IN_REQUESTS = [
    (request, path, words) for request in REQUESTS for path, words in enumerations(inspect.type_info(request))
]


def listed(message: str, path: str) -> set[str]:
    """The words that an error names."""
    start, end = f"{path}: expected ", f'; got "{WRONG}"'
    assert message.startswith(start)
    assert message.endswith(end)
    words = message[len(start) : -len(end)]
    return set(words.removeprefix("one of ").replace(" or ", ", ").split(", "))


@pytest.mark.parametrize(
    ("request_", "path", "words"), IN_REQUESTS, ids=[f"{one[0].__name__}.{one[1]}" for one in IN_REQUESTS]
)
def test_a_wrong_word_in_a_request_is_told_with_the_right_ones(
    request_: type[msgspec.Struct], path: str, words: set[str]
) -> None:
    """Exhaustive: every field of every request that has words, found by msgspec's description of it."""
    message = {"type": request_.__struct_config__.tag, "id": "1", **PATHS[path]}
    with pytest.raises(WireError) as caught:
        decode_request(json.dumps(message), Limits())
    assert listed(caught.value.message, path) == words


def test_there_are_words_to_test() -> None:
    """The search above would find nothing if msgspec described types in another way."""
    assert {path for _, path, _ in IN_REQUESTS} == PATHS.keys()


def test_a_word_of_which_nothing_is_known_is_told_without_a_list() -> None:
    """Never an empty one."""
    assert explain("Invalid value 'x' - at `$.stranger`") == 'stranger: expected another value; got "x"'
