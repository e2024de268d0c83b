"""Between what is said of models and their protobuf messages: what a node can reach, what was used."""

from __future__ import annotations

from nova_proto.v1 import mesh_pb2, task_pb2

from nova_node.adapters.wire_checks import (
    DURATION_MAX_S,
    NUMBER_MAX,
    check_number,
    check_prose,
    check_seconds,
    clean,
)
from nova_node.core.errors import Invalid
from nova_node.core.model import MODEL_KINDS, Model, Usage

MODELS_MAX = 256
"""Models on one card."""

MODEL_NAME_MAX_CHARS = 255
CACHE_MAX_CHARS = 63


def model_to_pb(model: Model, pb: mesh_pb2.Model) -> None:
    """Measured figures out of range are sent as the nearest."""
    pb.name = clean(model.name, MODEL_NAME_MAX_CHARS)
    pb.kind = model.kind
    pb.local = model.local
    pb.context_tokens = model.context_tokens
    pb.output_tokens_max = model.output_tokens_max
    if model.input_uusd_per_mtok is not None:
        pb.input_uusd_per_mtok = model.input_uusd_per_mtok
    if model.output_uusd_per_mtok is not None:
        pb.output_uusd_per_mtok = model.output_uusd_per_mtok
    pb.takes_images = model.takes_images
    pb.calls_tools = model.calls_tools
    pb.ttft_ms = min(model.ttft_ms, DURATION_MAX_S)
    pb.tokens_per_s = min(model.tokens_per_s, DURATION_MAX_S)


def model_from_pb(pb: mesh_pb2.Model) -> Model:
    if pb.kind not in MODEL_KINDS:
        raise Invalid("a model is of no known kind", f"use {' or '.join(MODEL_KINDS)}")
    return Model(
        check_prose(pb.name, "a model's name", MODEL_NAME_MAX_CHARS),
        pb.kind,
        pb.local,
        check_number(pb.context_tokens, "a model's context"),
        check_number(pb.output_tokens_max, "a model's output"),
        _price(pb.input_uusd_per_mtok) if pb.HasField("input_uusd_per_mtok") else None,
        _price(pb.output_uusd_per_mtok) if pb.HasField("output_uusd_per_mtok") else None,
        pb.takes_images,
        pb.calls_tools,
        check_seconds(pb.ttft_ms, "a time to the first token"),
        check_seconds(pb.tokens_per_s, "a rate of tokens"),
    )


def usage_to_pb(usage: Usage, pb: task_pb2.Usage) -> None:
    """Counts out of range are sent as the largest."""
    model, input_tokens, output_tokens, spent_uusd, cache = usage
    pb.SetInParent()
    pb.model = clean(model, MODEL_NAME_MAX_CHARS)
    pb.input_tokens = min(input_tokens, NUMBER_MAX)
    pb.output_tokens = min(output_tokens, NUMBER_MAX)
    if spent_uusd is not None:
        pb.spent_uusd = min(spent_uusd, NUMBER_MAX)
    pb.cache = clean(cache, CACHE_MAX_CHARS)


def usage_from_pb(pb: task_pb2.Usage) -> Usage:
    return Usage(
        check_prose(pb.model, "a model's name", MODEL_NAME_MAX_CHARS),
        check_number(pb.input_tokens, "tokens"),
        check_number(pb.output_tokens, "tokens"),
        check_number(pb.spent_uusd, "money spent") if pb.HasField("spent_uusd") else None,
        check_prose(pb.cache, "a cache's name", CACHE_MAX_CHARS),
    )


def _price(uusd: int) -> int:
    return check_number(uusd, "a price")
