"""What pods read again and again comes from memory, and nobody can tell but by the clock."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from staging_protocol.api.creation import CreatedBundle
from staging_protocol.errors import BundleExpired, NotFound
from staging_protocol.filenames import FileName
from staging_protocol.manifest import Kind
from staging_protocol.tokens import Token
from tests.staging_server.domain import ALICE, RED, Domain, open_domain


@pytest.fixture
async def domain(tmp_path: Path) -> AsyncIterator[Domain]:
    async with open_domain(tmp_path, retention={"token_overlap": 0}) as opened:
        yield opened


@pytest.fixture
def reads(domain: Domain, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The questions that went to the database."""
    asked: list[str] = []
    metadata: Any = domain.parts.metadata
    read = metadata.read

    async def counted(query: Any, argument: Any) -> Any:
        asked.append(query.__name__)
        return await read(query, argument)

    monkeypatch.setattr(metadata, "read", counted)
    return asked


async def _open(domain: Domain, bundle: CreatedBundle, token: str | None = None) -> None:
    await domain.parts.bundles.open_with_token(RED, bundle.id, Token.parse(token or bundle.token))


async def _get(domain: Domain, bundle: CreatedBundle) -> None:
    await _open(domain, bundle)
    await domain.parts.bundles.find_file(RED, bundle.id, kind=Kind.JAR, name=FileName("0.jar"))


async def test_a_thousand_readers_of_a_second_are_two_questions(domain: Domain, reads: list[str]) -> None:
    bundle = await domain.stage(b"content")
    await _open(domain, bundle)
    reads.clear()
    await asyncio.gather(*(_get(domain, bundle) for _ in range(1000)))
    assert set(reads) == {"find_access", "find_file"}
    assert len(reads) < 10  # a busy machine takes more than a second


async def test_a_deleted_bundle_has_ended_at_once(domain: Domain) -> None:
    bundle = await domain.stage(b"content")
    await _get(domain, bundle)
    await domain.parts.bundles.delete(RED, bundle.id, caller=ALICE)
    with pytest.raises(BundleExpired):
        await _open(domain, bundle)
    with pytest.raises(BundleExpired):
        await domain.read(bundle)


async def test_an_expired_bundle_has_ended_at_once(domain: Domain) -> None:
    bundle = await domain.stage(b"content")
    await _get(domain, bundle)
    domain.clock.move(days=365)
    await domain.sweep()
    with pytest.raises(BundleExpired):
        await _open(domain, bundle)
    with pytest.raises(BundleExpired):
        await domain.read(bundle)


async def test_a_new_token_works_at_once_and_ends_the_old_one_when_its_overlap_is_over(domain: Domain) -> None:
    bundle = await domain.stage(b"content")
    await _open(domain, bundle)
    renewed = await domain.parts.bundles.new_token(RED, bundle.id, caller=ALICE)
    await _open(domain, bundle, renewed.token)
    with pytest.raises(NotFound):
        await _open(domain, bundle)


async def test_a_token_whose_answer_was_lost_is_void_at_once(domain: Domain) -> None:
    first = await domain.create(key="k")
    wrong = Token.generate(Token.parse(first.token).kind, identifier=first.id)
    with pytest.raises(NotFound):
        await _open(domain, first, wrong.text)
    again = await domain.create(key="k")
    with pytest.raises(NotFound):
        await _open(domain, first)
    await _open(domain, again)


async def test_a_bundle_that_was_asked_for_before_it_was_sealed_is_found_once_it_is(domain: Domain) -> None:
    bundle = await domain.create(b"content")
    with pytest.raises(Exception, match="not sealed"):
        await _get(domain, bundle)
    await domain.put(b"content")
    await domain.parts.bundles.seal(RED, bundle.id, caller=ALICE)
    await _get(domain, bundle)
