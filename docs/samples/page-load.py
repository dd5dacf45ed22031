# The rows that a page shows, and a position from which the page misses no change of them. Standard library only.
import json
import sqlite3
import time
import urllib.request

host = "http://localhost:8081"
api_key = "YOUR_API_KEY"
db = sqlite3.connect("guestbook.db")

# First the position: a change that is not in the rows below is pushed after it.
try:
    with urllib.request.urlopen(f"{host}/{api_key}/position", timeout=2) as answer:
        position = json.load(answer)["position"]
except OSError:  # no answer: the clock, less a margin for the difference of two clocks
    position = int(time.time() * 1_000_000) - 5_000_000

# Then the rows. A deleted row is among them with its mark, so that the page ignores its older pushes.
rows = db.execute("SELECT id, version, text, deleted FROM entries ORDER BY id").fetchall()
names = ("id", "version", "text", "deleted")

print(json.dumps({"position": position, "rows": [dict(zip(names, row)) for row in rows]}))
