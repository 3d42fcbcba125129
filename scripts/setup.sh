#!/usr/bin/env bash
# Installs what Chiasm needs from Debian's packages; does nothing when it is all there.
#   scripts/setup.sh               to build and run
#   scripts/setup.sh --speech      also a voice, for the demonstration of speech
#   scripts/setup.sh --developer   also to test: clang, formatters, GoogleTest, an ARM emulator, a browser
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

packages=(cmake g++ make ninja-build ccache pkg-config libpcre2-dev libutf8proc-dev nlohmann-json3-dev
  zlib1g-dev libjpeg-dev libpng-dev libwebp-dev libgif-dev libtiff-dev libstb-dev libsndfile1-dev
  libmpg123-dev libsoxr-dev libavformat-dev libavcodec-dev libswscale-dev)
case "${1:-}" in
  "") ;;
  --speech) packages+=(espeak-ng) ;;
  --developer)
    packages+=(libgtest-dev libgmock-dev libbenchmark-dev clang libclang-rt-dev clang-format
      clang-tidy g++-aarch64-linux-gnu qemu-user chromium)
    ;;
  *)
    echo "usage: setup.sh [--speech | --developer]" >&2
    exit 2
    ;;
esac
find_python >/dev/null || packages+=(python3 python3-venv python3-dev)

command -v dpkg-query >/dev/null ||
  die "this is not Debian or a relative of it; install by hand what the packages ${packages[*]} hold"
missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null || true)
  [ "$status" = "install ok installed" ] || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  echo "setup: all ${#packages[@]} packages are there"
  exit 0
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || die "needs root or sudo to install: ${missing[*]}"
  as_root=(sudo)
fi
echo "setup: installing ${missing[*]}"
apt() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Acquire::Retries=3 "$@"; }
unreachable="is there a network? Needed: ${missing[*]}"
apt update || die "the package lists cannot be fetched; $unreachable"
apt install -y --no-install-recommends "${missing[@]}" >/dev/null ||
  die "the packages cannot be installed; $unreachable"
find_python >/dev/null || die "Debian's python3 is older than 3.10"
echo "setup: done"
