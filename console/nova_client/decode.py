"""From the protocol's messages to values; only the session reads messages beside it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from nova_proto.v1 import event_pb2, mesh_pb2, nodes_pb2, task_pb2, tasks_pb2

from nova_client import event as ev
from nova_client import model
from nova_client.encode import again_of
from nova_client.model import STATUSES, Status, task_id

_decode_json = json.JSONDecoder().decode
_STATES = ("alive", "suspect", "dead", "left")
_PHASES = ("run", "split", "merge")


def status(number: int) -> Status:
    return STATUSES[number] if 0 <= number < len(STATUSES) else Status.UNKNOWN


def _word(words: tuple[str, ...], number: int) -> str:
    return words[number] if 0 <= number < len(words) else "unknown"


def parse_json(data: bytes) -> Any:
    return None if data == b"null" or not data else _decode_json(str(data, "utf-8"))


def value(message: task_pb2.Value) -> Any:
    """The JSON value, the bytes, a BlobRef when the bytes are kept as a blob, or None."""
    if message.json:
        return parse_json(message.json)
    match message.WhichOneof("kind"):
        case "raw":
            return message.raw
        case "blob":
            return blob(message.blob)
        case _:
            return None


def blob(message: task_pb2.BlobRef) -> model.BlobRef:
    is_json = message.encoding == task_pb2.ENCODING_JSON
    return model.BlobRef(message.id, message.size_bytes, is_json, tuple(message.holders))


def files(message: task_pb2.Value) -> model.Files:
    if not message.HasField("pack"):
        return model.NO_FILES
    extents = (model.Extent(e.name, e.blob_id, e.offset, e.size_bytes) for e in message.files)
    return model.Files(tuple(extents), (blob(message.pack),))


def failure(message: task_pb2.Error) -> model.Failure | None:
    if not message.code and not message.message:
        return None
    return model.Failure(
        message.code,
        message.message,
        message.fix,
        message.retryable,
        message.traceback,
        message.retry_after_s,
    )


def usage(message: task_pb2.Usage) -> model.Usage:
    return model.Usage(
        message.model,
        message.input_tokens,
        message.output_tokens,
        message.spent_uusd if message.HasField("spent_uusd") else None,
        message.cache,
    )


def outcome(owner: str, message: task_pb2.Outcome) -> model.Outcome:
    return model.Outcome(
        id=task_id(owner, message.no),
        status=status(message.status),
        value=value(message.value),
        failure=failure(message.error),
        attempt=message.attempt,
        node=message.node,
        started_at=message.started_at,
        elapsed_us=message.elapsed_us,
        files=files(message.value),
        usage=usage(message.usage) if message.HasField("usage") else None,
    )


def limits(message: task_pb2.Limits) -> model.Limits:
    return model.Limits(message.wall_s, message.cpu_s, message.memory_bytes, message.output_bytes)


def options(message: task_pb2.Demand) -> model.Options:
    return model.Options(
        durability="volatile" if message.durability == task_pb2.VOLATILE else "journaled",
        priority=message.priority if message.HasField("priority") else None,
        labels=dict(message.labels),
        limits=limits(message.limits),
        deadline_s=message.deadline_s,
        max_attempts=message.max_attempts if message.HasField("max_attempts") else None,
        version=message.version,
        shards=message.shards,
        secrets=dict(message.secrets),
        sensitive=message.sensitive,
        prefers=tuple((label.name, label.value) for label in message.prefers),
        allowance_uusd=message.allowance_uusd,
    )


def attempt(message: tasks_pb2.AttemptView) -> model.AttemptView:
    return model.AttemptView(
        message.attempt,
        message.node,
        status(message.status),
        failure(message.error),
        message.started_at,
        message.ended_at,
        usage(message.usage) if message.HasField("usage") else None,
    )


def task_view(message: tasks_pb2.TaskView) -> model.TaskView:
    return model.TaskView(
        id=message.id,
        owner=message.owner,
        status=status(message.status),
        capability=message.demand.capability,
        options=replace(options(message.demand), again_of=again_of(message.request_id)),
        args=parse_json(message.call.args) or {},
        inputs=tuple(item.name for item in message.call.inputs),
        phase=_word(_PHASES, message.phase),
        parent=message.parent,
        value=value(message.value),
        failure=failure(message.error),
        attempts=tuple(attempt(item) for item in message.attempts),
        accepted_at=message.accepted_at,
        ended_at=message.ended_at,
        children=tuple(message.children),
        children_done=message.children_done,
        children_total=message.children_total,
        node=message.node,
        submitter=message.submitter,
        files=files(message.value),
        parts=tuple(message.parts),
        usage=usage(message.usage) if message.HasField("usage") else None,
        budget=_budget(message.budget) if message.HasField("budget") else None,
    )


def _budget(message: tasks_pb2.Budget) -> model.Budget:
    return model.Budget(message.limit_uusd, message.spent_uusd, message.reserved_uusd)


def task_list(message: tasks_pb2.ListReply) -> model.TaskList:
    tasks = tuple(task_view(item) for item in message.tasks)
    return model.TaskList(tasks, tuple(message.missing), message.total)


def explanation(message: tasks_pb2.Explanation) -> model.Explanation:
    return model.Explanation(
        id=message.id,
        status=status(message.status),
        waits_for=message.waits_for,
        unblock=tuple(message.unblock),
        ranking=tuple(
            model.Ranked(item.node, item.name, item.fits, item.score, tuple(item.reasons))
            for item in message.ranking
        ),
        ranked_at=message.ranked_at,
        durability=message.durability,
    )


def log_line(message: tasks_pb2.LogLine) -> model.LogLine:
    return model.LogLine(message.id, message.attempt, message.stderr, message.text, message.time)


def output(owner: str, message: event_pb2.Event) -> model.LogLine:
    said = message.output
    return model.LogLine(
        task_id(owner, said.no), said.attempt, said.stderr, said.text, message.time
    )


def capability(message: mesh_pb2.Capability, nodes: tuple[str, ...] = ()) -> model.Capability:
    return model.Capability(
        name=message.name,
        version=message.version,
        doc=message.doc,
        params=tuple(
            model.Param(item.name, item.type, item.required, parse_json(item.default), item.doc)
            for item in message.params
        ),
        splits=message.splits,
        merges=message.merges,
        limits=limits(message.limits),
        nodes=nodes,
        waits=message.waits,
    )


def _model(message: mesh_pb2.Model) -> model.Model:
    known_in, known_out = (
        message.HasField(name) for name in ("input_uusd_per_mtok", "output_uusd_per_mtok")
    )
    return model.Model(
        message.name,
        message.kind,
        message.local,
        message.context_tokens,
        message.output_tokens_max,
        message.input_uusd_per_mtok if known_in else None,
        message.output_uusd_per_mtok if known_out else None,
        message.takes_images,
        message.calls_tools,
        message.ttft_ms,
        message.tokens_per_s,
    )


def node_view(message: nodes_pb2.NodeView) -> model.NodeView:
    member, card = message.member, message.card
    return model.NodeView(
        node=member.node,
        name=member.name,
        address=member.address,
        state=_word(_STATES, member.state),
        self=message.self,
        age_s=message.age_s,
        rtt_ms=message.rtt_ms,
        slots=member.digest.slots,
        slots_free=member.digest.slots_free,
        queued=member.digest.queued,
        lag_ms=member.digest.lag_ms,
        draining=member.digest.draining,
        version=member.version,
        skew=message.skew,
        labels=dict(card.labels),
        capabilities=tuple(item.name for item in card.capabilities),
        cpus=card.cpus,
        memory_bytes=card.memory_bytes,
        platform=card.platform,
        python=card.python,
        warnings=tuple(card.warnings),
        models=tuple(_model(item) for item in card.models),
    )


def node_status(message: nodes_pb2.NodeStatus) -> model.NodeStatus:
    return model.NodeStatus(
        node=node_view(message.node),
        waiting=message.waiting,
        running=message.running,
        done=message.done,
        failed=message.failed,
        seq=message.seq,
        journal_bytes=message.journal_bytes,
        blob_bytes=message.blob_bytes,
        rss_bytes=message.rss_bytes,
        up_s=message.up_s,
        lag_ms=message.lag_ms,
        incarnation=message.incarnation,
        data_dir=message.data_dir,
        pid=message.pid,
    )


def event(owner: str, message: event_pb2.Event) -> ev.Event | None:
    """None for a kind of event that this version does not know."""
    known = _fact(owner, message)
    return None if known is None else ev.Event(message.seq, message.time, owner, known)


def _fact(owner: str, message: event_pb2.Event) -> ev.Fact | None:
    match message.WhichOneof("kind"):
        case "accepted":
            groups = message.accepted.groups
            return ev.Accepted(
                message.accepted.request_id,
                task_id(owner, message.batch),
                sum(len(group.calls) for group in groups),
                tuple(dict.fromkeys(group.demand.capability for group in groups)),
                any(group.demand.durability == task_pb2.VOLATILE for group in groups),
            )
        case "assigned":
            nos = message.assigned.nos
            return ev.Assigned(message.assigned.node, tuple(task_id(owner, no) for no in nos))
        case "retried":
            retried = message.retried
            return ev.Retried(outcome(owner, retried.outcome), retried.not_before, retried.charged)
        case "grown":
            grown = message.grown
            parent, first = task_id(owner, grown.parent), task_id(owner, grown.first)
            parts = tuple(task_id(owner, no) for no in grown.parts)
            return ev.Grown(parent, first, len(grown.calls), _word(_PHASES, grown.phase), parts)
        case "finished":
            outcomes = message.finished.outcomes
            return ev.Finished(tuple(outcome(owner, item) for item in outcomes))
        case "output":
            said = message.output
            return ev.Output(task_id(owner, said.no), said.attempt, said.stderr, said.text)
        case "peer_changed":
            peer = message.peer_changed
            return ev.PeerChanged(peer.node, peer.name, peer.state, peer.why)
        case "requeued":
            return ev.Requeued(tuple(task_id(owner, no) for no in message.requeued.nos))
        case "anomaly_seen":
            seen = message.anomaly_seen
            return ev.Anomaly(seen.series, seen.value, seen.median, seen.z, seen.ended)
        case _:
            return None
