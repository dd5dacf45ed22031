# The secureKey for one list of identifiers, in exactly this order.
import hashlib

api_key = "YOUR_API_KEY"
api_secret = "YOUR_API_SECRET"
identifiers = ["metrics", "tweets"]


def md5hex(value):
    return hashlib.md5(value.encode()).hexdigest()


print(md5hex(api_key + api_secret + md5hex(",".join(identifiers))))
