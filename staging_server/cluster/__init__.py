"""What the server asks of Kubernetes: reviews and namespaces for requests, and watches for retention.

    credentials → api → listing → watching → watched (`sights.Sights`)
                   └──→ namespaces, pods: single questions of requests

Of the library `kubernetes` only the configuration, TLS and credentials and the raw REST client are used: its models
cost a hundred times what the few fields cost that are looked at (docs/decisions/0032-watches.md).
"""
