"""The history of the tables (Alembic), and the code that brings a database up to date.

A change comes in two releases: the first only adds (expand), so that replicas of the release before go on working; the
second, when none of those is left, removes (contract).
"""
