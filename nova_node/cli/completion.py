"""`completion`: the script that teaches a shell the commands and options."""

from __future__ import annotations

import click


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print a completion script.

    \b
    bash: eval "$(nova-node completion bash)"
    zsh:  eval "$(nova-node completion zsh)"
    fish: nova-node completion fish | source
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(ctx.find_root().command, {}, "nova-node", "_NOVA_NODE_COMPLETE")
    click.echo(script.source())
