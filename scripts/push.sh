#!/bin/sh
# Push to web pages through a Cometify server. Needs a POSIX shell, curl and openssl.
#
#   COMETIFY_URL=https://KEY:SECRET@push.example.org scripts/push.sh guestbook 'Hello world!'
#
# The request is signed with HMAC. The API secret is an argument of no process, so other users of this machine cannot see it.
set -u
LC_ALL=C
export LC_ALL
umask 077

usage() {
    cat <<'END'
push.sh [OPTIONS] IDENTIFIER [TEXT]   push TEXT, or the standard input, to IDENTIFIER
  --secret         only pages with a valid secureKey or token get it
  --data           the text is a JSON value, and pages get it as data
  --push-id N      your own number for it, from 0 to 2^63 - 1
  --event NAME     the name of what happened
  --except ID      the listener id of the page that caused it, which does not get it
  --key KEY        calls with the same Idempotency-Key push once; by default each call makes a new one
  --timeout SECS   whole seconds for all tries; 2 by default
  --bearer         send the API secret itself instead of a signature
COMETIFY_URL is https://KEY:SECRET@push.example.org. In the secret, percent-encode @ / ? # [ ] % and spaces.
Exit status: 0 pushed, and the answer is printed; 1 not pushed; 2 called wrongly; 3 nobody knows if it was pushed.
END
}

wrong() {
    echo "push.sh: $1" >&2
    exit 2
}

# The options.

secret=0 kind=text push_id='' event='' except='' key='' timeout=2 bearer=''
while [ $# -gt 0 ]; do
    case $1 in
        --push-id | --event | --except | --key | --timeout) [ $# -gt 1 ] || wrong "$1 needs a value." ;;
    esac
    case $1 in
        --help) usage; exit 0 ;;
        --secret) secret=1 ;;
        --data) kind=data ;;
        --bearer) bearer=1 ;;
        --push-id) push_id=$2; shift ;;
        --event) event=$2; shift ;;
        --except) except=$2; shift ;;
        --key) key=$2; shift ;;
        --timeout) timeout=$2; shift ;;
        --) shift; break ;;
        --*) wrong "There is no option $1: see push.sh --help." ;;
        *) break ;;
    esac
    shift
done
[ $# -eq 1 ] || [ $# -eq 2 ] || { usage >&2; exit 2; }
identifier=$1
# These stand in the path and in JSON as they are.
for value in "$identifier" "$push_id" "$event" "$except"; do
    case $value in
        *[!A-Za-z0-9_.-]*) wrong "'$value' must have letters, digits and _ . - alone." ;;
    esac
done
case $identifier in
    *[!.]*) ;;
    *) wrong 'The identifier must be a name such as guestbook.' ;;
esac
case $timeout in
    '' | *[!0-9]* | 0* | ??????*) wrong '--timeout must be a whole number of seconds above 0.' ;;
esac
case $key in
    *[!\ -~]* | ' '* | *' ') wrong '--key must have printable ASCII characters, and no space at its ends.' ;;
esac
[ ${#key} -le 128 ] || wrong '--key must have at most 128 characters.'

# The URL. `field N` is a part of it.

parts=$(printf '%s\n' "${COMETIFY_URL-}" | sed -n 's!^\(https\{0,1\}\)://\([A-Za-z0-9_-]\{1,64\}\):\([^]@/?#[:space:][]\{1,\}\)@\([][A-Za-z0-9._:-]\{1,\}\)\(/[A-Za-z0-9._~/-]*\)\{0,1\}\(?bearer=\([01]\)\)\{0,1\}$!\1 \2 \3 \4 \5 \7!p')
form='COMETIFY_URL must be https://KEY:SECRET@push.example.org. In the secret, percent-encode @ / ? # [ ] % and spaces.'
[ -n "$parts" ] || wrong "$form"
field() { printf '%s\n' "$parts" | cut -d ' ' -f "$1"; }
scheme=$(field 1) api_key=$(field 2) encoded=$(field 3) host=$(field 4) prefix=$(field 5) chosen=$(field 6)
printf '%s\n' "$host" | grep -Eq '^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$' || wrong "$form"
while [ "${prefix%/}" != "$prefix" ]; do prefix=${prefix%/}; done
server=$scheme://$host$prefix
case $chosen in
    1) bearer=1 ;;
    0) bearer='' ;;
esac

# The secret in hexadecimal.
secret_hex=''
while [ -n "$encoded" ]; do
    case $encoded in
        %[0-9A-Fa-f][0-9A-Fa-f]*)
            two=${encoded#?}
            secret_hex=$secret_hex${two%"${two#??}"}
            encoded=${encoded#???}
            ;;
        %* | [!!-~]*) wrong "$form" ;;
        *)
            secret_hex=$secret_hex$(printf '%02x' "'${encoded%"${encoded#?}"}")
            encoded=${encoded#?}
            ;;
    esac
done

# The octal escapes of the bytes of a hexadecimal text. `mask`: each byte is combined with it by exclusive or.
escapes() {
    hex=$1 mask=$2 octal=''
    while [ -n "$hex" ]; do
        byte=$((0x${hex%"${hex#??}"} ^ mask))
        octal=$octal\\0$((byte / 64))$((byte / 8 % 8))$((byte % 8))
        hex=${hex#??}
    done
    printf '%s' "$octal"
}

sha256() { openssl dgst -sha256 -r | cut -c 1-64; }

# HMAC-SHA256 (RFC 2104) of the standard input. `openssl dgst -hmac` would have the secret as an argument.
padded=$secret_hex
[ ${#padded} -le 128 ] || padded=$(printf '%b' "$(escapes "$secret_hex" 0)" | sha256)
while [ ${#padded} -lt 128 ]; do padded=${padded}00; done
inner=$(escapes "$padded" 0x36) outer=$(escapes "$padded" 0x5c)
hmac() { { printf '%b' "$inner"; cat; } | openssl dgst -sha256 -binary | { printf '%b' "$outer"; cat; } | sha256; }

authorization=''
if [ -n "$bearer" ]; then
    printf '%s\n' "$server" | grep -Eq '^https:|^http://(localhost|127(\.[0-9]{1,3}){3}|\[::1\])(:[0-9]+)?(/|$)' ||
        wrong "The API secret itself is not sent to $server, because others can read it on the way. Use https, or leave bearer out."
    authorization=$(printf '%b' "$(escapes "$secret_hex" 0)")
    case $authorization in
        *[!\ -~]* | ' '* | *' ') wrong 'This API secret cannot stand in a header: leave bearer out.' ;;
    esac
    authorization=$(printf '%s' "$authorization" | sed 's/[\\"]/\\&/g')
fi

# The body.

folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
trap 'exit 3' HUP INT TERM
content() { if [ $# -eq 2 ]; then printf '%s' "$2"; else cat; fi; }
if [ $kind = data ]; then
    type=application/json
    {
        printf '{"secret":%s' "$secret"
        [ -z "$push_id" ] || printf ',"push_id":"%s"' "$push_id"
        [ -z "$event" ] || printf ',"event":"%s"' "$event"
        [ -z "$except" ] || printf ',"except":"%s"' "$except"
        printf ',"data":'
        content "$@"
        printf '}'
    } >"$folder/body"
else
    type=application/x-www-form-urlencoded
    {
        printf 'secret=%s' "$secret"
        [ -z "$push_id" ] || printf '&push_id=%s' "$push_id"
        [ -z "$event" ] || printf '&event=%s' "$event"
        [ -z "$except" ] || printf '&except=%s' "$except"
        printf '&text='
        content "$@" | od -An -v -tx1 | tr -d ' \n' | sed 's/../%&/g'
    } >"$folder/body"
fi

# The tries. All have one Idempotency-Key. Times are in milliseconds.

[ -n "$key" ] || key=$(openssl rand -hex 16)
path=/$api_key/push/$identifier
hash=$(sha256 <"$folder/body")
left=$((timeout * 1000)) pause=50 in_doubt='' end=$(($(date +%s) + timeout))

# One try of $1 milliseconds. Sets status (000: no answer), spent, and failed, the exit status of curl.
try() {
    {
        if [ -n "$bearer" ]; then
            printf 'header = "Authorization: Bearer %s"\n' "$authorization"
            # A proxy would bring the secret of a request to this machine into the network.
            [ "$scheme" = https ] || echo 'noproxy = "*"'
        else
            time=$(date +%s) nonce=$(openssl rand -hex 16)
            signature=$(printf 'v2\nPOST\n%s\n%s\n%s\n%s\n%s\n%s' "$path" "$time" "$nonce" "$type" "$key" "$hash" | hmac)
            printf 'header = "Cometify-%s"\n' "Timestamp: $time" "Nonce: $nonce" "Signature: $signature"
        fi
    } >"$folder/config"
    : >"$folder/answer"
    : >"$folder/head"
    told=$(curl --disable --config "$folder/config" --globoff --path-as-is --silent --show-error \
        --max-time "$(($1 / 1000)).$(printf '%03d' $(($1 % 1000)))" \
        --header "Content-Type: $type" --header 'Expect:' --header "Idempotency-Key: $key" --data-binary "@$folder/body" \
        --dump-header "$folder/head" --output "$folder/answer" --write-out '%{http_code} %{time_total} %{time_pretransfer}' \
        "$server$path" 2>"$folder/why")
    failed=$?
    status=${told%% *}
    spent=$(printf '%s\n' "$told" | awk '{ printf "%d", $2 * 1000 }')
    wait=$(sed -n 's/^[Rr][Ee][Tt][Rr][Yy]-[Aa][Ff][Tt][Ee][Rr]: *\([0-9]\{1,8\}\) *\r*$/\1/p' "$folder/head" | tail -n 1)
}

while :; do
    limit=$((left / 2))
    [ $limit -ge 100 ] || limit=100
    try $limit
    again=1 lost='' away=1
    if [ $failed -ne 0 ]; then
        status=000
        case $failed in
            5 | 6 | 7) ;;
            60 | 77) again='' ;;
            # Without a time before the transfer, there was no connection.
            *) [ "${told##* }" = 0.000000 ] || lost=1 ;;
        esac
    else
        case $status in
            200)
                if grep -q '"position"' "$folder/answer"; then
                    printf '%s\n' "$(cat "$folder/answer")"
                    exit 0
                fi
                lost=1
                ;;
            500 | 502 | 503 | 504) grep -Eq '"code": *"(overloaded|draining)"' "$folder/answer" || lost=1 ;;
            *)
                again=''
                [ "$status" != 429 ] || again=$wait
                ! grep -q '"code": *"' "$folder/answer" || away=''
                ;;
        esac
    fi
    # A refusal of the server ends all doubt: it would have answered with the result of the earlier try. The page of a proxy
    # tells nothing about earlier tries.
    if [ -n "$lost" ]; then in_doubt=1; elif [ -z "$away" ]; then in_doubt=''; fi
    if [ -n "$wait" ]; then rest=$((wait * 1000)); else rest=$pause; fi
    left=$((left - spent - rest))
    # On a slow machine the commands between the tries take time too.
    most=$(((end - $(date +%s)) * 1000 - rest))
    [ $left -le $most ] || left=$most
    if [ -z "$again" ] || [ $left -lt 100 ]; then break; fi
    sleep "$((rest / 1000)).$(printf '%03d' $((rest % 1000)))"
    [ $pause -ge 1000 ] || pause=$((pause * 2))
done

# An API secret or a text is in none of these.
if [ "$status" = 000 ]; then
    echo "push.sh: no answer from $server: $(cat "$folder/why")" >&2
elif grep -q '"code"' "$folder/answer"; then
    echo "push.sh: refused with status $status: $(cat "$folder/answer")" >&2
else
    echo "push.sh: $server answered with status $status and not as Cometify does: COMETIFY_URL must lead to a Cometify server." >&2
fi
[ -n "$in_doubt" ] || exit 1
echo "push.sh: it may have been pushed. To push it again is safe with --key '$key'." >&2
exit 3
