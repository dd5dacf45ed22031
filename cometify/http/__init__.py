"""An HTTP/1.1 server: twisted.web, and a fast path for plain requests. It knows nothing of pushes."""
