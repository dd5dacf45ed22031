# Push to every page that listens. Standard library only.
import hashlib
import json
import sys
import urllib.error
import urllib.parse
import urllib.request

host = "http://localhost:8081"
api_key = "YOUR_API_KEY"
api_secret = "YOUR_API_SECRET"
identifier = "chat"
text = "Hello from Python"
secret = 0  # 1: only for listeners with the right secureKey or token


def md5hex(value):
    return hashlib.md5(value.encode()).hexdigest()


form = urllib.parse.urlencode({
    "identifier": identifier,
    "text": text,
    "secret": secret,
    "secure": md5hex(api_key + md5hex(api_secret) + identifier + text),
})

try:
    with urllib.request.urlopen(
        f"{host}/{api_key}/push/{identifier}", form.encode(), timeout=10
    ) as answer:
        print(answer.read().decode())
except urllib.error.HTTPError as refusal:
    sys.exit(f"Refused ({refusal.code}): {json.load(refusal)['detail']}")
except urllib.error.URLError as failure:
    sys.exit(f"No answer from {host}: {failure.reason}")
