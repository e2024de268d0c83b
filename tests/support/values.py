"""Hypothesis strategies for the core's values, within the limits of the wire."""

from __future__ import annotations

from typing import TypeVar

from hypothesis import strategies as st

from nova_node.core.events import (
    Accepted,
    AnomalySeen,
    Assigned,
    Event,
    Fact,
    Finished,
    Grown,
    Output,
    PeerChanged,
    Requeued,
    Retried,
)
from nova_node.core.model import (
    MODEL_KINDS,
    PARAM_TYPES,
    Anomaly,
    Attempt,
    BlobRef,
    Call,
    Capability,
    Card,
    Credit,
    Cut,
    Demand,
    Digest,
    Durability,
    Encoding,
    Extent,
    Failure,
    Fence,
    Group,
    Input,
    Limits,
    Mandate,
    Member,
    MemberState,
    Model,
    Outcome,
    Param,
    Phase,
    Said,
    Status,
    Usage,
    Value,
)

T = TypeVar("T")


def several(items: st.SearchStrategy[T], least: int = 0) -> st.SearchStrategy[tuple[T, ...]]:
    return st.lists(items, min_size=least, max_size=least + 2).map(lambda found: tuple(found))


NUMBERS = st.integers(0, 2**53 - 1)
U32 = st.integers(0, 2**32 - 1)
TIMES = st.floats(0, 1e11)
SECONDS = st.floats(0, 1e9)
FLOATS = st.floats(-1e9, 1e9)
NODES = st.sampled_from(["a", "k7q2m9xd", "0", "z" * 63])
BLOB_IDS = st.sampled_from(["0" * 64, "0123456789abcdef" * 4, "f" * 64])
CAPABILITY_NAMES = st.sampled_from(["text.count", "a.b", "x_1.y_2", "a" * 31 + "." + "b" * 31])
IDENTIFIERS = st.sampled_from(["x", "_", "Text", "x_1", "y" * 63])
REQUESTS = st.sampled_from(["r", "A-z_9", "-" * 64])
CODES = st.sampled_from(["crashed", "wall_limit", "x" * 63])
ADDRESSES = st.sampled_from(["", "127.0.0.1:4", "[fe80::1%eth0]:9", "a-b.example:65535", "x" * 255])
PROSE = st.text(st.sampled_from("aé漢😀\n\t .[/]"), max_size=40)
NAMES = st.text(st.sampled_from("aé漢😀 .-[/]"), min_size=1, max_size=8) | st.just("x" * 63)
SOME_NAMES = st.just("") | NAMES
FILE_NAMES = st.sampled_from(["a", "a/b.txt", "é/漢 -[].txt", "..a/b..", "x" * 1024])
BYTES = st.binary(max_size=40)
LABELS = st.dictionaries(NAMES, SOME_NAMES, max_size=3).map(lambda d: tuple(sorted(d.items())))

BLOBS = st.builds(BlobRef, BLOB_IDS, NUMBERS, st.sampled_from(Encoding), several(NODES))

PLAIN_VALUES = st.builds(
    Value, st.sampled_from(Encoding), BYTES, st.none(), st.just(()), st.none()
) | BLOBS.map(lambda ref: Value(ref.encoding, b"", ref))


def packed(value: Value, pack: BlobRef, names: tuple[str, ...]) -> Value:
    files = tuple(Extent(name, pack.id, 0, pack.size_bytes) for name in names)
    return value._replace(files=files, pack=pack)


VALUES = PLAIN_VALUES | st.builds(packed, PLAIN_VALUES, BLOBS, several(FILE_NAMES))
LIMITS = st.builds(Limits, SECONDS, SECONDS, NUMBERS, NUMBERS)
REFERENCES = st.from_regex(r"(secret|env|file|keyring):[A-Za-z0-9._/@+-]{1,20}", fullmatch=True)
SUBMITTERS = st.from_regex(r"[a-z]{1,16}/[a-z0-9][a-z0-9_-]{0,20}", fullmatch=True)
MANDATES = st.builds(Mandate, SUBMITTERS, st.binary(min_size=1, max_size=20))
DEMANDS = st.builds(
    Demand,
    CAPABILITY_NAMES,
    SOME_NAMES,
    LABELS,
    st.sampled_from(Durability),
    st.integers(0, 9),
    st.integers(1, 100),
    LIMITS | st.just(Limits()),
    SECONDS,
    st.integers(0, 100_000),
    st.dictionaries(IDENTIFIERS, REFERENCES, max_size=2).map(lambda d: tuple(sorted(d.items()))),
    st.booleans(),
    several(st.tuples(NAMES, SOME_NAMES)),
    NUMBERS,
)
EXTENTS = st.builds(Extent, FILE_NAMES, BLOB_IDS, st.integers(0, 2**52), st.integers(0, 2**52 - 1))
INPUTS = st.builds(Input, IDENTIFIERS, BYTES, st.none()) | st.builds(
    Input, IDENTIFIERS, st.just(b""), several(EXTENTS)
)
CALLS = st.builds(Call, BYTES, several(INPUTS))
GROUPS = st.builds(Group, DEMANDS, several(CALLS, 1), several(BLOBS))
FAILURES = st.builds(Failure, CODES, PROSE, PROSE, st.booleans(), PROSE, SECONDS)
USAGES = st.builds(Usage, PROSE, NUMBERS, NUMBERS, st.none() | NUMBERS, PROSE)
OUTCOMES = st.builds(
    Outcome,
    NUMBERS,
    U32,
    st.sampled_from(Status),
    st.none() | VALUES,
    st.none() | FAILURES,
    st.just("") | NODES,
    TIMES,
    U32,
    st.none() | USAGES,
)
FENCES = st.builds(Fence, NUMBERS, U32)
CUTS = st.builds(Cut, NUMBERS, U32, several(CALLS), U32)
SAID = st.builds(Said, NUMBERS, U32, st.booleans(), st.text(max_size=40))
ATTEMPTS = st.builds(
    Attempt,
    NUMBERS,
    U32,
    DEMANDS,
    st.sampled_from(Phase),
    CALLS,
    several(VALUES),
    st.booleans(),
    U32,
    several(BLOBS),
    st.none(),
    st.just(0),
    st.just(""),
)
CREDITS = st.builds(Credit, U32, U32, U32, U32, U32)
DIGESTS = st.builds(Digest, U32, U32, U32, U32, U32, st.booleans())
MEMBERS = st.builds(
    Member,
    NODES,
    NAMES,
    ADDRESSES,
    NUMBERS,
    st.sampled_from(MemberState),
    DIGESTS | st.just(Digest()),
    U32,
    SOME_NAMES,
    SOME_NAMES,
    NUMBERS,
)
PARAMS = st.builds(Param, IDENTIFIERS, st.sampled_from(PARAM_TYPES), st.booleans(), BYTES, PROSE)
CAPABILITIES = st.builds(
    Capability,
    CAPABILITY_NAMES,
    SOME_NAMES,
    PROSE,
    several(PARAMS),
    st.booleans(),
    st.booleans(),
    LIMITS | st.just(Limits()),
    st.just(()),
    st.just(False),
    st.booleans(),
)
PRICES = st.none() | NUMBERS
MODELS = st.builds(
    Model,
    PROSE,
    st.sampled_from(MODEL_KINDS),
    st.booleans(),
    NUMBERS,
    NUMBERS,
    PRICES,
    PRICES,
    st.booleans(),
    st.booleans(),
    SECONDS,
    SECONDS,
)
CARDS = st.builds(
    Card,
    NODES,
    U32,
    several(CAPABILITIES),
    LABELS,
    U32,
    U32,
    NUMBERS,
    PROSE,
    PROSE,
    several(PROSE),
    several(MODELS),
)
FACTS: st.SearchStrategy[Fact] = st.one_of(
    st.builds(Accepted, REQUESTS, several(GROUPS, 1), st.none() | MANDATES, NUMBERS),
    st.builds(Assigned, NODES, several(FENCES)),
    st.builds(Retried, OUTCOMES, TIMES, st.booleans()),
    st.builds(
        Grown,
        NUMBERS,
        NUMBERS,
        st.sampled_from(Phase),
        several(CALLS),
        several(BLOBS),
        several(NUMBERS),
    ),
    st.builds(Finished, several(OUTCOMES)),
    st.builds(Output, SAID),
    st.builds(Requeued, several(NUMBERS)),
    st.builds(PeerChanged, NODES, SOME_NAMES, NAMES, PROSE),
    st.builds(AnomalySeen, st.builds(Anomaly, PROSE, FLOATS, FLOATS, FLOATS, st.booleans())),
)
EVENTS = st.builds(Event, NUMBERS, NUMBERS, TIMES, FACTS, st.just(True))
