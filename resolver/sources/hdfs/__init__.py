"""HDFS over its REST interface (WebHDFS, HttpFS): `hdfs://…`, `webhdfs://…` and `swebhdfs://…`.

`source` is the source; `nameservices`, `site` and `tokens` say what settings mean; `cluster` asks one HDFS, by its
`namenodes` and `datanodes`; `statuses` and `refusals` read what they answer; `folders` walks.
"""
