"""PyTorch's figures for the rows of chiasm_cuda_speed, on the same card in the same run."""

import time

import torch
from torch.nn.functional import scaled_dot_product_attention


def seconds(work) -> float:
    """Median of five runs of calls that take about a hundredth of a second together."""
    work()
    torch.cuda.synchronize()
    calls, times = 1, []
    for run in range(6):
        begin = time.perf_counter()
        for _ in range(calls):
            work()
        torch.cuda.synchronize()
        took = (time.perf_counter() - begin) / calls
        if run == 0:
            calls = max(1, min(1000, int(0.01 / took)))
        else:
            times.append(took)
    return sorted(times)[2]


def random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, device="cuda", dtype=torch.bfloat16)


def attention(
    title: str, batch: int, rows: int, keys: int, heads: tuple[int, int], d: int
) -> None:
    q = random(batch, heads[0], rows, d)
    k, v = random(batch, heads[1], keys, d), random(batch, heads[1], keys, d)
    causal, shared = rows == keys and batch == 1, heads[0] != heads[1]
    took = seconds(
        lambda: scaled_dot_product_attention(
            q, k, v, is_causal=causal, enable_gqa=shared
        )
    )
    print(f"{title:46} {took * 1e6:10.1f} us")


def main() -> None:
    print(f"PyTorch {torch.__version__}, {torch.cuda.get_device_name()}")
    a, b = (torch.empty(1 << 30, device="cuda", dtype=torch.uint8) for _ in range(2))
    took = seconds(lambda: b.copy_(a))
    print(f"{'copy':46} {took * 1e6:10.1f} us  {2 * a.numel() / took / 1e9:8.1f} GB/s")
    for rows, n in ((8192, 8192), (1024, 4096), (8, 4096), (1, 4096)):
        x, w = random(rows, n), random(n, n)
        took = seconds(lambda x=x, w=w: x @ w.T)
        title = f"bf16 product {rows} x {n} to {n}"
        print(
            f"{title:46} {took * 1e6:10.1f} us  {2e-12 * rows * n * n / took:8.1f} TFLOP/s"
        )
    attention("attention, decode, 8k keys, 32/8 of 128", 1, 1, 8192, (32, 8), 128)
    attention("attention, causal 4k, 32/8 of 128", 1, 4096, 4096, (32, 8), 128)
    for d in (64, 72, 80):
        attention(
            f"attention, 16 x 1024 patches, 16 heads of {d}",
            16,
            1024,
            1024,
            (16, 16),
            d,
        )


if __name__ == "__main__":
    main()
