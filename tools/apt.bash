# Debian packages for the scripts beside this file: whether we may install them, and how.

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
    echo "installing ${missing[*]}"
    apt_install "${missing[@]}" 2>/dev/null || { as_root apt-get update -qq && apt_install "${missing[@]}"; }
}

apt_install() {
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install --yes --quiet=2 --no-install-recommends "$@" >/dev/null
}
