#!/bin/sh
# The secureKey for one list of identifiers, in exactly this order.

api_key='YOUR_API_KEY'
api_secret='YOUR_API_SECRET'
identifiers='metrics,tweets'

md5hex() {
  printf '%s' "$1" | md5sum | cut -d ' ' -f 1
}

md5hex "$api_key$api_secret$(md5hex "$identifiers")"
