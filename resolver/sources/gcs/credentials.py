"""Who asks for a bucket: nobody, the file that the settings name, or else Google's application default credentials.

Those are looked for where Google's library looks, in its order: GOOGLE_APPLICATION_CREDENTIALS, the file that
`gcloud auth application-default login` writes, the metadata server (https://google.aip.dev/auth/4110).
"""

from pathlib import Path

from resolver.sources.gcs.buckets import Bucket
from resolver.sources.gcs.metadata_server import MetadataServer
from resolver.sources.gcs.tokens import Issuer, Tokens
from resolver.sources.outside import Outside


class Credentials:
    """The tokens of one run, one for each identity."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside
        self._tokens: dict[str | None, Tokens] = {}

    def of(self, bucket: Bucket) -> Tokens | None:
        """Return the tokens to ask `bucket` with; None: ask anonymously."""
        if bucket.anonymous:
            return None
        found = self._tokens.get(bucket.credentials)
        if found is None:
            # Of two threads that come here at once one keeps its own.
            found = self._tokens.setdefault(bucket.credentials, Tokens(self._issuer(bucket.credentials)))
        return found

    def _issuer(self, named: str | None) -> Issuer:
        outside = self._outside
        if named is not None:
            return self._file(outside.secret_file(named), named_by="sources.json")
        explicit = outside.environment.get("GOOGLE_APPLICATION_CREDENTIALS")
        if explicit:
            return self._file(Path(explicit), named_by="GOOGLE_APPLICATION_CREDENTIALS")
        gcloud = self._gcloud_folder() / "application_default_credentials.json"
        if gcloud.is_file():
            return self._file(gcloud, named_by="gcloud")
        return MetadataServer(connection=outside.connection, environment=outside.environment)

    def _file(self, path: Path, *, named_by: str) -> Issuer:
        from resolver.sources.gcs.credentials_file import CredentialsFile

        outside = self._outside
        return CredentialsFile(
            path, named_by=named_by, connection=outside.connection, allow_plain_http=outside.settings.allow_plain_http
        )

    def _gcloud_folder(self) -> Path:
        environment = self._outside.environment
        chosen = environment.get("CLOUDSDK_CONFIG")
        return Path(chosen) if chosen else Path(environment.get("HOME", "/nonexistent"), ".config", "gcloud")
