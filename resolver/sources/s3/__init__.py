"""Amazon S3 and what speaks like it: `s3://bucket/key`, `s3a://…`, `s3n://…`.

`source` is the source.  `objects` says what URIs mean, `buckets` what the settings say of a bucket, `places` where its
requests go; `asking` sends them, signed (`signing`) with the access keys that `keys` reads or botocore finds (`chain`,
the only module that imports it).  `stated` and `part_sizes` read what S3 says about an object, `listing` pages of a
listing, `refusals` what a refusal means; both come as XML (`documents`).
"""
