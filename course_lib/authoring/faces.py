"""What of a Markdown cell a slide shows, and what its speaker says: blocks of text, sentences, lengths.

On the slide: headings, display formulas with the words that lead to them, tables, pictures, lists, sentences with
something **bold**, and from **Predict** or **Play** to the end of its paragraph. All else is said.
"""

import itertools
import re
from dataclasses import dataclass

CALL = re.compile(r"\*\*(Predict|Play|Guess)\b")
SAID = re.compile(r"\*\*(References|From the notes)\b")
CALL_WORDS, LEAD_WORDS = 50, 14
PICTURE = re.compile(r"!\[(.*?)\]\((.*?)\)")


@dataclass
class Block:
    """kind: heading, formula, table, picture, list, question, call, text; or said, which is not shown."""

    kind: str
    text: str
    lead: str = ""  # the words that lead to a formula, a table or a list


def blocks(source: str) -> list[Block]:
    """A cell's blocks in order, each paragraph as what is shown of it and what is said."""
    found: list[Block] = []
    for text in paragraphs(source):
        kind = _kind(text)
        if kind == "details":
            found += [Block("question", q, a) for q, a in _questions(text)]
        elif kind != "paragraph":
            lead = lead_out(found) if kind in ("formula", "table", "list") else ""
            found.append(Block(kind, text, lead))
        elif CALL.search(text):
            parts = sentences(text)
            at = next(i for i, sentence in enumerate(parts) if CALL.search(sentence))
            while at and len(" ".join(parts[at - 1 :]).split()) <= CALL_WORDS:
                at -= 1  # the words before say what is asked about
            found += [*_told(" ".join(parts[:at])), Block("call", " ".join(parts[at:]))]
        else:
            found += _told(text)
    return [block for block in found if block.text]


def lead_out(found: list[Block]) -> str:
    """Takes the last sentence away if it leads on to what comes next, as one does that does not end.

    A short one takes along what stands before it.
    """
    parts = sentences(found[-1].text) if found and found[-1].kind in ("said", "text") else []
    if not parts or found[-1].text.startswith(">") or parts[-1].endswith((".", "?", "!", ")", "*")):
        return ""
    at = len(parts) - 1
    while at and len(" ".join(parts[at:]).split()) < LEAD_WORDS:
        at -= 1
    found[-1].text = " ".join(parts[:at])
    return " ".join(parts[at:])


def _told(text: str) -> list[Block]:
    """A paragraph: its sentences with something bold are shown, the others said, in their order."""
    found: list[Block] = []
    bold = re.compile(r"\*\*[^*]+\*\*")
    for sentence in sentences(text):
        kind = "text" if bold.search(sentence) and not SAID.search(text) else "said"
        if found and found[-1].kind == kind:
            found[-1].text += " " + sentence
        else:
            found.append(Block(kind, sentence))
    return found


def paragraphs(source: str) -> list[str]:
    """Split at blank lines, but not inside a formula or folded text; a heading and a formula stand alone."""
    source = re.sub(r"^(#{1,4} .*)$", r"\n\1\n", source, flags=re.M)
    held: list[str] = []

    def hold(match):
        held.append(match[0])
        return f"\n\n\0{len(held) - 1}\0\n\n"

    source = re.sub(r"<details>.*?</details>|\$\$.*?\$\$", hold, source, flags=re.S)
    parts = (part.strip() for part in re.split(r"\n\s*\n", source))
    return [re.sub(r"\0(\d+)\0", lambda m: held[int(m[1])], part) for part in parts if part]


def _kind(text: str) -> str:
    starts = {"#": "heading", "$$": "formula", "|": "table", "![": "picture", ">": "said", "<details": "details"}
    for start, kind in starts.items():
        if text.startswith(start):
            return kind
    return "list" if re.match(r"([-*]|\d+\.) ", text) else "paragraph"


def _questions(text: str) -> list[tuple[str, str]]:
    found = re.findall(r"<summary>(.*?)</summary>(.*?)</details>", text, re.S)
    return [(question.strip(), answer.strip()) for question, answer in found]


def items(text: str) -> list[str]:
    """The items of a list, each with its mark."""
    return [item.strip() for item in re.split(r"\n(?=(?:[-*]|\d+\.) )", text)]


def sentences(text: str) -> list[str]:
    """Sentences of a paragraph; full stops inside formulas, code and brackets end none."""
    text = " ".join(text.split())
    shadow = re.sub(r"\$[^$]*\$|`[^`]*`|\([^()]*\)|\[[^\]]*\]", lambda m: "x" * len(m[0]), text)
    end = r"(?:[.?!]\*{0,2}(?= [\"“*$`(\[A-ZÄÖÜβσμ])|:(?= \*\*))"
    cuts = [0, *(m.end() for m in re.finditer(end, shadow)), len(text)]
    return [part for a, b in itertools.pairwise(cuts) if (part := text[a:b].strip())]


def length(text: str) -> int:
    """About how many letters a line of Markdown is wide, formulas as they are drawn."""

    def drawn(match):
        tex = re.sub(
            r"\\(mathcal|mathbb|operatorname|text|mathrm|tfrac|frac|big|Big|left|right|underbrace)\b", "", match[1]
        )
        return "x" * len(re.sub(r"\\[a-zA-Z]+|\\.|[{}^_ ]", lambda m: "x" if len(m[0]) > 1 else "", tex))

    text = re.sub(r"\$([^$]*)\$", drawn, text)
    return len(re.sub(r"\*\*|`|\]\([^)]*\)|\[|<[^>]*>", "", text))
