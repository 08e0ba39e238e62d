"""The hands that two programs need: files that appear whole, HTTP, the client of the staging server, logs."""
