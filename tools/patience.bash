# For the scripts beside this file: downloads from networks that stutter.

# patiently COMMAND...: again after a failure, three times in all; the last failure is ours.
patiently() {
    local pause
    for pause in 5 20; do
        "$@" && return
        echo "that did not work; again in $pause seconds" >&2
        sleep "$pause"
    done
    "$@"
}
