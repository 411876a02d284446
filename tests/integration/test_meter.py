"""The meter between a scripted model and a real ledger: no call goes uncounted, none is counted twice."""

import asyncio
import contextlib
from decimal import Decimal

import pytest
from msgspec.structs import replace

from aivax_cli.core.errors import AssetError, ModelError
from aivax_cli.core.types import (
    EMBED_QUERY_SKU,
    Charge,
    Message,
    ModelCall,
    ModelEnd,
    ModelRetry,
    ModelTarget,
    ModelText,
    Prices,
    Purpose,
    TokenUsage,
    ToolCall,
    ToolSpec,
)
from aivax_cli.usage.ledger import SqliteLedger
from aivax_cli.usage.meter import Meter
from aivax_cli.usage.price_book import GenaiPriceBook

TARGET = ModelTarget("@openai/gpt-5-mini", "openai", "gpt-5-mini", "http://127.0.0.1:9/v1")
CALL = ModelCall(Purpose.ANSWER, TARGET, (Message("user", "What is the capital of France?"),))
END = ModelEnd("gpt-5-mini", "stop", TokenUsage(84, 1792, 16))

IN, OUT, CACHED = (f"inference.chat_completions.{part}" for part in ("in", "out", "in.cached"))


class ScriptedModel:
    """Yields its items; an exception among them is raised, a number is slept."""

    def __init__(self, *items):
        self.items = items
        self.closed = False

    async def stream(self, call):
        try:
            for item in self.items:
                if isinstance(item, BaseException):
                    raise item
                if isinstance(item, float):
                    await asyncio.sleep(item)
                else:
                    yield item
        finally:
            self.closed = True


class WordCounter:
    """One token a word."""

    def count_text(self, text, model):
        return len(text.split())

    def count_messages(self, messages, model):
        return sum(self.count_text(message.content, model) for message in messages)


class SlowCounter:
    """A counter that would first have to fetch its tables."""

    def count_text(self, text, model):
        raise AssertionError("counted")

    def count_messages(self, messages, model):
        raise AssertionError("counted")


class NoCounter:
    def count_text(self, text, model):
        raise AssetError("the table o200k_base is missing")

    def count_messages(self, messages, model):
        raise AssetError("the table o200k_base is missing")


@pytest.fixture
def ledger(tmp_path):
    with SqliteLedger(tmp_path / "ledger.db", busy_timeout_s=0.05) as ledger:
        yield ledger


@pytest.fixture
def metered(ledger):
    def make(*items, counter=None):
        model = ScriptedModel(*items)
        meter = Meter(
            model, GenaiPriceBook(), counter or WordCounter(), ledger, turn_id="t1", gateway="support"
        )
        return model, meter

    return make


async def drain(meter, call=CALL):
    return [item async for item in meter.stream(call)]


def lines(meter):
    return [(charge.sku, charge.quantity) for charge in meter.charges]


def test_items_pass_through_as_they_are(metered):
    items = [ModelRetry(1, "503", 0.0), ModelText("Par"), ModelText("is"), END]
    _, meter = metered(*items)

    assert asyncio.run(drain(meter)) == items


def test_reported_usage_becomes_charges_and_reaches_the_ledger(metered, ledger):
    _, meter = metered(ModelText("Paris"), END)
    asyncio.run(drain(meter))

    assert lines(meter) == [(IN, 84), (OUT, 16), (CACHED, 1792)]
    row = ledger.summarise("model")[0]
    assert (row.key, row.tokens, row.amount_usd) == ("@openai/gpt-5-mini", 1892, Decimal("0.0000978"))
    assert ledger.summarise("gateway")[0].key == "support"


def test_the_charges_are_there_before_the_end_is(metered):
    _, meter = metered(ModelText("Paris"), END)

    async def watch():
        return [(type(item), len(meter.charges)) async for item in meter.stream(CALL)]

    assert asyncio.run(watch()) == [(ModelText, 0), (ModelEnd, 3)]


def test_the_endpoints_own_records_win_and_stay_as_they_are(metered, ledger):
    billed = (Charge("inference.resolving.routing_complexity.in", 276, Decimal("7.5e-8"), "Routing"),)
    _, meter = metered(ModelText("Paris"), replace(END, billed=billed))
    asyncio.run(drain(meter))

    assert meter.charges == billed
    assert ledger.total().tokens == 276


def test_a_routed_answer_is_labelled_and_priced_as_the_model_that_gave_it(metered, ledger):
    end = replace(END, model="@google/gemini-2.5-flash")
    _, meter = metered(ModelText("Paris"), end)
    asyncio.run(drain(meter))

    assert meter.charges[0].description == "Inference for AI model '@google/gemini-2.5-flash'"
    assert meter.charges[0].unit_price_usd == Decimal("3e-7")
    assert ledger.summarise("model")[0].key == "@google/gemini-2.5-flash"


def test_usage_that_nobody_reported_is_estimated(metered, ledger):
    _, meter = metered(ModelText("It is "), ModelText("Paris."), replace(END, usage=None))
    asyncio.run(drain(meter))

    assert lines(meter) == [(IN, 6), (OUT, 3)]
    assert all(charge.estimated for charge in meter.charges)
    assert ledger.total().estimated_tokens == 9


def test_an_estimate_counts_the_tools_offered_and_the_calls_made(metered):
    tool = ToolSpec("search", "Searches the documents", {"type": "object"})
    made = (ToolCall("1", "search", ' {"search_terms": ["a"]}'),)
    _, meter = metered(replace(END, usage=None, tool_calls=made))
    asyncio.run(drain(meter, replace(CALL, tools=(tool,))))

    sent, came = (charge.quantity for charge in meter.charges)
    assert sent > 6
    assert came == 3


def test_a_stream_that_broke_is_estimated_from_what_came(metered):
    end = replace(END, usage=None, broken="the connection was reset")
    _, meter = metered(ModelText("It is"), end)
    asyncio.run(drain(meter))

    assert lines(meter) == [(IN, 6), (OUT, 2)]


def test_a_failure_before_the_first_text_costs_nothing(metered, ledger):
    _, meter = metered(ModelRetry(1, "503", 0.0), ModelError("503 Service Unavailable"))

    with pytest.raises(ModelError):
        asyncio.run(drain(meter))
    assert meter.charges == ()
    assert ledger.total().tokens == 0


def test_closing_in_the_middle_of_the_answer_charges_an_estimate_once(metered, ledger):
    model, meter = metered(ModelText("It is"), ModelText(" Paris"), END)

    async def leave():
        async with contextlib.aclosing(meter.stream(CALL)) as items:
            async for _ in items:
                break

    asyncio.run(leave())
    assert model.closed
    assert lines(meter) == [(IN, 8), (OUT, 2)]
    assert all(charge.estimated for charge in meter.charges)
    assert ledger.total().tokens == 10


def test_a_stop_never_waits_for_a_tokenizer(metered):
    _, meter = metered(ModelText("12345678"), 30.0, counter=SlowCounter())

    async def give_up():
        await asyncio.wait_for(drain(meter), 0.05)

    with pytest.raises(TimeoutError):
        asyncio.run(give_up())
    assert lines(meter) == [(IN, 8), (OUT, 2)]


def test_closing_at_the_end_charges_no_second_time(metered):
    _, meter = metered(ModelText("Paris"), END)

    async def leave():
        async with contextlib.aclosing(meter.stream(CALL)) as items:
            async for item in items:
                if isinstance(item, ModelEnd):
                    break

    asyncio.run(leave())
    assert lines(meter) == [(IN, 84), (OUT, 16), (CACHED, 1792)]


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ((30.0,), [(IN, 8)]),
        ((ModelText("It is"), 30.0), [(IN, 8), (OUT, 2)]),
    ],
    ids=["before the first text", "after it"],
)
def test_cancelling_while_the_model_is_awaited_charges_an_estimate(metered, items, expected):
    model, meter = metered(*items)

    async def give_up():
        await asyncio.wait_for(drain(meter), 0.05)

    with pytest.raises(TimeoutError):
        asyncio.run(give_up())
    assert model.closed
    assert lines(meter) == expected
    assert all(charge.estimated for charge in meter.charges)


def test_cancelling_in_the_wait_before_another_attempt_costs_nothing(metered):
    _, meter = metered(ModelRetry(1, "429", 30.0), 30.0)

    async def give_up():
        await asyncio.wait_for(drain(meter), 0.05)

    with pytest.raises(TimeoutError):
        asyncio.run(give_up())
    assert meter.charges == ()


def test_a_stream_that_was_never_started_costs_nothing(metered):
    _, meter = metered(ModelText("Paris"), END)

    async def look():
        await meter.stream(CALL).aclose()

    asyncio.run(look())
    assert meter.charges == ()


def test_a_stream_without_an_end_is_not_uncounted(metered):
    _, meter = metered(ModelText("It is"))
    asyncio.run(drain(meter))

    assert lines(meter) == [(IN, 6), (OUT, 2)]


def test_an_estimate_works_without_a_tokenizer_and_says_so(metered):
    _, meter = metered(ModelText("12345678"), replace(END, usage=None), counter=NoCounter())
    asyncio.run(drain(meter))

    assert lines(meter) == [(IN, 8), (OUT, 2)]
    assert meter.warnings == ("tokens are estimated from characters: the table o200k_base is missing",)


def test_a_ledger_that_cannot_be_written_costs_a_warning_and_not_the_answer(tmp_path):
    path = tmp_path / "ledger.db"
    path.write_text("this is no database, and it is long enough to be looked at" * 10)
    model = ScriptedModel(ModelText("Paris"), END)
    with SqliteLedger(path) as ledger:
        meter = Meter(model, GenaiPriceBook(), WordCounter(), ledger, turn_id="t", gateway="g")
        items = asyncio.run(drain(meter))
        asyncio.run(drain(meter))

    assert items[-1] == END
    assert len(meter.charges) == 6
    assert len(meter.warnings) == 1
    assert "this cost is not in the ledger" in meter.warnings[0]
    assert "damaged" in meter.warnings[0]


def test_the_built_in_embedder_is_free_and_counted(metered, ledger):
    _, meter = metered()
    charge = meter.embedding(EMBED_QUERY_SKU, 12, "multilingual-e5-small")

    assert (charge.amount_usd, meter.charges) == (0, (charge,))
    assert ledger.summarise("model")[0].key == "multilingual-e5-small"


def test_a_hosted_embedder_costs_what_its_prices_say(metered):
    _, meter = metered()
    prices = Prices(Decimal("0.00000002"), Decimal(0))

    assert meter.embedding(EMBED_QUERY_SKU, 100, "hosted", prices).amount_usd == Decimal("0.000002")
    assert meter.embedding(EMBED_QUERY_SKU, 100, "hosted", None).amount_usd is None


def test_embedding_nothing_leaves_no_line(metered):
    _, meter = metered()
    meter.embedding(EMBED_QUERY_SKU, 0, "multilingual-e5-small")

    assert meter.charges == ()
