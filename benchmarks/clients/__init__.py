"""Load generators: programs of their own, so that the harness does not share their time; standard library only.

Each reads its task as JSON from standard input (a token is no argument) and prints its result as JSON.
"""
