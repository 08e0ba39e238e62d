"""The staging server: keeps bundles of dependencies for Spark jobs and serves them to their pods."""
