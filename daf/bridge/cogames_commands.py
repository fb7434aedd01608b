"""CoGames' own command line, with more commands beside its own."""

from collections.abc import Callable, Mapping, Sequence

#: What a command does, and how: it takes the words behind its name.
Command = tuple[str, Callable[[Sequence[str]], None]]


def run_cogames(program: str, panel: str, commands: Mapping[str, Command]) -> None:
    """Hands this process over to CoGames' command line, as its own command does.

    Args:
        program: what its help calls it.
        panel: heading under which its help lists the commands.
        commands: by name.
    """
    import typer
    from cogames.main import app

    for name, (about, act) in commands.items():

        def command(context: typer.Context, act: Callable[[Sequence[str]], None] = act) -> None:
            act(context.args)

        app.command(
            name,
            help=about,
            rich_help_panel=panel,
            add_help_option=False,
            context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
        )(command)
    app(prog_name=program)
