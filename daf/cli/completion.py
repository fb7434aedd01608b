"""Completion in a shell: commands and flags at once, groups and keys by Hydra's own completion."""

import os
from collections.abc import Iterator, Sequence
from typing import Any

from daf.cli.doors import DAF, DAF_RUN, FRONTS, OTHER_COMMANDS, Door, subcommand, tasks_in
from daf.errors import DAFError

PROGRAMS = (DAF.program, DAF_RUN.program, *FRONTS)
_FLAGS = ("--help", "--version", "--json", "--multirun", "--cfg", "--config-dir", "--info", "--hydra-help")
_WORDS_OF = {"cache": ("show", "clear"), "account": ("login", "status", "logout"), "completion": ("bash", "zsh")}

# The word that readline replaces ends at the last = or : where these break words.
BASH = """\
_daf_completion() {{
    local line="${{COMP_LINE:0:COMP_POINT}}" word begun="" choice
    word="${{line##*[[:space:]]}}"
    if [[ "$COMP_WORDBREAKS" == *=* && "$word" == *=* ]]; then
        begun="${{word%"${{word##*=}}"}}"
    fi
    COMPREPLY=()
    while IFS= read -r choice; do
        COMPREPLY+=("${{choice#"$begun"}}")
    done < <(COMP_LINE="$line" "$1" --shell-completion query=bash 2>/dev/null)
    case "${{COMPREPLY[*]}}" in
        *[=./]) compopt -o nospace 2>/dev/null ;;
    esac
}}
complete -o default -F _daf_completion {programs}
"""
ZSH = """\
(( $+functions[compdef] )) || {{ autoload -Uz compinit && compinit; }}
_daf_completion() {{
    local line="${{(j: :)words[1,CURRENT-1]}} $PREFIX"
    local -a all open
    all=(${{(f)"$(COMP_LINE="$line" "$words[1]" --shell-completion query=zsh 2>/dev/null)"}})
    open=(${{(M)all:#*[=./]}})
    all=(${{all:#*[=./]}})
    (( $#open + $#all )) || {{ _files; return; }}
    (( $#open )) && compadd -S '' -- $open
    (( $#all )) && compadd -- $all
}}
compdef _daf_completion {programs}
"""


def script(shell: str) -> str:
    """What a shell evaluates so that it completes DAF's commands: `bash` or `zsh`."""
    return {"bash": BASH, "zsh": ZSH}[shell].format(programs=" ".join(PROGRAMS))


def asks_to_complete(arguments: Sequence[str]) -> bool:
    """Whether a shell asks, as its own script or Hydra's does."""
    queries = any(word.startswith("query=") for word in arguments)
    return queries and bool({"-sc", "--shell-completion"} & set(arguments))


def completions(door: Door) -> list[str]:
    """What the last word of `COMP_LINE` may become."""
    before, word = _words(os.environ.get("COMP_LINE", ""))
    if door == DAF:
        if not before:
            words = (*tasks_in(), *OTHER_COMMANDS, *_FLAGS)
            return sorted(choice for choice in words if choice.startswith(word))
        name, *before = before
        if name in _WORDS_OF:
            return [choice for choice in _WORDS_OF[name] if choice.startswith(word) and not before]
        door = subcommand(name, tasks_in()) or DAF_RUN
    if word.startswith("-"):
        return [flag for flag in _FLAGS if flag.startswith(word)]
    return list(_of_hydra(door, before, word))


def _words(line: str) -> tuple[list[str], str]:
    """The words behind the program's name up to the last one, and that, which is empty after a space."""
    words = line.split()
    if line[-1:].isspace() or len(words) < 2:
        return words[1:], ""
    return words[1:-1], words[-1]


def _of_hydra(door: Door, before: Sequence[str], word: str) -> Iterator[str]:
    """Groups, options and keys, as the config stands with what is typed already."""
    from hydra.plugins.completion_plugin import DefaultCompletionPlugin

    from daf.cli.command_line import read_command_line
    from daf.config.compose import hydra_on

    try:
        command = read_command_line([text for text in before if text != "--json"], door)
        # A value in quotes may be half in the words before.
        overrides = [text for text in command.overrides if "=" in text]
        with hydra_on(command.config_dir, command.extra_config_dir) as hydra:
            plugin: Any = DefaultCompletionPlugin(hydra.config_loader)
            found = plugin._query(command.config_name, " ".join([*overrides, word]))
    except (DAFError, SystemExit):  # what is typed so far is wrong: running it says how
        return
    own = ("task=", "task.") if door.task else ()
    yield from (choice for choice in found if not choice.startswith(own or ("\n",)))
