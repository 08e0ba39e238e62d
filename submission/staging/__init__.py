"""Bringing local files to the staging server: hashed, asked for and uploaded, again where a connection is lost."""
