"""Screens over the views, left with esc: all about one node, one event, all keys; and the question
before something that cannot be taken back."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar

from nova_client import Event
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen, Screen

from nova_console.app import actions, event_lines, looks
from nova_console.app.abstract import Abstract
from nova_console.app.bar import Bar
from nova_console.app.canvas import Line, wrap
from nova_console.app.lines import Still
from nova_console.app.node_lines import node_lines
from nova_console.app.tab import Scene
from nova_console.cli.output import escape_line


class Sheet(Screen[None], metaclass=Abstract):
    """A page that fills the screen; `words` are of the `nova` command that tells the same."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "close", "Back", show=False)]
    keys: ClassVar[tuple[tuple[str, str], ...]] = ()

    def __init__(self, title: str, words: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.words = words
        self._heading = title

    def compose(self) -> ComposeResult:
        yield Bar("sheet-head")
        yield Still(id="sheet-page")
        yield Bar("sheet-foot")

    def on_mount(self) -> None:
        self.query_one("#sheet-head", Bar).show([(" nova ", "title"), (f"▸ {self._heading}", "")])
        keys = (*self.keys, *((("y", "copy command"),) if self.words else ()), ("esc", "back"))
        foot: Line = []
        for key, text in keys:
            foot += [(f" {key} ", "key"), (f"{text} ", "")]
        self.query_one("#sheet-foot", Bar).show(foot)

    @abstractmethod
    def lines(self, scene: Scene, width: int) -> list[Line]: ...

    def show(self, scene: Scene) -> None:
        """When the picture changed."""
        for page in self.query("#sheet-page").results(Still):  # none before it is mounted
            page.show(lambda width: wrap(self.lines(scene, width), width))

    def do(self, what: str) -> None:
        act = getattr(self, f"do_{what}", None)
        if act is not None:
            act()

    def action_close(self) -> None:
        self.dismiss()


class NodeSheet(Sheet):
    def __init__(self, node: str, name: str) -> None:
        super().__init__(f"Mesh ▸ {escape_line(name)}", ("nodes",))
        self._id = node

    def lines(self, scene: Scene, width: int) -> list[Line]:
        view = scene.world.nodes.get(self._id)
        if view is None:
            return [[("this node is gone from the mesh's memory", "dim")]]
        return node_lines(scene.world, view, scene.now, width)


class EventSheet(Sheet):
    def __init__(self, happened: Event) -> None:
        super().__init__(
            f"Events ▸ {happened.seq}", ("watch", "--from-seq", str(happened.seq), "--json")
        )
        self._happened = happened

    def lines(self, scene: Scene, width: int) -> list[Line]:
        return event_lines.unfolded(self._happened)


class HelpSheet(Sheet):
    """`keymap` is the person's own: keys by action."""

    def __init__(self, keymap: dict[str, str]) -> None:
        super().__init__("Help")
        self._keymap = keymap

    def lines(self, scene: Scene, width: int) -> list[Line]:
        lines: list[Line] = [[("MOVING", "head")]]
        lines += [_key_line(key, text) for key, text in actions.MOVES]
        titles = {"": "EVERYWHERE"} | {id: title.upper() for id, title, _ in actions.VIEWS}
        for view, title in titles.items():
            own = [action for action in actions.ACTIONS if action.view == view]
            if own:
                lines += [[("", "")], [(title, "head")]]
            for action in own:
                key = actions.key_text(self._keymap.get(action.id, action.key))
                lines.append([*_key_line(key, action.text), (f"  :{action.id}", "dim")])
        lines += [[("", "")], [("SIGNS", "head")]]
        lines += [
            [(f"  {look.glyph:<22}", look.style), (look.word, "")] for look in looks.NODE_LOOKS
        ]
        lines += [
            [(f"  {looks.ODD:<22}", "suspect"), ("a series is out of its ordinary range", "")]
        ]
        lines += [[("", "")], [("FILTERS", "head")]]
        lines += [
            _key_line("/word", "lines with the word; several words must all occur"),
            _key_line("/!word", "lines without it"),
            _key_line("/status:failed", "of one field: status cap node why id, kind owner, state"),
        ]
        return lines


def _key_line(key: str, text: str) -> Line:
    return [(f"  {key:<22}", "key"), (text, "")]


class Confirm(ModalScreen[bool]):
    """y does it, c copies the command that does it; anything else does not."""

    DEFAULT_CSS = """
    Confirm { align: center middle; }
    Confirm > Vertical { width: 72; max-width: 95%; height: auto; border: round $error;
                         background: $surface; padding: 0 1; }
    Confirm Still { height: auto; min-height: 5; border: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes", show=False),
        Binding("c", "copy", "Copy", show=False),
        Binding("n,escape,q", "answer(False)", "No", show=False),
    ]

    def __init__(self, question: str, command: str, deed: Callable[[], None]) -> None:
        super().__init__()
        self._question, self._command, self._deed = question, command, deed

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Still(id="question")

    def on_mount(self) -> None:
        page = self.query_one(Still)
        lines: list[Line] = [[(escape_line(part), "")] for part in self._question.split("\n")]
        lines += [[("the same: ", "dim"), (self._command, "")], [("", "")]]
        answers: Line = []
        for key, text in (("y", "yes"), ("n", "no"), ("c", "copy")):
            answers += [(f" {key} ", "key"), (f"{text}  ", "")]
        page.show(lambda _: [*lines, answers])
        page.focus()

    def action_copy(self) -> None:
        self.app.copy_to_clipboard(self._command)  # pyright: ignore[reportUnknownMemberType]
        self.dismiss(False)

    def action_answer(self, yes: bool) -> None:
        self.dismiss(yes)
        if yes:
            self._deed()
