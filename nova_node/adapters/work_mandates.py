"""Mandates on a Work stream: each is sent once, under a number, before the assignments that name it.

Rule: both ends keep the same few. A number given again replaces the mandate before, so a message
holds no more mandates than there are numbers.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import NamedTuple

from nova_proto.v1 import mesh_pb2

from nova_node.adapters.wire import mandate_from_pb
from nova_node.core.errors import Invalid
from nova_node.core.model import Mandate

NUMBERS_MAX = 32


class SentMandates:
    """The owner's end."""

    def __init__(self) -> None:
        #: the latest used last
        self._numbers: OrderedDict[Mandate, int] = OrderedDict()

    def number(self, mandate: Mandate, pb: mesh_pb2.WorkRequest) -> int:
        """What to name it in this message, to which it is added when the worker does not have it."""
        number = self._numbers.get(mandate)
        if number is not None:
            self._numbers.move_to_end(mandate)
            return number
        number = len(self._numbers) + 1
        if number > NUMBERS_MAX:
            _, number = self._numbers.popitem(last=False)
        self._numbers[mandate] = number
        pb.mandates.add(no=number, submitter=mandate.submitter, mandate=mandate.signed)
        return number


class Heard(NamedTuple):
    mandate: Mandate
    #: signed for the owner at the other end, who alone may send the calls themselves
    own: bool


class HeardMandates:
    """The worker's end. `is_own` tells whether a mandate was signed for the owner of the stream, and
    raises Invalid when it cannot be read."""

    def __init__(self, is_own: Callable[[Mandate], bool]) -> None:
        self._is_own = is_own
        self._heard: dict[int, Heard] = {}

    def take(self, pbs: Iterable[mesh_pb2.WorkMandate]) -> None:
        """Raises Invalid."""
        for pb in pbs:
            mandate = mandate_from_pb(pb.submitter, pb.mandate)
            if mandate is None or not 1 <= pb.no <= NUMBERS_MAX:
                raise Invalid(
                    f"a mandate under the number {pb.no}",
                    f"name a submitter, use 1 to {NUMBERS_MAX}",
                )
            self._heard[pb.no] = Heard(mandate, self._is_own(mandate))

    def named(self, number: int) -> Heard:
        """Raises Invalid."""
        heard = self._heard.get(number)
        if heard is None:
            raise Invalid(f"no mandate has the number {number}", "send it before what it is for")
        return heard
