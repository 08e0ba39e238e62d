"""What hypothesis makes of our words: names, digests, URIs."""

from hypothesis import strategies as st

from staging_protocol.digests import Digest
from staging_protocol.errors import InvalidRequest
from staging_protocol.filenames import FileName
from staging_protocol.uris import DependencyUri


def _is_name(text: str) -> bool:
    try:
        FileName(text)
    except InvalidRequest:
        return False
    return True


file_names = st.text(min_size=1, max_size=40).filter(_is_name).map(FileName)
digests = st.binary(max_size=32).map(Digest.of)

_path_characters = st.characters(codec="utf-8", exclude_categories=["C", "Z"], exclude_characters="?#\\")
_paths = st.text(_path_characters, min_size=1, max_size=40).filter(lambda text: bool(text.strip("/")))
_words = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"], exclude_characters="/?#@"), max_size=20)
_schemes = st.from_regex(r"[a-z][a-z0-9+.\-]{0,8}", fullmatch=True).filter(lambda scheme: scheme != "file")


@st.composite
def remote_uris(draw: st.DrawFn) -> DependencyUri:
    """Any URI with a scheme and an authority."""
    return DependencyUri(
        scheme=draw(_schemes),
        authority=draw(_words),
        path="/" + draw(_paths),
        query=draw(st.none() | _words),
        fragment=draw(st.none() | _words),
    )
