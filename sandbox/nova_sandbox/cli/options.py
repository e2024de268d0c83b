"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from nova_sandbox.image import DEFAULT
from nova_sandbox.limits import Tier

Command = TypeVar("Command", bound=Callable[..., Any])


def engine_option(command: Command) -> Command:
    return click.option(
        "--engine",
        default="",
        metavar="URL",
        help="unix://PATH; default $DOCKER_HOST, or Docker's.",
    )(command)


def image_option(command: Command) -> Command:
    return click.option(
        "--image",
        "image_name",
        default=DEFAULT,
        show_default=True,
        help="A name made by `image build`, or NAME@sha256:DIGEST.",
    )(command)


def json_option(command: Command) -> Command:
    return click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")(command)


def tier_option(command: Command) -> Command:
    return click.option(
        "--tier",
        type=click.Choice([tier.value for tier in Tier]),
        default=Tier.TRUSTED.value,
        show_default=True,
        help="How far the code is trusted: untrusted needs gVisor.",
    )(command)
