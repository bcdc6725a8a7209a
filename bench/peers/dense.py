"""Peer: a Llama in plain PyTorch with LoRA on q, k, v, written as an expert would write it, without any trainer around it."""

import contextlib
import math

import torch
import torch.nn.functional as F
from torch import nn

from common import LENGTH, LINEAR, LORA_ALPHA, RANK, ROWS, SEED, llama_sizes, measure, parser, random_batches


class LoraLinear(nn.Module):
    """A frozen layer, with factors of this rank where there is one."""

    def __init__(self, width, out, rank):
        super().__init__()
        self.weight = frozen(out, width)
        self.rank = rank
        if rank:
            self.a = nn.Parameter(torch.empty(rank, width))
            self.b = nn.Parameter(torch.zeros(out, rank))
            nn.init.kaiming_uniform_(self.a, a=math.sqrt(5))

    def forward(self, x):
        plain = F.linear(x, self.weight)
        return plain + F.linear(F.linear(x, self.a), self.b) * (LORA_ALPHA / self.rank) if self.rank else plain


class Block(nn.Module):
    def __init__(self, width, heads, ffn, rank, adapted):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = frozen_norm(width), frozen_norm(width)
        sizes = {"gate": (width, ffn), "up": (width, ffn), "down": (ffn, width)}
        for i, name in enumerate(LINEAR):
            setattr(self, name, LoraLinear(*sizes.get(name, (width, width)), rank if i < adapted else 0))

    def forward(self, x, cos, sin):
        batch, time, width = x.shape
        h = F.rms_norm(x, (width,), self.norm1, 1e-5)
        q, k, v = (f(h).view(batch, time, self.heads, -1).transpose(1, 2) for f in (self.q, self.k, self.v))
        mixed = F.scaled_dot_product_attention(rotate(q, cos, sin), rotate(k, cos, sin), v, is_causal=True)
        x = x + self.o(mixed.transpose(1, 2).reshape(batch, time, width))
        h = F.rms_norm(x, (width,), self.norm2, 1e-5)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))


class Llama(nn.Module):
    def __init__(self, vocab, width, layers, heads, ffn, rank=RANK, adapted=3):
        super().__init__()
        self.head_dim = width // heads
        self.embedding, self.head, self.norm = frozen(vocab, width), frozen(vocab, width), frozen_norm(width)
        self.blocks = nn.ModuleList(Block(width, heads, ffn, rank, adapted) for _ in range(layers))

    def forward(self, ids):
        """Mean cross-entropy of the next token over all positions but the last."""
        x = F.embedding(ids, self.embedding)
        frequency = 10000.0 ** (-torch.arange(0, self.head_dim, 2, device=ids.device) / self.head_dim)
        angle = torch.outer(torch.arange(ids.shape[1], device=ids.device), frequency).repeat(1, 2)
        cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
        for block in self.blocks:
            x = block(x, cos, sin)
        x = F.rms_norm(x[:, :-1], x.shape[-1:], self.norm, 1e-5)
        logits = F.linear(x, self.head).float()
        return F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())


def frozen(rows, columns):
    return nn.Parameter(torch.randn(rows, columns) * 0.02, requires_grad=False)


def frozen_norm(width):
    return nn.Parameter(torch.ones(width), requires_grad=False)


def rotate(x, cos, sin):
    half = x.shape[-1] // 2
    return x * cos + torch.cat([-x[..., half:], x[..., :half]], dim=-1) * sin


def main():
    options = parser(__doc__)
    options.add_argument("--mode", choices=["eager", "compile", "bf16", "bf16-compile"], default="eager")
    options = options.parse_args()
    bf16 = options.mode.startswith("bf16")
    compiled = options.mode.endswith("compile")

    torch.manual_seed(SEED)
    shape = options.shape
    sizes = llama_sizes(shape)
    model = Llama(**sizes, rank=shape.get("rank", RANK), adapted=shape.get("adapted", 3)).to(options.device)
    params = [p for p in model.parameters() if p.requires_grad]
    if bf16:
        for p in model.parameters():
            if not p.requires_grad:
                p.data = p.data.bfloat16()
    forward = torch.compile(model) if compiled else model

    def loss_of(batch):
        with torch.autocast(options.device, torch.bfloat16) if bf16 else contextlib.nullcontext():
            return forward(batch["input_ids"])

    measure(
        options,
        loss_of,
        params,
        random_batches(sizes["vocab"], shape.get("rows", ROWS), shape.get("length", LENGTH)),
        peer="pytorch",
        workload=f"dense-{options.method}",
        mode=options.mode,
        warmup=3 if compiled else 1,
        versions={},
    )


if __name__ == "__main__":
    main()
