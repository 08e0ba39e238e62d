"""Peers that download from object stores and HDFS: programs in environments of their own, never ours.

Each program here reads its task as JSON from standard input, downloads with its library's own recommended way, and
writes files under the names that the task gives.  They import nothing of the project.
"""
