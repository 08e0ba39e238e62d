"""Bytes of blobs to the network: conditions and ranges, from the page cache, by the kernel or through TLS."""
