"""Groups of commands that name the nearest one where a name is misspelt; they know no command."""

from __future__ import annotations

from collections.abc import Mapping

import click

from ..wording import did_you_mean


class NamingGroup(click.Group):
    """A group whose errors name the commands that there are, whatever the release of click.

    Attributes:
        meant: words that people try -> the command that does it.
    """

    meant: Mapping[str, str] = {}

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the first word names; a word that names none is an error, but not while a shell asks."""
        name, known = args[0], self.list_commands(ctx)
        if name in known or name.startswith("-") or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        meant = self.meant.get(name.lower())
        hint = f" (did you mean {meant}?)" if meant else did_you_mean(name.lower(), known)
        return ctx.fail(f"no command {name!r}{hint}: there are {', '.join(known)}")
