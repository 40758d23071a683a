"""What the offline language model answers, as its page says."""

import random
from collections import Counter

import pytest

from pythonpool_worker.adapters.lm_answers import Message, answer, believed_labels, topic_of
from pythonpool_worker.adapters.texts import load_texts

SYSTEM = Message(
    "system",
    "All interactions will be structured in the following way.\n\n[[ ## text ## ]]\n{text}\n\n"
    "[[ ## label ## ]]\n{label}        # note: the value you produce must exactly match "
    "(no extra characters) one of: account; billing; delivery\n\n[[ ## completed ## ]]",
)
CHARGED = "I was charged twice by card"


def ask(text: str, *demonstrations: tuple[str, str], system: Message = SYSTEM) -> str:
    messages = [system]
    for sentence, label in demonstrations:
        messages.append(Message("user", f"[[ ## text ## ]]\n{sentence}"))
        messages.append(
            Message("assistant", f"[[ ## label ## ]]\n{label}\n\n[[ ## completed ## ]]\n")
        )
    question = (
        f"[[ ## text ## ]]\n{text}\n\nRespond with the corresponding output fields, starting "
        "with the field `[[ ## label ## ]]` (must be formatted as a valid Python Literal), and "
        "then ending with the marker for `[[ ## completed ## ]]`."
    )
    return answer([*messages, Message("user", question)])


def label_in(reply: str) -> str:
    assert reply.startswith("[[ ## label ## ]]\n")
    assert reply.endswith("\n\n[[ ## completed ## ]]")
    return reply.splitlines()[1]


def test_without_demonstrations_every_answer_is_the_first_allowed_label() -> None:
    assert {label_in(ask(text)) for text in (CHARGED, "Where is my parcel", "?")} == {"account"}


def test_a_demonstration_of_the_topic_gives_its_label() -> None:
    assert label_in(ask(CHARGED, ("Send me an invoice", "billing"))) == "billing"


def test_a_demonstration_of_another_topic_does_not_help() -> None:
    assert label_in(ask(CHARGED, ("Where is my parcel", "delivery"))) == "account"


def test_a_sentence_of_unknown_topic_gets_the_fallback() -> None:
    assert label_in(ask("It just will not", ("Send me an invoice", "billing"))) == "account"


@pytest.mark.parametrize(
    "contradiction",
    [("Where is my parcel", "billing"), ("Pay by card", "delivery")],
    ids=["one label for two topics", "two labels for one topic"],
)
def test_demonstrations_that_disagree_are_not_believed(contradiction: tuple[str, str]) -> None:
    assert label_in(ask(CHARGED, ("Send me an invoice", "billing"), contradiction)) == "account"


def test_fields_before_the_label_are_filled_in() -> None:
    question = (
        "[[ ## text ## ]]\nx\n\nRespond with the corresponding output fields, starting with the "
        "field `[[ ## reasoning ## ]]`, then `[[ ## label ## ]]`, and then ending with the "
        "marker for `[[ ## completed ## ]]`."
    )

    lines = answer([SYSTEM, Message("user", question)]).splitlines()

    assert [line for line in lines if line.startswith("[[")] == [
        "[[ ## reasoning ## ]]",
        "[[ ## label ## ]]",
        "[[ ## completed ## ]]",
    ]


@pytest.mark.parametrize(
    "messages", [[], [SYSTEM], [Message("user", "hello")], [Message("assistant", "hello")]]
)
def test_any_other_chat_is_answered_too(messages: list[Message]) -> None:
    assert answer(messages) == "unknown"


def test_the_shipped_sentences_are_never_taken_for_another_topic() -> None:
    """One of each class stays unknown, so that the best score is not a perfect one."""
    topics = Counter((row.label, topic_of(row.text)) for row in load_texts("requests"))

    assert all(topic in (label, None) for label, topic in topics)
    assert {label: topics[label, None] for label, _ in topics} == {
        "account": 1,
        "billing": 1,
        "delivery": 1,
        "technical": 1,
    }


def test_eight_shuffled_labels_are_not_believed() -> None:
    rows = load_texts("requests")
    for seed in range(100):
        draw = random.Random(seed)
        labels = [row.label for row in rows]
        draw.shuffle(labels)
        pairs = draw.sample([(row.text, label) for row, label in zip(rows, labels, strict=True)], 8)
        assert believed_labels(pairs) == {}
