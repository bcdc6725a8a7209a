"""Writes test/differential/tokenizers.json: what Hugging Face's tokenizers make of texts, part by part and whole.

Run: pip install 'tokenizers==0.23.*'; python scripts/oracle/tokenizers.py
"""

import json
import os
import sys

# The folder of this script would hide the package of the same name.
sys.path = [p for p in sys.path if os.path.abspath(p or ".") != os.path.dirname(os.path.abspath(__file__))]
from tokenizers import Tokenizer  # noqa: E402

TEXTS = [
    "", "Hello world", "I'M SURE it's fine, WE'LL see", "don\u2019t", "  leading", "trailing  ", "a  b   c", "a\n\nb\r\n", " \n  x", "\ta\t\tb",
    "1234567 12 3.14", "\u00bd \u00be \u00b2 \u2460 \u0663 \u0967 \u2167", "a\ufeffb", "\ufeff", "a\u0085b \u0085 c", "a\u00a0b", "\u3000x", "a\u180eb\u200bc",
    "constructor __proto__ toString", "e\u0301cole caf\u00e9", "\u65e5\u672c\u8a9e\u3001\u6f22\u5b57\u3002", "\U0001f642\U0001f44d\U0001f3fd", "\ufb01 \u01c5 \u0130 \u03a3\u03a3 \u017f",
    "a_b-c.d/e\\f|g", "!!!???...", "$1,000.00 \u20ac5", "x<s>y </s> z", "<s></s>", "Foo Food aFoo Foo.", "a [X]  b", "{\"a\": [1]}", "x\x00y\x7f", "\u0915\u093f \u0e19\u0e49\u0e33", "ABCdef GHIjk",
    "\u2581a \u2581", "a.b.c..", "...a",
]
LLAMA = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
GPT4O = "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
split = lambda pattern, behavior, invert=False: {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert}
BEHAVIORS = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]
byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
PRE_TOKENIZERS = (
    [split({"Regex": "\\w+|\\d"}, b, i) for b in BEHAVIORS for i in (False, True)]
    + [split({"String": "."}, b) for b in BEHAVIORS]
    + [split({"Regex": r}, "Isolated") for r in [LLAMA, GPT4O, "\\s", "\\S\\b|\\W", "[[:alpha:]&&[^a-c]]+|^x|y$|\\h+", "[\\w&&[^a-c]]+|[[:word:]]|.\\B|[[:punct:]]+", "(?>\\s*)[\\r\\n]|[^\\s]?+\\p{L}++", "\\p{Han}+|\\x{41}", "\\d{1,3}(?=(?:\\d{3})*\\b)"]]
    + [
        {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        {"type": "Digits", "individual_digits": True}, {"type": "Digits", "individual_digits": False},
        {"type": "Punctuation", "behavior": "Isolated"}, {"type": "Punctuation", "behavior": "Contiguous"},
        {"type": "Whitespace"}, {"type": "WhitespaceSplit"}, {"type": "BertPreTokenizer"}, {"type": "CharDelimiterSplit", "delimiter": "e"},
        {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True},
        {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first", "split": False},
        {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "never", "split": True},
        {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}]},
    ]
)
NORMALIZERS = [
    {"type": "NFC"}, {"type": "NFKC"}, {"type": "NFD"}, {"type": "Lowercase"}, {"type": "StripAccents"}, {"type": "Strip", "strip_left": True, "strip_right": True},
    {"type": "Prepend", "prepend": "\u2581"}, {"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": " $1"}, {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"},
    {"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "StripAccents"}, {"type": "Lowercase"}]},
]
BYTES = [chr(b) if 33 <= b <= 126 or 161 <= b <= 172 or b >= 174 else None for b in range(256)]
spare = iter(range(256, 512))
BYTES = [s if s is not None else chr(next(spare)) for s in BYTES]


def bpe(symbols, merges, **more):
    tokens = list(dict.fromkeys(symbols + [m.replace(" ", "") for m in merges]))
    options = dict(dropout=None, unk_token=None, continuing_subword_prefix=None, end_of_word_suffix=None, fuse_unk=False, byte_fallback=False, ignore_merges=False)
    return dict(type="BPE", **{**options, **more}, vocab={t: i for i, t in enumerate(tokens)}, merges=merges)


def tokenizer(model, pre=None, normalizer=None, decoder=None, added=()):
    tokens, free = [], len(model["vocab"])
    for one in added:
        token = dict(single_word=False, lstrip=False, rstrip=False, normalized=False, special=True) | ({"content": one} if isinstance(one, str) else one)
        token["id"] = model["vocab"].get(token["content"], free)
        free += token["id"] == free
        tokens.append(token)
    return dict(version="1.0", truncation=None, padding=None, added_tokens=tokens, normalizer=normalizer, pre_tokenizer=pre, post_processor=None, decoder=decoder, model=model)


MERGES = ["l l", "h e", "H e", "ll o", "He llo", "\u0120 w", "o r", "\u0120w or", "\u0120 \u0120", "a n", "\u0120 a", "\u010a \u010a", "1 2", "12 3", "\u00c2 \u00bd", "F o", "Fo o"]
SP_MERGES = ["\u2581 a", "\u2581 x", "l l", "H e", "He ll", "Hell o", "\u2581 Hello", "\u2581 \u2581", "o r", "F o", "Fo o", "\u2581 Foo"]
SYMBOLS = ["<unk>", "<0x0A>", "<0xE2>", "<0x82>", "<0xAC>"] + sorted(set("\u2581HelowrdabcxyzFn.123<s>/AC"))
sp_decoder = {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}
sp_normalizer = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"}, {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]}
odd = [
    {"content": "Foo", "single_word": True, "special": False},
    {"content": "[X]", "lstrip": True, "rstrip": True},
    {"content": "Hello", "normalized": True, "special": False},
]
TOKENIZERS = [
    tokenizer(bpe(BYTES, MERGES), PRE_TOKENIZERS[-1], None, byte_level, ["<s>", "</s>", *odd]),
    tokenizer(bpe(BYTES, MERGES, ignore_merges=True), {**byte_level, "use_regex": True}, {"type": "NFC"}, byte_level, ["<s>", "</s>"]),
    tokenizer(bpe(SYMBOLS, SP_MERGES, unk_token="<unk>", fuse_unk=True, byte_fallback=True), None, sp_normalizer, sp_decoder, ["<s>", "</s>", {"content": "Foo d", "normalized": True, "special": False}]),
    tokenizer(bpe(SYMBOLS, SP_MERGES, unk_token="<unk>", fuse_unk=False), {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first", "split": True}, None, {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first", "split": True}, ["<s>", "</s>"]),
    tokenizer(bpe(["<unk>", "H", "e", "l", "o</w>", "l</w>", "a", "a</w>", "b</w>"], ["l o</w>"], unk_token="<unk>", fuse_unk=True, end_of_word_suffix="</w>"), {"type": "Whitespace"}, {"type": "Lowercase"}, {"type": "BPEDecoder", "suffix": "</w>"}),
    tokenizer({"type": "WordLevel", "vocab": {"<unk>": 0, "Hello": 1, "world": 2, "__proto__": 3}, "unk_token": "<unk>"}, {"type": "WhitespaceSplit"}),
    tokenizer({"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["\u2581", -2.0], ["a", -3.0], ["b", -3.5], ["\u2581a", -2.5], ["Hello", -4.0], ["He", -3.0], ["llo", -3.2], ["l", -4.0], ["o", -4.1], ["c", -5.0]], "byte_fallback": False}, {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True}, None, {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True}),
]


def with_part(**parts):
    base = tokenizer({"type": "WordLevel", "vocab": {"<unk>": 0}, "unk_token": "<unk>"}) | parts
    return Tokenizer.from_str(json.dumps(base))


cases = {
    "texts": TEXTS,
    "preTokenizers": [{"part": p, "pieces": [[piece for piece, _ in with_part(pre_tokenizer=p).pre_tokenizer.pre_tokenize_str(t)] for t in TEXTS]} for p in PRE_TOKENIZERS],
    "normalizers": [{"part": n, "texts": [with_part(normalizer=n).normalizer.normalize_str(t) for t in TEXTS]} for n in NORMALIZERS],
    "tokenizers": [],
}
for description in TOKENIZERS:
    made = Tokenizer.from_str(json.dumps(description))
    ids = [made.encode(t, add_special_tokens=False).ids for t in TEXTS]
    made.encode_special_tokens = True
    plain = [made.encode(t, add_special_tokens=False).ids for t in TEXTS]
    cases["tokenizers"].append({"json": description, "ids": ids, "plain": plain, "decoded": [made.decode(i, skip_special_tokens=False) for i in ids]})

path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../test/differential/tokenizers.json")
with open(path if len(sys.argv) < 2 else sys.argv[1], "w") as file:
    sections = []
    for name, section in cases.items():
        sections.append(json.dumps(name) + ": [\n" + ",\n".join(json.dumps(c, ensure_ascii=False, separators=(",", ":")) for c in section) + "\n]")
    file.write("{\n" + ",\n".join(sections) + "\n}\n")
