"""What Prometheus reads, each group in a class of its own."""
