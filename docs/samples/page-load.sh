#!/bin/sh
# The rows that a page shows, and a position from which the page misses no change of them. Needs curl and sqlite3.

host='http://localhost:8081'
api_key='YOUR_API_KEY'
query() {
  sqlite3 guestbook.db "$1"
}

# First the position: a change that is not in the rows below is pushed after it.
answer=$(curl --silent --fail --max-time 2 "$host/$api_key/position") # such as {"position":1764000000000000}
position=$(printf '%s' "$answer" | tr -cd '0-9')
if [ -z "$position" ]; then # no answer: the clock, less a margin for the difference of two clocks
  position=$(($(date +%s) - 5))000000
fi

# Then the rows. A deleted row is among them with its mark, so that the page ignores its older pushes.
rows=$(query "SELECT json_group_array(json_object('id', id, 'version', version, 'text', text, 'deleted', deleted)) FROM entries")

printf '{"position":%s,"rows":%s}\n' "$position" "$rows"
