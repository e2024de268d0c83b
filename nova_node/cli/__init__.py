"""The command `nova-node`. Importing it loads click and nothing heavy; each command loads its own.

Exit codes: 0 done, 1 failed, 2 a mistake in the command or the config, 3 unreachable, 5 refused.
"""

from __future__ import annotations

from typing import Any

import click

from nova_node.cli.ask import drain, resume, status
from nova_node.cli.audit import audit
from nova_node.cli.bundle import bundle
from nova_node.cli.completion import completion
from nova_node.cli.diagnose import doctor
from nova_node.cli.fault import fault_of
from nova_node.cli.init import init
from nova_node.cli.join import join
from nova_node.cli.members import members
from nova_node.cli.revoke import revoke
from nova_node.cli.rotate import rotate
from nova_node.cli.secret import secret
from nova_node.cli.serve import config, demo, start
from nova_node.cli.token import token
from nova_node.cli.user import user
from nova_node.core.errors import NovaError


class _Nova(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except NovaError as error:
            raise fault_of(error) from None


@click.group(cls=_Nova, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="nova-mesh", prog_name="nova-node")
def main() -> None:
    """A node of a Nova mesh: start one, look at it, drain it, find out what is wrong.

    Beyond this machine a mesh has members only: `init` makes one, `token` and `join` let others in.
    """


for _command in (
    *(start, init, join, demo, doctor, config, drain, resume, status),
    *(token, user, members, revoke, rotate, secret, audit, bundle, completion),
):
    main.add_command(_command)
