"""What a notebook shows of a session and a result."""

from html.parser import HTMLParser

import wse_emu
from wse_emu.notebook import bars, card, wafer


class Reader(HTMLParser):
    """Keeps the text, and holds every element to be closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.names: list[str] = []
        self.links: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.links += [value or "" for name, value in attrs if name in {"src", "href", "xlink:href"}]
        self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_a_session_and_its_result_show_themselves() -> None:
    session = wse_emu.map_model(wse_emu.load_model("tiny"), mapping="pipeline")
    shown = Reader(session._repr_html_())
    assert "tiny on wse3" in shown.words
    assert f"{session.plan.memory.max_pe_bytes:,} of 49,152 bytes" in shown.words
    assert shown.names.count("rect") == len(session.plan.regions) + 1
    assert set(session.plan.regions) <= set(shown.words)
    result = session.decode("Once upon a time", tokens=3)
    read = Reader(result._repr_html_())
    assert result.text in read.words
    assert f"{result.tokens_per_second:,.0f} tokens/s" in read.words
    assert {f"{cycles:,.0f}" for cycles in result.cycles_by_kernel.values() if cycles} <= set(read.words)
    assert not shown.links + read.links


def test_text_is_never_taken_for_markup() -> None:
    shown = Reader(
        card("<b>", [("a & b", "<script>", "x")], bars({"<i>": 1.0}, "<u>"), wafer(4, 4, [("<p>", 0, 0, 1, 1)]))
    )
    assert {"<b>", "a & b", "<script>", "<i>", "<p>"} <= set(shown.words)
    assert not {"script", "i", "p"} & set(shown.names)


def test_bars_are_as_long_as_their_values() -> None:
    drawn = bars({"short": 10.0, "long": 40.0, "none": 0.0}, "cycles")
    assert 'width="260.0"' in drawn
    assert 'width="65.0"' in drawn
    assert "none" not in drawn
    assert bars({}, "cycles") == ""
