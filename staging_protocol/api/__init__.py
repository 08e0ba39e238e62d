"""The bodies of the staging API, v1; OpenAPI and both sides are made from these.

Sizes are bytes, durations seconds, times UTC (RFC 3339).  The tenant of a request comes from the caller's identity and
the path, so no body has a namespace to say whose it is.
"""
