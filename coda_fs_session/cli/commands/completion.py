"""`coda-session completion`."""

from __future__ import annotations

import click

from ..run import Run
from ..verb import verb

# What comes back is quoted already, and put in as it is. The line goes along in the environment, since the words that
# bash makes of it are taken apart at `:` and `@` too.
_BASH = """\
_coda_session() {
    local kind= line
    COMPREPLY=()
    {
        IFS= read -r kind
        while IFS= read -r line; do COMPREPLY+=("$line"); done
    } < <(_CODA_SESSION_COMPLETE=bash _CODA_SESSION_LINE="${COMP_LINE:0:COMP_POINT}" \\
        _CODA_SESSION_BREAKS="$COMP_WORDBREAKS" "$1" </dev/null 2>/dev/null)
    [[ $kind != files ]] || compopt -o default
}
complete -F _coda_session coda-session
"""
# Read from a file of $fpath, it is the completion itself when the first tab is pressed.
_ZSH = """\
#compdef coda-session
compdef _coda-session coda-session
_coda-session() {
    local -a found
    found=("${(@f)$(_CODA_SESSION_COMPLETE=zsh "${words[1]}" "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" \\
        </dev/null 2>/dev/null)}")
    if [[ ${found[1]} == files ]]; then
        _files
    else
        compadd -U -V sessions -a -- 'found[2,-1]'
    fi
}
if [[ ${funcstack[1]} == _coda-session ]]; then _coda-session; fi
"""
_FISH = """\
function __coda_session
    set -lx _CODA_SESSION_COMPLETE fish
    set -l words (commandline -opc)
    set -l found (command $words[1] $words[2..-1] (string unescape -- (commandline -ct)) </dev/null 2>/dev/null)
    if test "$found[1]" = files
        __fish_complete_path (commandline -ct)
    else
        printf '%s\\n' $found[2..-1]
    end
end
complete -c coda-session -f -k -a '(__coda_session)'
"""
_SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


@verb("completion", "coda-session completion bash", "coda-session completion fish")
@click.argument("shell", type=click.Choice(list(_SCRIPTS)))
@click.pass_obj
def command(run: Run, shell: str) -> None:
    """Print what makes a shell complete verbs, options and names of sessions.

    For bash, put this into ~/.bashrc: eval "$(coda-session completion bash)". For zsh, put the same with zsh into
    ~/.zshrc, behind compinit. For fish, put the output into ~/.config/fish/completions/coda-session.fish.
    """
    run.out.write(_SCRIPTS[shell])
