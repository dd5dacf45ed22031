"""Keeps the pushes of channels in a database, each once. python3 tail.py CHANNEL..."""

import json
import sqlite3
import subprocess
import sys

db = sqlite3.connect("tail.db")
db.execute("CREATE TABLE IF NOT EXISTS pushes (position integer PRIMARY KEY, identifier text, content text)")

command = ["cometify", "listen", "--json", *sys.argv[1:]]
(last,) = db.execute("SELECT max(position) FROM pushes").fetchone()
if last is not None:
    command += ["--since", str(last)]

with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as listening:
    for line in listening.stdout:
        frame = json.loads(line)
        if frame["type"] == "gap":
            print("Pushes may have been lost:", *frame["identifiers"], file=sys.stderr)
        else:
            content = json.dumps(frame["data"]) if "data" in frame else frame["text"]
            db.execute("INSERT OR IGNORE INTO pushes VALUES (?, ?, ?)", (frame["position"], frame["identifier"], content))
            db.commit()  # the push and the position from which the next run goes on
            print(frame["identifier"], content, flush=True)
sys.exit(listening.returncode)
