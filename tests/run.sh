#!/usr/bin/env bash
# Installs what the tests need (Debian, only what is missing) and runs all of them.
#   tests/run.sh [--fast] [--list] [SUITE ...]
# --fast: what one build of gcc can run: lint, unit tests, command line, end-to-end tests, installing.
# The last line says how many checks passed and failed; the exit status is not 0 if any failed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# What --fast needs, and what all of it needs besides.
packages=(
    gcc libc6-dev clang-format meson ninja-build pkg-config ccache libuv1-dev libmicrohttpd-dev
    libgnutls28-dev zlib1g-dev libcjson-dev libhttp-parser-dev libcmocka-dev python3 curl openssl
    ca-certificates git
)
more_packages=(
    clang libomp-dev clang-tidy python3-venv haproxy nginx-light buildah debootstrap procps
)

# Not in the archive of every architecture; without them the suite `cross` is skipped.
cross_packages=(gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user)

# Without them parts of the suite `clients` are skipped.
client_packages=(nghttp2-client wrk)

# Without it the suite `page` is skipped.
browser_packages=(chromium-headless-shell fonts-dejavu-core)

# Without them parts of the suites `deploy` and `clients` are skipped.
deploy_packages=(prometheus systemd docker-compose)

install() {
    local package missing=() sudo=
    for package; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    echo "installing ${missing[*]}"
    [ "$(id -u)" -eq 0 ] || sudo=sudo
    $sudo apt-get -qq update &&
        $sudo env DEBIAN_FRONTEND=noninteractive DEBCONF_NOWARNINGS=yes \
            apt-get -qq install -y --no-install-recommends "${missing[@]}" >/dev/null
}

# A list of suites needs nothing but Python.
case " $* " in *" --list "*)
    install python3
    exec python3 tests/run.py "$@" ;;
esac

install "${packages[@]}"
case " $* " in *" --fast "*)
    exec python3 tests/run.py "$@" ;;
esac
install "${more_packages[@]}"
install "${cross_packages[@]}" || echo "going on without a cross build"
install "${client_packages[@]}" || echo "going on without h2load and wrk"
install "${deploy_packages[@]}" || echo "going on without Prometheus, systemd-analyze or docker-compose"
install "${browser_packages[@]}" || echo "going on without a browser"

exec python3 tests/run.py "$@"
