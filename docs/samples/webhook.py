# Receive webhooks. Standard library only. Run it behind your web server, or take the two functions into your framework.
import hashlib
import hmac
import json
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

api_secrets = ["YOUR_API_SECRET"]  # both, while one is being replaced
last_id = 0  # keep this number in your database, and change it together with what the events change


def is_genuine(path, headers, body):
    timestamp = headers.get("Cometify-Timestamp", "")
    signed = "\n".join([
        "v2", "POST", path.partition("?")[0], timestamp, headers.get("Cometify-Nonce", ""),
        headers.get("Content-Type", ""), headers.get("Idempotency-Key", ""), hashlib.sha256(body).hexdigest(),
    ])
    given = headers.get("Cometify-Signature", "").encode()
    expected = [hmac.digest(one.encode(), signed.encode(), "sha256").hex().encode() for one in api_secrets]
    is_signed = any([hmac.compare_digest(one, given) for one in expected])
    return is_signed and abs(time.time() - int(timestamp)) <= 300


def handle(event):
    print(json.dumps(event), flush=True)  # your work


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        global last_id
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        genuine = is_genuine(self.path, self.headers, body)
        if genuine:
            for event in json.loads(body):
                if event["id"] > last_id:  # otherwise it has come before
                    handle(event)
                    last_id = event["id"]
        self.send_response(204 if genuine else 403)
        self.end_headers()


HTTPServer(("127.0.0.1", 8000), Receiver).serve_forever()
