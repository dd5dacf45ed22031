#!/bin/sh
# A token: the right to secret pushes for ten minutes. Needs openssl and base64.

api_secret='YOUR_API_SECRET'
identifiers='["chat","metrics_*"]' # a trailing * stands for a prefix
iat=$(date +%s)
exp=$((iat + 600))
sub='user_7' # the visitor: you can disconnect this name later

base64url() {
  base64 | tr -d '\n=' | tr '+/' '-_'
}

signed=$(printf '%s' '{"alg":"HS256","typ":"JWT"}' | base64url).$(printf '%s' "{\"identifiers\":$identifiers,\"iat\":$iat,\"exp\":$exp,\"sub\":\"$sub\"}" | base64url)
# While openssl runs, other users of this machine can see its arguments, and so the secret.
printf '%s.%s\n' "$signed" "$(printf '%s' "$signed" | openssl dgst -sha256 -hmac "$api_secret" -binary | base64url)"
