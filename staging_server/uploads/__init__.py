"""Bytes of blobs from the network: who may send, at what pace, whole or in parts, verified before they are a blob."""
