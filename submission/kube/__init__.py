"""The Kubernetes API as this client needs it: few calls, plain objects, errors that say what to do.

    connect ──► api ──► transport ──► staging_io.http
       │         └── calls, listing, attempts, streams; errors
       └── kubeconfig, own_identity ──► identity ──► login_program

Why it is ours and not the library's is in docs/decisions/0050-a-kubernetes-client-of-our-own.md.
"""
