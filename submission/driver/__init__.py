"""What a driver needs in Kubernetes, as the client of stock Spark makes it (`deploy/k8s/features`).  Pure."""
