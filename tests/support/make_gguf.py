#!/usr/bin/python3
"""Writes a tiny GGUF v3 model of llama's architecture: 2 layers, about 300 tokens, random weights.

    make_gguf.py OUT.gguf [--seed N]

Same seed, same bytes. About 0.5 MB; llama-server loads it in milliseconds and never runs out of
words: one channel of the residual stream is a constant that no layer writes to, and the output rows
of the control and byte tokens are strongly negative there, so a completion always consists of whole
words and never stops early. What it says has no meaning.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""
import argparse
import os
import random
import struct
import sys

LAYERS = 2
EMBEDDING = 64
FEED_FORWARD = 128
HEADS = 4
CONTEXT = 2048
ALIGNMENT = 32

UINT32, FLOAT32, STRING, ARRAY, INT32 = 4, 6, 8, 9, 5  # gguf_metadata_value_type
GGML_F32 = 0
TOKEN_NORMAL, TOKEN_UNKNOWN, TOKEN_CONTROL, TOKEN_BYTE = 1, 2, 3, 6

WORDS = (
    "the of and to in a is that for it as was with be by on not he his but at are this have from "
    "or had an they which one you were all her she there would their we him been has when who will"
).split()


def vocabulary():
    """[(text, score, type)]: control tokens, the 256 bytes, then words."""
    tokens = [
        ("<unk>", 0.0, TOKEN_UNKNOWN),
        ("<s>", 0.0, TOKEN_CONTROL),
        ("</s>", 0.0, TOKEN_CONTROL),
    ]
    tokens += [(f"<0x{byte:02X}>", 0.0, TOKEN_BYTE) for byte in range(256)]
    tokens += [("\u2581" + word, -float(rank), TOKEN_NORMAL) for rank, word in enumerate(WORDS)]
    return tokens


def text(value):
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def entry(key, kind, payload):
    return text(key) + struct.pack("<I", kind) + payload


def array(key, kind, payloads):
    return entry(key, ARRAY, struct.pack("<IQ", kind, len(payloads)) + b"".join(payloads))


def metadata(tokens):
    def number(key, value):
        return entry(key, UINT32, struct.pack("<I", value))

    return [
        entry("general.architecture", STRING, text("llama")),
        entry("general.name", STRING, text("tiny")),
        number("general.alignment", ALIGNMENT),
        number("llama.block_count", LAYERS),
        number("llama.context_length", CONTEXT),
        number("llama.embedding_length", EMBEDDING),
        number("llama.feed_forward_length", FEED_FORWARD),
        number("llama.attention.head_count", HEADS),
        number("llama.attention.head_count_kv", HEADS),
        number("llama.rope.dimension_count", EMBEDDING // HEADS),
        number("llama.vocab_size", len(tokens)),
        entry("llama.attention.layer_norm_rms_epsilon", FLOAT32, struct.pack("<f", 1e-5)),
        entry("tokenizer.ggml.model", STRING, text("llama")),
        array("tokenizer.ggml.tokens", STRING, [text(t) for t, _, _ in tokens]),
        array("tokenizer.ggml.scores", FLOAT32, [struct.pack("<f", s) for _, s, _ in tokens]),
        array("tokenizer.ggml.token_type", INT32, [struct.pack("<i", k) for _, _, k in tokens]),
        number("tokenizer.ggml.unknown_token_id", 0),
        number("tokenizer.ggml.bos_token_id", 1),
        number("tokenizer.ggml.eos_token_id", 2),
    ]


def tensors(tokens, rng):
    """[(name, (columns, rows), floats)]; GGUF lists the contiguous dimension first."""

    def noise(columns, rows, scale, silent_row=None):
        return [
            0.0 if row == silent_row else rng.gauss(0.0, scale)
            for row in range(rows)
            for _ in range(columns)
        ]

    def ones(count):
        return [1.0] * count

    embedding, output = [], []
    for _, _, kind in tokens:
        embedding += [1.0] + [rng.gauss(0.0, 1.0) for _ in range(EMBEDDING - 1)]
        first = 0.0 if kind == TOKEN_NORMAL else -200.0
        output += [first] + [rng.gauss(0.0, 0.5) for _ in range(EMBEDDING - 1)]

    square = (EMBEDDING, EMBEDDING)
    result = [("token_embd.weight", (EMBEDDING, len(tokens)), embedding)]
    for layer in range(LAYERS):
        prefix = f"blk.{layer}."
        result += [(prefix + "attn_norm.weight", (EMBEDDING,), ones(EMBEDDING))]
        result += [(prefix + f"attn_{part}.weight", square, noise(*square, 0.1)) for part in "qkv"]
        result += [
            (prefix + "attn_output.weight", square, noise(*square, 0.1, silent_row=0)),
            (prefix + "ffn_norm.weight", (EMBEDDING,), ones(EMBEDDING)),
            (
                prefix + "ffn_gate.weight",
                (EMBEDDING, FEED_FORWARD),
                noise(EMBEDDING, FEED_FORWARD, 0.1),
            ),
            (
                prefix + "ffn_up.weight",
                (EMBEDDING, FEED_FORWARD),
                noise(EMBEDDING, FEED_FORWARD, 0.1),
            ),
            (
                prefix + "ffn_down.weight",
                (FEED_FORWARD, EMBEDDING),
                noise(FEED_FORWARD, EMBEDDING, 0.1, silent_row=0),
            ),
        ]
    result += [
        ("output_norm.weight", (EMBEDDING,), ones(EMBEDDING)),
        ("output.weight", (EMBEDDING, len(tokens)), output),
    ]
    return result


def padding(length):
    return b"\0" * (-length % ALIGNMENT)


def model(seed):
    tokens = vocabulary()
    entries = metadata(tokens)
    weights = tensors(tokens, random.Random(seed))
    header = b"GGUF" + struct.pack("<IQQ", 3, len(weights), len(entries)) + b"".join(entries)
    data = b""
    for name, dimensions, floats in weights:
        header += text(name) + struct.pack("<I", len(dimensions))
        header += struct.pack(f"<{len(dimensions)}Q", *dimensions) + struct.pack(
            "<IQ", GGML_F32, len(data)
        )
        data += struct.pack(f"<{len(floats)}f", *floats)
        data += padding(len(data))
    return header + padding(len(header)) + data


def main():
    parser = argparse.ArgumentParser(description="writes a tiny GGUF model with random weights")
    parser.add_argument("out")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    partial = f"{options.out}.{os.getpid()}.partial"
    with open(partial, "wb") as file:
        file.write(model(options.seed))
    os.rename(partial, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
