#!/bin/sh
# Widget tests need a Chromium. Installs Debian's where there is none and apt may; else says in one line what to do.
for name in chromium chromium-browser google-chrome google-chrome-stable \
    "/Applications/Chromium.app/Contents/MacOS/Chromium" "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"; do
    command -v "$name" >/dev/null 2>&1 && exit 0
done
if [ "$(id -u)" = 0 ]; then as_root=""; else as_root="sudo -n"; fi
if command -v apt-get >/dev/null 2>&1 && { [ -z "$as_root" ] || $as_root true 2>/dev/null; }; then
    echo "No Chromium found: installing Debian's package chromium"
    $as_root apt-get update -qq && DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq chromium >/dev/null && exit 0
fi
echo "No Chromium found: install one (Debian: sudo apt-get install chromium; macOS: brew install --cask chromium) and run make test again" >&2
exit 1
