"""Where the bytes of blobs lie: one small Protocol, one store for each place."""
