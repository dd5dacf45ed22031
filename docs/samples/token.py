# A token: the right to secret pushes for ten minutes. Standard library only.
import base64
import hmac
import json
import time

api_secret = "YOUR_API_SECRET"
claims = {
    "identifiers": ["chat", "metrics_*"],  # a trailing * stands for a prefix
    "iat": int(time.time()),
    "exp": int(time.time()) + 600,
    "sub": "user_7",  # the visitor: you can disconnect this name later
}


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


signed = b".".join(
    base64url(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims)
)
signature = hmac.digest(api_secret.encode(), signed, "sha256")
print((signed + b"." + base64url(signature)).decode())
