"""A task to be started: a field for each parameter of the capability, and the command that does the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from nova_client import Invalid
from nova_client.model import Capability
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import Screen
from textual.widgets import Button, Checkbox, Input, Label

from nova_console.app import commands, form
from nova_console.app.bar import Bar
from nova_console.cli.output import escape, escape_line


class FormSheet(Screen[None]):
    """`submit` takes what was filled in; `note` stands on top, such as what could not be copied."""

    DEFAULT_CSS = """
    FormSheet VerticalScroll { padding: 0 1; }
    FormSheet Label { margin-top: 1; }
    FormSheet Input, FormSheet Input:focus { border: none; height: 1; background: $panel; }
    FormSheet Checkbox { border: none; }
    FormSheet Button { margin-top: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Back", show=False),
        Binding("down", "app.focus_next", "Next field", show=False),
        Binding("up", "app.focus_previous", "Field before", show=False),
    ]

    def __init__(
        self,
        card: Capability,
        given: Mapping[str, Any],
        node: str,
        submit: Callable[[form.Filled], None],
        note: str = "",
    ) -> None:
        super().__init__()
        self._card = card
        self._fields = form.fields(card, given)
        self._node = node
        self._submit = submit
        self._note = note

    def compose(self) -> ComposeResult:
        yield Bar("form-head")
        with VerticalScroll(can_focus=False):
            yield Label(escape(self._card.doc), markup=False)
            for index, field in enumerate(self._fields):
                yield Label(f"{field.label}  {field.hint}", markup=False)
                if field.toggle:
                    yield Checkbox("yes", value=field.text == "true", id=f"field-{index}")
                else:
                    yield Input(value=field.text, id=f"field-{index}")
            yield Button("Run", id="go")
        yield Bar("form-said")
        yield Bar("form-command")
        keys = Bar("form-keys")
        keys.show(
            [
                (" tab ", "key"),
                ("next field ", ""),
                (" enter ", "key"),
                ("run ", ""),
                (" esc ", "key"),
                ("back", ""),
            ]
        )
        yield keys

    def on_mount(self) -> None:
        name = escape_line(self._card.name)
        self.query_one("#form-head", Bar).show([(" nova ", "title"), (f"▸ Run ▸ {name}", "")])
        self._say(self._note, "suspect")
        self._show_command()
        self.query_one("#field-0" if self._fields else "#go").focus()

    def _texts(self) -> dict[str, str]:
        texts: dict[str, str] = {}
        for index, field in enumerate(self._fields):
            if field.toggle:
                checked = self.query_one(f"#field-{index}", Checkbox).value
                texts[field.name] = "true" if checked else "false"
            else:
                texts[field.name] = self.query_one(f"#field-{index}", Input).value
        return texts

    def _show_command(self) -> None:
        try:
            filled = form.fill(self._card, self._texts())
        except Invalid:
            line = [(" the same: fill in what has a *", "dim")]
        else:
            same = commands.run(self._card.name, filled.args, filled.paths, self._node)
            line = [(" the same: ", "dim"), (escape_line(same), "")]
        self.query_one("#form-command", Bar).show(line)

    def on_input_changed(self) -> None:
        self._show_command()

    def on_checkbox_changed(self) -> None:
        self._show_command()

    def on_input_submitted(self) -> None:
        self._go()

    def on_button_pressed(self) -> None:
        self._go()

    def _go(self) -> None:
        try:
            filled = form.fill(self._card, self._texts())
        except Invalid as error:
            self._say(f"{error.message}: {error.fix}", "down")
            return
        self.dismiss()
        self._submit(filled)

    def _say(self, text: str, style: str) -> None:
        self.query_one("#form-said", Bar).show([(f" {escape_line(text)}", style)] if text else [])

    def action_close(self) -> None:
        self.dismiss()
