# Completion for bash. Commands and options are those that nashost's own --help tells.
_nashost() {
    local word=${COMP_WORDS[COMP_CWORD]} program=${COMP_WORDS[0]} help
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        help=$("$program" --help 2>/dev/null | sed -n '/^commands:/,/^$/s/^  \([a-z]*\) .*/\1/p')
        mapfile -t COMPREPLY < <(compgen -W "$help" -- "$word")
    elif [[ $word == -* ]]; then
        help=$("$program" "${COMP_WORDS[1]}" --help 2>/dev/null | grep -o -- '--[a-z][a-z-]*')
        mapfile -t COMPREPLY < <(compgen -W "$help --help" -- "$word")
    elif ((COMP_CWORD == 2)) && [[ ${COMP_WORDS[1]} == @(plugins|lut) ]]; then
        help=$("$program" "${COMP_WORDS[1]}" --help 2>/dev/null |
            sed -n "s/.*nashost ${COMP_WORDS[1]} \[*\([a-z]*\).*/\1/p")
        mapfile -t COMPREPLY < <(compgen -W "$help" -- "$word")
    elif [[ ${COMP_WORDS[1]} == plugins && ${COMP_WORDS[2]} == describe ]]; then
        help=$("$program" plugins 2>/dev/null | awk 'NR > 1 { print $2 }')
        mapfile -t COMPREPLY < <(compgen -W "$help" -- "$word")
    fi
}
complete -o default -F _nashost nashost
