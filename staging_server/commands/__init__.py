"""The commands of `spark-staging-server`, one module a subject.

What takes long to import is imported by the functions that need it, so that `--help` and `tokens` answer at once.
"""
