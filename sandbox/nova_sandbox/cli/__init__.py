"""The command `nova-sandbox`. Importing it loads click and nothing heavy.

Exit codes: 0 done; 1 the program failed, or something is bad; 2 a mistake in the command;
3 the engine is out of reach; 4 a limit stopped the program; 5 refused.
"""

from __future__ import annotations

from typing import Any

import click

from nova_sandbox.cli.diagnose import doctor, test
from nova_sandbox.cli.fault import fault_of
from nova_sandbox.cli.image import image
from nova_sandbox.cli.pool import pool
from nova_sandbox.cli.run import run
from nova_sandbox.errors import SandboxError


class _Sandbox(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except SandboxError as error:
            raise fault_of(error) from None


@click.group(cls=_Sandbox, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="nova-mesh", prog_name="nova-sandbox")
def main() -> None:
    """Foreign code in warm containers: run it, build images, find out what is missing."""


for _command in (run, pool, image, doctor, test):
    main.add_command(_command)
