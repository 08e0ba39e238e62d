"""`deps.lock.json`: what dependencies were when they were locked, and what they are now."""
