# shellcheck shell=bash
# Call Scheduler
# SPDX-License-Identifier: Apache-2.0
#
# The broker's management API for the scripts that set it up. Sourced, never run.

# manage METHOD MANAGEMENT_URL PATH [CURL_OPTION…]: the body comes on standard input, and the administrator's password in a
# file of options, because arguments can be seen by everybody on the host.
manage() {
    local method=$1 url=${2%/} path=$3 answer credentials=''
    shift 3
    if [[ $url =~ ^(https?://)([^/@]*)@(.*)$ ]]; then
        credentials=${BASH_REMATCH[2]}
        url=${BASH_REMATCH[1]}${BASH_REMATCH[3]}
        credentials=$(printf '%s' "$credentials" | python3 -c 'import sys, urllib.parse
text = urllib.parse.unquote(sys.stdin.read()).replace("\\", "\\\\").replace("\"", "\\\"")
print(f"user = \"{text}\"")')
    fi
    answer=$(curl -sS -m 30 -K <(printf '%s\n' "$credentials") "$@" -w '\n%{http_code}' -X "$method" \
        -H 'content-type: application/json' --data-binary @- "$url/api/$path") || die "$url cannot be reached"
    [[ ${answer##*$'\n'} == 2?? ]] || die "the broker answered ${answer##*$'\n'} to $path: ${answer%$'\n'*}"
}

# A virtual host's name as part of a path.
encoded_vhost() {
    local vhost=${1//%/%25}
    printf '%s\n' "${vhost//\//%2F}"
}

# given ARGUMENT: the argument, or what the file holds that `@FILE` names.
given() {
    if [[ $1 != @* ]]; then
        printf '%s\n' "$1"
    elif [[ -r ${1#@} ]]; then
        cat "${1#@}"
    else
        die "${1#@} cannot be read"
    fi
}
