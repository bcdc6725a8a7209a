"""What the peers share: the two training steps, the measuring loop and the one line of JSON they print."""

import argparse
import json
import platform
import statistics
import time

import torch

RANK, LORA_ALPHA = 32, 4
ROWS, LENGTH = 10, 256
LLAMA = {"vocab": 32000, "width": 288, "layers": 6, "heads": 6, "ffn": 768}
# Names as in bench/workloads.ts; the first `adapted` of these layers carry LoRA factors.
LINEAR = ["q", "k", "v", "o", "gate", "up", "down"]
BOOSTER_LAMBDA, BOOSTER_ALPHA = 5.0, 0.1
SEED = 43


def parser(description):
    """Options that every peer takes."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--method", choices=["sft", "booster"], default="sft")
    options.add_argument("--steps", type=int, default=5, help="measured steps, after the warm-up")
    options.add_argument("--device", default="cpu", help="cpu or cuda")
    options.add_argument("--shape", type=json.loads, default={}, help="dense: sizes other than the default's, as JSON")
    options.add_argument("--json", action="store_true", help="print the result as one line of JSON")
    return options


def llama_sizes(shape):
    """The sizes of `LLAMA`, or of a shape of bench/workloads.ts."""
    width = shape.get("hidden", LLAMA["width"])
    return {
        "vocab": shape.get("vocabulary", LLAMA["vocab"]),
        "layers": shape.get("layers", LLAMA["layers"]),
        "width": width,
        "heads": width // 48,
        "ffn": 8 * width // 3,
    }


def random_batches(vocab=LLAMA["vocab"], rows=ROWS, length=LENGTH):
    """One alignment and one harmful batch of random tokens, every token labelled and real."""
    stream = torch.Generator().manual_seed(SEED)

    def batch():
        ids = torch.randint(vocab, (rows, length), generator=stream)
        return {"input_ids": ids, "labels": ids, "attention_mask": torch.ones_like(ids)}

    return [{"align": batch(), "harmful": batch()}]


def on_device(batches, device):
    return [{side: {key: x.to(device) for key, x in rows.items()} for side, rows in step.items()} for step in batches]


def take_gradients(params):
    """The gradients in hand, leaving none behind."""
    grads = [p.grad for p in params]
    for p in params:
        p.grad = None
    return grads


def sft_gradient(loss_of, params, batch):
    """Leaves grad f(align) in the parameters; returns f."""
    loss = loss_of(batch["align"])
    loss.backward()
    return loss.item()


def booster_gradient(loss_of, params, batch, lamb=BOOSTER_LAMBDA, alpha=BOOSTER_ALPHA):
    """Leaves ga + lamb * (g1 - g2) in the parameters, g2 being taken at w - alpha * g1 / |g1|; returns f(align)."""
    loss_of(batch["harmful"]).backward()
    g1 = take_gradients(params)
    norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in g1])) + 1e-7
    kept = [p.detach().clone() for p in params]
    with torch.no_grad():
        for p, g in zip(params, g1):
            p.sub_(g * (alpha / norm))
    loss_of(batch["harmful"]).backward()
    g2 = take_gradients(params)
    with torch.no_grad():
        for p, old in zip(params, kept):
            p.copy_(old)
    loss = sft_gradient(loss_of, params, batch)
    for p, a, b in zip(params, g1, g2):
        p.grad.add_(a - b, alpha=lamb)
    return loss


def measure(options, loss_of, params, batches, *, peer, workload, mode, warmup, versions):
    """Trains `warmup` uncounted steps on the first batch, then `options.steps` over the batches in turn, and prints the result."""
    gradient = booster_gradient if options.method == "booster" else sft_gradient
    optimizer = torch.optim.AdamW(params, lr=5e-4, weight_decay=0.1)
    batches = on_device(batches, options.device)

    def step(batch):
        loss = gradient(loss_of, params, batch)
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if options.device == "cuda":
            torch.cuda.synchronize()
        return loss

    for _ in range(warmup):
        step(batches[0])
    seconds = []
    for i in range(options.steps):
        start = time.perf_counter()
        loss = step(batches[i % len(batches)])
        seconds.append(time.perf_counter() - start)

    result = {
        "peer": peer,
        "workload": workload,
        "mode": mode,
        "stepSeconds": seconds,
        "peakRssBytes": peak_rss_bytes(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__, **versions},
        "threads": torch.get_num_threads(),
        "loss": loss,
    }
    if options.json:
        print(json.dumps(result))
    else:
        print(f"{peer} {workload} {mode}: {statistics.median(seconds):.2f} s a step, {result['peakRssBytes'] / 1e9:.2f} GB, loss {loss:.4f}")


def peak_rss_bytes():
    """This program's own peak; getrusage would count what the process that started it held."""
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024
