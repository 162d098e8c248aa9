"""These faults make lists answer another question, or break them off."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

from .calls import Call
from .faults import Action, Normal
from .replies import Reply, json_reply


@dataclass(frozen=True)
class DropFilter(Action):
    """The site overlooks these parameters of the question, in the query or in the input of tRPC."""

    names: tuple[str, ...] = ()

    def answer(self, call: Call, normal: Normal) -> Reply:
        asked = [(name, value) for name, values in call.query.items() for value in values if name not in self.names]
        changed = [(name, self._without(value) if name == "input" else value) for name, value in asked]
        return normal(_asking(call, changed))

    def _without(self, text: str) -> str:
        wanted = json.loads(text)["json"]
        return json.dumps({"json": {name: value for name, value in wanted.items() if name not in self.names}})


def _asking(call: Call, asked: list[tuple[str, str]]) -> Call:
    return replace(call, raw_query=urlencode(asked))


@dataclass(frozen=True)
class BadRow(Action):
    """Every page with this thing on it fails, as does a link to such a page."""

    id: int = 0
    code: int = 500

    def answer(self, call: Call, normal: Normal) -> Reply:
        reply = normal(call)
        is_there = f'"id": {self.id},'.encode() in reply.sent
        return Reply(self.code, {"Content-Type": "application/json"}) if is_there else reply


@dataclass(frozen=True)
class Metadata(Action):
    """A page with other values in its metadata, or without them (None)."""

    values: Mapping[str, Any] = field(default_factory=dict)

    def answer(self, call: Call, normal: Normal) -> Reply:
        reply = normal(call)
        data = json.loads(reply.sent)
        kept = {key: value for key, value in data["metadata"].items() if self.values.get(key, value) is not None}
        data["metadata"] = kept | {key: value for key, value in self.values.items() if value is not None}
        return json_reply(data, reply.status)


@dataclass(frozen=True)
class Nested(Action):
    """The `meta` of one picture is nested so many levels deep, written out by hand because Python would refuse."""

    id: int = 0
    levels: int = 600

    def answer(self, call: Call, normal: Normal) -> Reply:
        reply = normal(call)
        data = json.loads(reply.sent)
        for item in data["items"]:
            if item["id"] == self.id:
                item["meta"] = "NESTED"
        deep = '{"prompt": "deep", "x": ' + '[{"y": ' * self.levels + "1" + "}]" * self.levels + "}"
        text = json.dumps(data).replace('"NESTED"', deep)
        return Reply(200, {"Content-Type": "application/json"}, type(reply.body).of(text.encode()))
