"""The resolver: a manifest becomes files on volumes, in parallel, verified, in flat memory.

    resolve → plan (pure), download, archives → sources

It is synchronous and uses threads; it stands on the standard library and msgspec only (urllib3 for proxies), because an
init container imports it in every pod.
"""
