# shellcheck shell=bash
# A display that shows nothing, for programs with windows. To be sourced after lib.sh, in its directory of files.

# Starts an X server of its own, and sets DISPLAY.
start_display() {
    # No program is to look for a message bus, or to start one.
    export DBUS_SESSION_BUS_ADDRESS=disabled: DBUS_SYSTEM_BUS_ADDRESS=disabled: NO_AT_BRIDGE=1
    # It writes the number of the display that it found free.
    background display.log Xvfb -displayfd 1 -screen 0 1280x1024x24 -nolisten tcp
    wait_until grep -qxE '[0-9]+' display.log || die "Xvfb does not start: $(cat display.log)"
    DISPLAY=:$(grep -xE '[0-9]+' display.log)
    export DISPLAY
}
