"""Google Cloud Storage: `gs://bucket/object`.

`source` is the source; `buckets` and `objects` say what settings and URIs mean; `api` asks Google, with the tokens that
`tokens` keeps and `credentials` finds (at the `metadata_server`, or by a `credentials_file`).
"""
