# shellcheck shell=bash
# Opens pages in Firefox. To be sourced after mozilla/application.sh.

# visit URL [PIN...]: opens the page; Cancel follows the last PIN. What was shown is in `seen`, the page in `page`.
visit() {
    drive firefox/visit.js "$@"
    read_page
}

read_page() {
    mv seen visit
    drive page >/dev/null
    mv seen page
    mv visit seen
}
