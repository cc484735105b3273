"""The command line's frame: which commands there are, and how an error becomes one line and an exit code.

The commands of a group live in the module of its name, which is imported only when one runs: `--help` costs nothing.
"""

from __future__ import annotations

import errno
import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from .. import __version__
from ..errors import SurgeonError, missing_package
from ..wording import did_you_mean
from . import say
from .say import give_up, leave, prepare_streams

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

#: Group of commands -> command -> one line of help; in the order of `--help`.
GROUPS = {
    "Edit": {
        "insert": "Put LSKA into a model YAML.",
        "replace": "Put other blocks in the place of rows, or another backbone.",
        "levels": "Give the output layer pyramid levels more or less.",
        "remove": "Take out what was put in, byte for byte, or rows by name.",
        "check": "Find wiring errors in model YAMLs.",
    },
    "Inspect": {
        "positions": "Show a model's layers and where LSKA may go.",
        "diff": "Tell how two models differ.",
        "flops": "Count parameters, MACs and FLOPs.",
        "curves": "Show cost against kernel size.",
        "latency": "Measure how long models take on this machine.",
        "draw": "Draw a network, its positions, or what sets two apart.",
        "inspect": "Show what a checkpoint holds.",
        "erf": "Show what layers of a trained network see.",
    },
    "Weights": {
        "graft": "Put LSKA into a trained checkpoint without losing a weight.",
        "ungraft": "Take LSKA out of a grafted checkpoint again.",
        "adopt": "Write a checkpoint of a fork or a tutorial anew.",
        "train": "Train a graft or a variant, as Ultralytics trains any model.",
        "export": "Export a checkpoint for a device, and prove it beside torch.",
    },
    "Experiments": {
        "templates": "Recipes and CI files to start from.",
        "variants": "Write and guard the variants that a recipe asks for.",
        "ablate": "Train all variants of a recipe, with seeds.",
        "results": "Tell what the trainings came to, and what that shows.",
        "report": "Write one page on all variants of a recipe.",
    },
    "Environment": {
        "blocks": "List the blocks that are known, and declare your own.",
        "yolo": "Run Ultralytics' own command with LSKA registered.",
        "autoload": "Let plain `yolo` know LSKA in this environment.",
        "doctor": "Look for the known traps of this environment.",
    },
}
#: Command -> one line of help.
COMMANDS = {name: text for group in GROUPS.values() for name, text in group.items()}
#: What other tools call what a command here does.
MEANT = {
    **dict.fromkeys(("compare", "delta"), "diff"),
    **dict.fromkeys(("add", "inject", "apply", "put"), "insert"),
    **dict.fromkeys(("swap", "exchange", "substitute"), "replace"),
    **dict.fromkeys(("pyramid", "p2", "p6"), "levels"),
    **dict.fromkeys(("undo", "delete", "restore", "revert"), "remove"),
    **dict.fromkeys(("plot", "render", "view", "visualize", "visualise"), "draw"),
    **dict.fromkeys(("info", "show", "describe"), "inspect"),
    **dict.fromkeys(("lint", "validate", "verify"), "check"),
    **dict.fromkeys(("count", "params", "macs", "gflops", "summary"), "flops"),
    **dict.fromkeys(("list", "layers", "where"), "positions"),
    **dict.fromkeys(("bench", "benchmark", "speed", "time"), "latency"),
    **dict.fromkeys(("transplant", "load", "finetune"), "graft"),
    **dict.fromkeys(("convert", "deploy", "onnx", "openvino", "ncnn", "tensorrt"), "export"),
    **dict.fromkeys(("generate", "sweep"), "variants"),
    **dict.fromkeys(("ablation", "experiment"), "ablate"),
}
#: What other tools call an option; the first that a command has counts.
MEANT_OPTIONS = {
    **dict.fromkeys(("--kernel", "--kernel-size", "--kernel_size", "--k-size", "--k_size", "--ks"), "--k"),
    **dict.fromkeys(("--position", "--positions", "--where", "--layer", "--layers"), "--at"),
    **dict.fromkeys(("--operator", "--attention", "--attn", "--block", "--module"), "--op"),
    **dict.fromkeys(("--out", "--save", "--dest"), "--output"),
    **dict.fromkeys(("--img", "--img-size", "--image-size", "--size"), "--imgsz"),
    **dict.fromkeys(("--overwrite", "--exist-ok"), "--force"),
    **dict.fromkeys(("--dry", "--plan", "--preview"), "--dry-run"),
}
EXIT_ERROR = 2


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


class SurgeonGroup(NamingGroup):
    """A group that imports a command when it is called and prints an error as one line."""

    meant = MEANT

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, in the order of `COMMANDS`."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now."""
        home = next((group for group, commands in GROUPS.items() if cmd_name in commands), None)
        if home is None:
            return None
        command = getattr(importlib.import_module(f".{home.lower()}", __package__), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the words; without any, the help is what is asked for, which newer releases of click call an error."""
        options = next((at for at, word in enumerate(args) if not word.startswith("-")), len(args))
        if "--lang" in args[:options]:  # before --help, which ends all
            at = args.index("--lang")
            args = [*args[at : at + 2], *args[:at], *args[at + 2 :]]
        alone = not args or (len(args) == 2 and args[0] == "--lang")
        return super().parse_args(ctx, [*args, "--help"] if alone and not ctx.resilient_parsing else args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; Ctrl-C leaves a line of its own only where the terminal has shown `^C`."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            if sys.stderr.isatty():
                click.echo(err=True)
            raise click.Abort from stop

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the first screen, in the language that was asked for, or that the system speaks."""
        if language(ctx.params.get("lang")) == "zh":
            from .chinese import write_help

            write_help(GROUPS, formatter)
        else:
            super().format_help(ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, group by group, without importing any of them."""
        width = max(map(len, COMMANDS))
        for group, commands in GROUPS.items():
            with formatter.section(group):
                formatter.write_dl([(f"{name:{width}}", text) for name, text in commands.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Commands and options that begin so, without importing any command."""
        from click.shell_completion import CompletionItem  # here, for only a shell asks

        commands = [CompletionItem(name, help=text) for name, text in COMMANDS.items() if name.startswith(incomplete)]
        return commands + click.Command.shell_complete(self, ctx, incomplete)

    def main(  # takes what every overload of click takes
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run, and exit: 0 done, 1 a check failed, 2 an error in what was asked."""
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        prepare_streams()
        try:
            code = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        except click.UsageError as error:
            words = error.ctx.command_path if error.ctx else "lska-surgeon"
            say.error(f"{' '.join(_message_of(error).split()).rstrip('.')} (see {words} --help)")
            code = EXIT_ERROR
        except SurgeonError as error:
            say.error(error.as_typed)
            code = EXIT_ERROR
        except click.ClickException as error:
            say.error(str(error))
            code = EXIT_ERROR
        except ModuleNotFoundError as error:
            missing = missing_package(error)
            if missing is None:
                raise
            say.error(str(missing))
            code = EXIT_ERROR
        except (KeyboardInterrupt, click.Abort):
            say.line("Stopped.", err=True)
            code = 130
        except OSError as error:
            if error.errno == errno.EPIPE:
                code = 1  # the consumer of our output has gone (`| head`)
            else:  # what the system refuses and no module foresaw: a name too long, a full disk
                where = str(error.filename)[:80] if error.filename else "the output can't be written"
                say.error(f"{error.strerror or error}: {where}")
                code = EXIT_ERROR
            give_up(sys.stdout)
        leave(code if isinstance(code, int) else 0, whole_process=args is None)


def language(asked: str | None) -> str:
    """The language of the first screen: as asked for, else as the system's messages are, of English and Chinese."""
    names = ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")  # the order in which gettext looks at them
    spoken = next(filter(None, map(os.environ.get, names)), "")
    return asked or ("zh" if spoken.startswith("zh") else "en")


def _message_of(error: click.UsageError) -> str:
    """What click says; of an option of another tool's, what it is called here."""
    if isinstance(error, click.NoSuchOption) and error.ctx:
        meant = MEANT_OPTIONS.get(error.option_name)
        if any(meant in one.opts for one in error.ctx.command.params):
            return f"{error.message.rstrip('.')} (did you mean {meant}?)"
    return error.format_message()


@click.group(
    cls=SurgeonGroup,
    epilog="lska-surgeon COMMAND --help tells the rest. Documentation: README.md, and one page a subject in docs/.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.option(
    "--lang", type=click.Choice(["en", "zh"]), is_eager=True, help="Language of this page; LANG's by default."
)
@click.version_option(__version__, prog_name="lska-surgeon")
def main(lang: str | None) -> None:
    """Model surgery for YOLO: put Large Separable Kernel Attention (LSKA) into Ultralytics models.

    \b
    Example:
      lska-surgeon insert yolov8s.yaml --at neck --k 35
    """
