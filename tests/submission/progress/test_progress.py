"""What waiting people and programs see: bars on a terminal, JSON lines, plain lines."""

import io
import json
from typing import Any

import pytest
from rich.console import Console

from resolver.run import InFlight as Fetched
from resolver.run import Progress as Step
from staging_protocol.errors import SourceUnavailable
from submission.progress.bars import Bars, drawn
from submission.progress.lines import JsonLines, Plain, Quiet
from submission.progress.resolving import ShownResolving
from submission.progress.style import ProgressStyle, shown
from submission.progress.telling import FileProgress, InFlight

MIB = 1024 * 1024


def seen(bars: Bars, *, width: int = 80, height: int = 24) -> list[str]:
    """The picture as lines of text."""
    console = Console(file=io.StringIO(), width=width, height=height, record=True)
    console.print(bars.picture())
    return [line.rstrip() for line in console.export_text().splitlines()]


def bars(*, height: int = 24) -> Bars:
    return Bars(Console(file=io.StringIO(), width=80, height=height))


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


class Counting(Quiet):
    """Adds up, and remembers what is in flight."""

    def __init__(self) -> None:
        super().__init__(io.StringIO())
        self.size = self.files = 0
        self.in_flight: list[InFlight] = []
        self.phases: list[tuple[str, int, int]] = []

    def phase(self, name: str, *, size: int, files: int = 0) -> None:
        self.phases.append((name, size, files))

    def advance(self, size: int, *, files: int = 0) -> None:
        self.size += size
        self.files += files

    def began(self, file: InFlight) -> None:
        self.in_flight.append(file)

    def ended(self, file: InFlight) -> None:
        self.in_flight.remove(file)


@pytest.mark.parametrize("width", [80, 120])
def test_everything_and_each_file_in_flight_have_a_line_that_fits(width: int) -> None:
    drawing = bars()
    drawing.phase("download", size=300 * MIB, files=3)
    for name, size in (("a-jar-with-a-name-that-is-longer-than-any-terminal-is-wide" * 3, 200 * MIB), ("b.jar", None)):
        file = InFlight(name=name, size=size)
        drawing.began(file)
        file.position = 50 * MIB
    drawing.advance(100 * MIB, files=1)

    total, first, second = seen(drawing, width=width)

    assert total.startswith("Resolving 1/3 files")
    assert "100.0/300.0 MiB" in total
    assert first.startswith("  a-jar-with")
    assert "…" in first
    assert "-is-wide ━" in first
    assert "50.0/200.0 MiB" in first
    assert "50.0 MiB" in second
    assert max(map(len, (total, first, second))) <= width


def test_what_is_over_has_no_line_and_one_file_alone_is_not_said_twice() -> None:
    drawing = bars()
    drawing.phase("upload", size=10, files=1)
    with FileProgress(drawing, "a.jar", size=10):
        assert len(seen(drawing)) == 1
    drawing.phase("download", size=20, files=2)
    with FileProgress(drawing, "b.jar", size=10) as file:
        file.reached(10)
        assert len(seen(drawing)) == 2
    assert [line[:19] for line in seen(drawing)] == ["Resolving 1/2 files"]


@pytest.mark.parametrize(("height", "most"), [(24, 8), (5, 3), (1, 0)])
def test_a_thousand_files_do_not_push_the_rest_off_the_terminal(height: int, most: int) -> None:
    drawing = bars(height=height)
    drawing.phase("download", size=1000, files=1000)
    for number in range(1000):
        drawing.began(InFlight(name=str(number), size=1))

    assert len(seen(drawing, height=height)) == 1 + most


def test_names_are_text_and_no_markup() -> None:
    drawing = bars()
    drawing.phase("download", size=10, files=2)
    drawing.began(InFlight(name="[red]a[/red].jar", size=10))

    assert "[red]a[/red].jar" in seen(drawing, width=120)[1]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_notices_stay_and_bars_go() -> None:
    stream = Terminal()
    with shown(ProgressStyle.AUTO, stream=stream) as progress:
        progress.phase("download", size=10, files=1)
        progress.notice("trying [again]")

    assert "trying [again]" in stream.getvalue()
    with drawn(Terminal()) as progress:
        assert isinstance(progress, Bars)


def test_a_file_that_is_sent_again_counts_once_and_one_that_failed_is_not_done() -> None:
    counting = Counting()
    with FileProgress(counting, "a", size=10, files=2) as file:
        assert [one.name for one in counting.in_flight] == ["a"]
        for position in (4, 8, 2, 10):
            file.reached(position)
    with pytest.raises(SourceUnavailable), FileProgress(counting, "b", size=10):
        raise SourceUnavailable("gone")

    assert (counting.size, counting.files, counting.in_flight) == (10, 2, [])


def test_json_lines_tell_phase_progress_and_what_is_in_flight() -> None:
    stream = io.StringIO()
    telling = JsonLines(stream)
    telling.phase("download", size=10, files=2)
    with FileProgress(telling, "a.jar", size=6) as file:
        file.reached(3)
    telling.phase("download", size=12, files=2)
    telling.advance(9, files=1)
    telling.notice("well")

    first, begun, *_, last, notice = lines(stream)
    assert first == {"event": "phase", "phase": "download", "size": 10, "files": 2}
    assert begun == {
        "event": "progress", "phase": "download", "done": 3, "size": 10, "files_done": 0, "files": 2,
        "in_flight": [{"name": "a.jar", "done": 3, "size": 6}],
    }  # fmt: skip
    assert last == {
        "event": "progress", "phase": "download", "done": 12, "size": 12, "files_done": 2, "files": 2, "in_flight": [],
    }  # fmt: skip
    assert notice == {"event": "notice", "detail": "well"}


def test_plain_lines_say_each_phase_once() -> None:
    stream = io.StringIO()
    telling = Plain(stream)
    telling.phase("download", size=1024, files=3)
    telling.phase("download", size=2048, files=3)
    telling.phase("upload", size=0)

    assert stream.getvalue() == "Resolving 1.0 KiB in 3 files\n"


def step(*fetched: Fetched, done: int = 0, size: int = 30, received: int = 0) -> Step:
    return Step(files=3, files_done=done, size=size, received=received, seconds=1.0, in_flight=fetched)


def fetched(target: str, *, received: int, size: int | None = 10) -> Fetched:
    return Fetched(uri=f"https://host/{target}", target=target, size=size, received=received, seconds=1.0)


def test_what_the_resolver_tells_moves_the_bars() -> None:
    counting = Counting()
    watching = ShownResolving(counting)

    watching.progressed(step(fetched("a", received=4), fetched("b", received=0, size=None), received=4))
    assert [(one.name, one.position, one.size) for one in counting.in_flight] == [("a", 4, 10), ("b", 0, None)]
    watching.progressed(step(fetched("b", received=5, size=20), done=1, size=50, received=15))
    assert [(one.name, one.position, one.size) for one in counting.in_flight] == [("b", 5, 20)]
    watching.progressed(step(done=3, size=50, received=50))

    assert (counting.in_flight, counting.size, counting.files) == ([], 50, 3)
    assert counting.phases == [("download", 30, 3), ("download", 50, 3)]


def test_files_of_one_load_count_behind_one_another() -> None:
    counting = Counting()
    with FileProgress(counting, "3 small files", size=10, files=3) as file:
        for before, size in ((0, 4), (4, 1), (5, 5)):
            file.behind(before)(size)

    assert (counting.size, counting.files) == (10, 3)
