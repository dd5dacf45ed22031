#!/bin/sh
# Push to every page that listens. Needs curl (7.76 or newer) and md5sum.

host='http://localhost:8081'
api_key='YOUR_API_KEY'
api_secret='YOUR_API_SECRET'
identifier='chat'
text='Hello from the shell'
secret=0 # 1: only for listeners with the right secureKey or token

md5hex() {
  printf '%s' "$1" | md5sum | cut -d ' ' -f 1
}

# Prints the answer as JSON. Exits with 22 if the push is refused.
curl --silent --show-error --fail-with-body --max-time 10 \
  --data-urlencode "identifier=$identifier" \
  --data-urlencode "text=$text" \
  --data-urlencode "secret=$secret" \
  --data-urlencode "secure=$(md5hex "$api_key$(md5hex "$api_secret")$identifier$text")" \
  --write-out '\n' \
  "$host/$api_key/push/$identifier"
