"""The words that all programs share: identifiers, wire types, the pod contract and the errors.

Nothing here does I/O, reads a clock or logs; the only imports are the standard library and msgspec.
"""
