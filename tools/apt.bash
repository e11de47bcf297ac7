# Debian packages for the scripts beside this file: whether we may install them, and how.
source "$(dirname "${BASH_SOURCE[0]}")/patience.bash"

as_root() {
    if [[ $(id -u) -eq 0 ]]; then "$@"; else sudo --non-interactive "$@"; fi
}

# Root or sudo without a password, and apt.
can_install_packages() {
    command -v apt-get >/dev/null \
        && { [[ $(id -u) -eq 0 ]] || sudo --non-interactive true 2>/dev/null; }
}

is_installed() {
    [[ $(dpkg-query --show --showformat '${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

# install_packages NAME...: those that are missing; refreshes the lists once if apt knows too little.
install_packages() {
    local package missing=()
    for package in "$@"; do
        is_installed "$package" || missing+=("$package")
    done
    [[ ${#missing[@]} -gt 0 ]] || return 0
    echo "installing ${missing[*]}" >&2
    apt_install "${missing[@]}" 2>/dev/null || patiently refresh_and_install "${missing[@]}"
}

refresh_and_install() {
    as_root apt-get update -qq -o Acquire::Retries=3 && apt_install "$@"
}

apt_install() {
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install --yes --quiet=2 --no-install-recommends \
        -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 "$@" >/dev/null # a new machine updates itself
}
