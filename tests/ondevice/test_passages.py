import pytest

from interlock.ondevice.embed import MiniLM
from interlock.ondevice.passages import Article, Passages
from interlock.ondevice.sentences import blocks

ARTICLES = [
    Article(
        "shipping",
        "Shipping times",
        "# Shipping\n\nOrders leave our house within 2 days. They arrive 3 to 5 days later.\n\n"
        "## Islands\n\nTo islands it takes up to 14 days, e.g. to Sylt. We cannot go faster.\n",
    ),
    Article(
        "returns",
        "Return policy",
        "You can send anything back within 30 days.\nKeep the box. Print the label from your account. Bring it to any "
        "post office. We refund within 5 days of its arrival. The refund goes to the card that you paid with.\n",
    ),
    Article("hours", "Store hours", "Open Mo-Fr 9 a.m. to 6 p.m.\n\n- Saturday: 10 to 4\n- Sunday: closed\n"),
    Article("warranty", "Warranty and repairs", "We repair tents for 3 years. Zips are covered, burns are not.\n"),
]


@pytest.fixture(scope="module")
def passages(model: MiniLM) -> Passages:
    return Passages.fit(ARTICLES, model)


@pytest.mark.requirement("ME-03")
def test_the_answer_is_a_verbatim_run_of_whole_sentences_with_its_place(passages: Passages) -> None:
    for question, article, part in (
        ("how long does delivery to an island take?", "shipping", "up to 14 days"),
        ("is the shop open on sunday", "hours", "Sunday: closed"),
        ("when do i get my money after a return", "returns", "We refund within 5 days"),
        ("my zip is torn, do you fix that", "warranty", "Zips are covered"),
    ):
        best = passages.find(question)[0]
        text = next(each.text for each in ARTICLES if each.id == article)
        assert best.article_id == article
        assert part in best.text == text[best.start : best.end]
        assert best.text[0].isupper() or best.text[0] in "-"


def test_a_question_that_no_article_answers_finds_nothing_good(passages: Passages) -> None:
    assert not any(each.good for each in passages.find("who painted the mona lisa"))
    assert passages.find("how long until my order arrives, what are the shipping times")[0].good


def test_a_search_may_be_kept_to_the_articles_of_an_intent(passages: Passages) -> None:
    found = passages.find("how long does it take", intent_articles=["warranty", "hours"])
    assert {each.article_id for each in found} == {"warranty", "hours"}
    assert passages.find("anything", intent_articles=["unknown"]) == []
    assert len(passages.find("anything", top=2)) == 2


def test_an_index_survives_its_bytes_and_refuses_other_articles(passages: Passages, model: MiniLM) -> None:
    again = Passages.from_bytes(passages.to_bytes(), ARTICLES, model)
    assert again.find("sunday") == passages.find("sunday")
    with pytest.raises(ValueError, match="fit it again"):
        Passages.from_bytes(passages.to_bytes(), ARTICLES[:2], model)


def test_articles_without_text_or_with_the_same_id_are_refused(model: MiniLM) -> None:
    with pytest.raises(ValueError, match="no article has any text"):
        Passages.fit([Article("a", "A", "\n# Only a heading\n")], model)
    with pytest.raises(ValueError, match="the ids hours are used twice"):
        Passages.fit([ARTICLES[2], ARTICLES[2]], model)


def test_sentences_end_where_a_reader_would_end_them() -> None:
    text = "# Head\nIt costs 3.50 euros, e.g. for tea. Really?! Yes: see p. 5.\n\n1. First step\n2. Second step. Done\n"
    found = blocks(text)
    assert [block.heading for block in found] == ["Head", "Head"]
    assert [text[each.start : each.end] for block in found for each in block.sentences] == [
        "It costs 3.50 euros, e.g. for tea.",
        "Really?!",
        "Yes: see p. 5.",
        "1. First step",
        "2. Second step.",
        "Done",
    ]
