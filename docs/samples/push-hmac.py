# Push to every page that listens, signed with HMAC. Standard library only.
import hashlib
import hmac
import json
import secrets
import sys
import time
import urllib.error
import urllib.request

host = "http://localhost:8081"
api_key = "YOUR_API_KEY"
api_secret = "YOUR_API_SECRET"
identifier = "chat"
text = "Signed in Python"
secret = 0  # 1: only for listeners with the right secureKey or token

path = f"/{api_key}/push/{identifier}"
body = json.dumps({"text": text, "secret": secret}).encode()
content_type = "application/json"
idempotency_key = secrets.token_hex(16)  # keep it to send the same push again
timestamp = str(int(time.time()))
nonce = secrets.token_hex(16)
sha256hex = hashlib.sha256(body).hexdigest()
signed = "\n".join(["v2", "POST", path, timestamp, nonce, content_type, idempotency_key, sha256hex])

request = urllib.request.Request(host + path, body, {
    "Content-Type": content_type,
    "Idempotency-Key": idempotency_key,
    "Cometify-Timestamp": timestamp,
    "Cometify-Nonce": nonce,
    "Cometify-Signature": hmac.digest(api_secret.encode(), signed.encode(), "sha256").hex(),
})

try:
    with urllib.request.urlopen(request, timeout=10) as answer:
        print(answer.read().decode())
except urllib.error.HTTPError as refusal:
    sys.exit(f"Refused ({refusal.code}): {json.load(refusal)['detail']}")
except urllib.error.URLError as failure:
    sys.exit(f"No answer from {host}: {failure.reason}")
