#!/bin/sh
# A token: the right to secret pushes for ten minutes. Needs openssl and base64.

api_secret='YOUR_API_SECRET'
identifiers='["chat","metrics_*"]' # a trailing * stands for a prefix
exp=$(($(date +%s) + 600))

base64url() {
  base64 | tr -d '\n=' | tr '+/' '-_'
}

signed=$(printf '%s' '{"alg":"HS256","typ":"JWT"}' | base64url).$(printf '%s' "{\"identifiers\":$identifiers,\"exp\":$exp}" | base64url)
# While openssl runs, other users of this machine can see its arguments, and so the secret.
printf '%s.%s\n' "$signed" "$(printf '%s' "$signed" | openssl dgst -sha256 -hmac "$api_secret" -binary | base64url)"
