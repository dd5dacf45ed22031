#!/bin/sh
# Push to every page that listens, signed with HMAC. Needs curl (7.76 or newer), openssl and sha256sum.

host='http://localhost:8081'
api_key='YOUR_API_KEY'
api_secret='YOUR_API_SECRET'
identifier='chat'
body='{"text":"Signed in the shell","secret":0}' # secret 1: only for listeners with the right secureKey or token

path="/$api_key/push/$identifier"
content_type='application/json'
idempotency_key=$(openssl rand -hex 16) # keep it to send the same push again
timestamp=$(date +%s)
nonce=$(openssl rand -hex 16)
sha256hex=$(printf '%s' "$body" | sha256sum | cut -d ' ' -f 1)

# While openssl runs, other users of this machine can see its arguments, and so the secret.
signature=$(printf 'v2\nPOST\n%s\n%s\n%s\n%s\n%s\n%s' \
  "$path" "$timestamp" "$nonce" "$content_type" "$idempotency_key" "$sha256hex" |
  openssl dgst -sha256 -hmac "$api_secret" -r | cut -d ' ' -f 1)

# Prints the answer as JSON. Exits with 22 if the push is refused.
curl --silent --show-error --fail-with-body --max-time 10 \
  --header "Content-Type: $content_type" \
  --header "Idempotency-Key: $idempotency_key" \
  --header "Cometify-Timestamp: $timestamp" \
  --header "Cometify-Nonce: $nonce" \
  --header "Cometify-Signature: $signature" \
  --data-binary "$body" \
  --write-out '\n' \
  "$host$path"
