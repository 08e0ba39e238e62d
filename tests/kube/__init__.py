"""Real Spark jobs on a real cluster: `make demo-kube` shows them, `make test-kube` asserts the same."""
