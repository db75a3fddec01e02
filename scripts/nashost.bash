# Completion for bash. Commands, options and values are those that nashost itself tells.
_nashost_plugins() { # program, kind: the ids of plugins of the kind, or of all
    "$1" plugins 2>/dev/null | awk -v kind="$2" 'NR > 1 && (kind == "" || $1 == kind) { print $2 }'
}

# The names of platforms whose search a run directory on the command line holds.
_nashost_platforms() {
    local folder file
    for folder in "${COMP_WORDS[@]:2}"; do
        for file in "$folder"/search/*.jsonl; do
            [[ -e $file ]] && basename "$file" .jsonl
        done
    done
}

# KEY= for every key of the pipeline on the command line, or of the run directory's one.
_nashost_keys() {
    local file
    for file in "${COMP_WORDS[@]:2}"; do
        [[ -d $file ]] && file=$file/pipeline.json
        [[ $file == *.json && -f $file ]] || continue
        "${COMP_WORDS[0]}" validate "$file" --json 2>/dev/null | awk '
            { match($0, /^ */); depth = RLENGTH / 2 }
            /^ *"[^"]*": / { key = $1; gsub(/[":]/, "", key); path[depth] = key; items[depth + 1] = 0 }
            /^ *[{]/ && depth > 0 { path[depth] = items[depth]++ }
            depth > 0 && /^ *"[^"]*": / && !/[[{]$/ {
                text = path[1]
                for (i = 2; i <= depth; i++) text = text "." path[i]
                print text "="
            }'
        return
    done
}

_nashost_values() { # program, command, option: values of the option
    case $3 in
    --format) _nashost_plugins "$1" export ;;
    --hardware) _nashost_plugins "$1" hardware ;;
    --cluster) _nashost_plugins "$1" cluster ;;
    --score) _nashost_plugins "$1" score ;;
    --dataset) _nashost_plugins "$1" dataset ;;
    --platform) _nashost_platforms ;;
    --kind) echo dataset ssl search hardware score export import cluster ;;
    --set) _nashost_keys ;;
    esac
}

_nashost() {
    local word=${COMP_WORDS[COMP_CWORD]} program=${COMP_WORDS[0]} help before=
    ((COMP_CWORD > 1)) && before=${COMP_WORDS[COMP_CWORD - 1]}
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        help=$("$program" --help 2>/dev/null | sed -n '/^commands:/,/^$/s/^  \([a-z]*\) .*/\1/p')
    elif [[ $word == -* ]]; then
        help="$("$program" "${COMP_WORDS[1]}" --help 2>/dev/null | grep -o -- '--[a-z][a-z-]*') --help"
    elif [[ $before == --* ]]; then
        help=$(_nashost_values "$program" "${COMP_WORDS[1]}" "$before")
    elif ((COMP_CWORD == 2)) && [[ ${COMP_WORDS[1]} == @(plugins|lut) ]]; then
        help=$("$program" "${COMP_WORDS[1]}" --help 2>/dev/null |
            sed -n "s/.*nashost ${COMP_WORDS[1]} \[*\([a-z]*\).*/\1/p")
    elif [[ ${COMP_WORDS[1]} == plugins && ${COMP_WORDS[2]} == describe ]]; then
        help=$(_nashost_plugins "$program" "")
    elif [[ ${COMP_WORDS[1]} == plugins && ${COMP_WORDS[2]} == new && $COMP_CWORD == 3 ]]; then
        help="dataset ssl search hardware score export"
    fi
    mapfile -t COMPREPLY < <(compgen -W "$help" -- "$word")
    [[ ${COMPREPLY[0]-} == *= ]] && compopt -o nospace 2>/dev/null
    return 0
}
complete -o default -F _nashost nashost
