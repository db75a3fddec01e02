#!/bin/sh
# Every plugin that is shipped passes what `nashost plugins check` does with a stranger's.
set -u
. tests/lib/small-run
profile="{\"profile\": \"$PWD/plugins/hardware/profiles/mcu.json\"}"
printf '#!/bin/sh\necho "{\\"latency_ms\\": 1}"\n' >"$dir/measure"
chmod +x "$dir/measure"
for plugin in "$NASHOST_PLUGIN_DIR"/*/*.so; do
    options='{}'
    case $plugin in
    */roofline.so) options=$profile ;;
    */command.so) options="{\"command\": [\"$dir/measure\"]}" ;;
    esac
    "$NASHOST" plugins check "$plugin" --options "$options" >"$dir/stdout" 2>"$dir/stderr"
    code=$? name=${plugin#"$NASHOST_PLUGIN_DIR"/}
    if [ $code = 0 ]; then
        echo "ok - $name"
    elif [ $code = 2 ] && grep -qE 'missing; expected|[Nn]o such file' "$dir/stderr"; then
        echo "ok - $name, which needs files # SKIP"
    else
        echo "not ok - $name: exit code $code: $(cat "$dir/stderr")"
        failed=1
    fi
done
exit "$failed"
