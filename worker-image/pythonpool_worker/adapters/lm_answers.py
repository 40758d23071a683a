"""What the offline language model answers: a pure function of the messages it is sent.

It stands in for a real model where there is no network, and shows whether an optimizer does
its work: it answers well only when the prompt demonstrates how. Called by `lm_stub`.

What it knows: for four topics of support requests (account, billing, delivery, technical) a
list of words. A sentence is of the topic with the most of its words in it; with none, or with
two topics level, the topic is unknown.

How it answers a classification in DSPy's chat format (`[[ ## field ## ]]` sections):

1. Each demonstration (a user message and the assistant message after it) whose sentence has a
   known topic attaches its label to that topic.
2. The demonstrations are believed when they agree: one label for a topic, one topic for a
   label. Otherwise none of them is believed, as with labels that were shuffled.
3. The answer is the label that the believed demonstrations attach to the topic of the last
   user message; where there is none, the fallback: the first of the labels that the prompt
   allows, or `unknown` when it allows any text.

So without demonstrations the answer is always the fallback, and the score is that label's
share. The label is the last output field; the fields before it get a fixed sentence.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

UNKNOWN_LABEL = "unknown"
OTHER_FIELD = "Decided by the demonstrations."

_TOPICS = """
account: account accounts locked log login password passwords profile sign signed signing
    suspended user username verification
billing: bank billing card charged discount fee invoice money paid pay payment price receipt
    refund refunded subscription tax
delivery: box courier customs deliver delivered delivery order package parcel ship shipment
    shipping tracking
technical: app bluetooth browser bug button corrupt crashes error freezes installer page screen
    slow software sync update version website
"""
_WORDS: Mapping[str, frozenset[str]] = {
    topic: frozenset(words.split())
    for topic, words in re.findall(r"^(\w+):((?: .+\n)+)", _TOPICS, re.MULTILINE)
}

_SECTION = re.compile(r"^\[\[ ## (\w+) ## \]\][ \t]*$", re.MULTILINE)
_ASKED_FIELD = re.compile(r"`\[\[ ## (\w+) ## \]\]`")
_ALLOWED = re.compile(r"must exactly match \(no extra characters\) one of: (.+)$", re.MULTILINE)
_INSTRUCTION = "\n\nRespond with the corresponding output fields"
_END = "completed"


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a chat: `role` is system, user or assistant; `content` is its text."""

    role: str
    content: str


def topic_of(text: str) -> str | None:
    """The topic of a sentence, or None when its words name none, or two equally."""
    words = set(re.findall(r"[a-z]+", text.lower()))
    counts = {topic: len(words & known) for topic, known in _WORDS.items()}
    most = max(counts.values())
    best = [topic for topic, count in counts.items() if count == most]
    return best[0] if most and len(best) == 1 else None


def believed_labels(demonstrations: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The label of each topic by (sentence, label) pairs; empty when the pairs disagree."""
    labels: dict[str, str] = {}
    for text, label in demonstrations:
        topic = topic_of(text)
        if topic is not None and labels.setdefault(topic, label) != label:
            return {}
    return labels if len(set(labels.values())) == len(labels) else {}


def answer(messages: Sequence[Message]) -> str:
    """The assistant's reply to a chat, in the format that the last user message asks for.

    Never fails: a chat that is not in DSPy's chat format is answered `unknown`.
    """
    asked = [message.content for message in messages if message.role == "user"][-1:]
    if not asked:
        return UNKNOWN_LABEL
    question, _, instruction = asked[0].partition(_INSTRUCTION)
    fields = [name for name in _ASKED_FIELD.findall(instruction) if name != _END]
    if not fields:
        return UNKNOWN_LABEL
    labels = believed_labels(_demonstrations(messages, fields[-1]))
    label = labels.get(topic_of(_text(question)) or "", _fallback(messages))
    values = dict.fromkeys(fields, OTHER_FIELD) | {fields[-1]: label}
    sections = [f"[[ ## {name} ## ]]\n{value}" for name, value in values.items()]
    return "\n\n".join([*sections, f"[[ ## {_END} ## ]]"])


def _demonstrations(messages: Sequence[Message], field: str) -> Iterator[tuple[str, str]]:
    for user, assistant in pairwise(messages):
        if user.role == "user" and assistant.role == "assistant":
            label = _sections(assistant.content).get(field)
            if label is not None:
                yield _text(user.content), label


def _sections(content: str) -> dict[str, str]:
    """The sections of a message: name to text, in their order."""
    parts = _SECTION.split(content)
    return {name: text.strip() for name, text in zip(parts[1::2], parts[2::2], strict=True)}


def _text(content: str) -> str:
    return "\n".join(_sections(content).values())


def _fallback(messages: Sequence[Message]) -> str:
    system = "\n".join(message.content for message in messages if message.role == "system")
    allowed = _ALLOWED.findall(system)
    return str(allowed[-1]).split("; ")[0] if allowed else UNKNOWN_LABEL
