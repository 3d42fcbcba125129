"""Planted bugs, each with the check that must find it. tests/cuda/mutations.py tries them.

A bug is a piece of text that stands once in a file of kernels/cuda, and what takes its place. `found_by`:

    numbers   an operator's case differs from the reference, or between orders of threads
    refused   a library's double refuses its operands, or another provider served than should
    stuck     the emulator ends the process: a barrier that some never reach, lanes that are apart
    address   AddressSanitizer
    thread    ThreadSanitizer, with one fiber for each CUDA thread
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Mutant:
    name: str
    file: str  # in kernels/cuda
    old: str
    new: str
    case: str  # what the names of the cases to be run hold
    found_by: str = "numbers"


TILES, TILES_CASE = "attention_tiles.cu", "masks, 4/2 heads of 64"
ROWS, ROWS_CASE = "attention_rows.cu", "steps, 2/2 heads of 64"
NORM, NORM_CASE = "norm_vector.h", "layer_norm 2 x 576"
LIBRARY = "attention_library.cu"
SOME, SOME_CASE = "some_rows.cu", "linear q4_k 12 x"
MEL = "log_mel.cu"
STAGING = "staging.cpp"
DOWNLOADS = "downloads.cpp"

MUTANTS = [
    # Attention on tensor cores.
    Mutant(
        "tiles: one group of copies too few is waited for",
        TILES, "dev::wait_copies<1>();", "dev::wait_copies<2>();", TILES_CASE,
    ),
    Mutant(
        "tiles: two fragments of keys swapped",
        TILES, "(score[2 * n], a, b[0], b[1])", "(score[2 * n], a, b[1], b[0])", TILES_CASE,
    ),
    Mutant(
        "tiles: the last visible key is one too many",
        TILES, "key >= last[half])", "key > last[half])", TILES_CASE,
    ),
    Mutant(
        "tiles: keys behind a sequence's end are read, from its page",
        TILES, "key < s.key_count && d < c.head_dim", "d < c.head_dim", TILES_CASE,
    ),
    Mutant(
        "tiles: keys behind a sequence's end are read, and there is nothing",
        TILES, "key < s.key_count && d < c.head_dim", "d < c.head_dim",
        "masks, 2/1 heads of 64, contiguous", "address",
    ),
    Mutant(
        "tiles: no barrier before a block of keys is overwritten",
        TILES, "    dev::sync_block();  // the block's memory is free\n", "", TILES_CASE, "thread",
    ),
    Mutant(
        "tiles: no barrier between q's copy and its use",
        TILES, "  dev::sync_block();  // q is there\n", "", TILES_CASE, "thread",
    ),
    Mutant(
        "tiles: half a warp waits for the block, half for the warp",
        TILES, "    dev::sync_block();\n    float score",
        "    if (lane < 16) {\n      dev::sync_block();\n    } else {\n      dev::sync_warp();\n"
        "    }\n    float score",
        TILES_CASE, "stuck",
    ),
    # Attention of decoded rows, keys in parts.
    Mutant(
        "rows: the last part of the keys is not joined",
        ROWS, "(c.last_key[row] + kPartKeys - 1) / kPartKeys", "c.last_key[row] / kPartKeys",
        ROWS_CASE,
    ),
    Mutant(
        "rows: parts are added without their maxima",
        ROWS, "dev::exp2(from[c.head_dim] - most) * from[d]", "from[d]", ROWS_CASE,
    ),
    Mutant(
        "rows: parts are joined before the last one is there",
        ROWS, "before + 1 != unsigned(parts.count)", "before + 2 != unsigned(parts.count)",
        ROWS_CASE,
    ),
    Mutant(
        "rows: half of a warp's keys is not joined",
        ROWS, "step < dev::kWarp; step *= 2", "step < dev::kWarp / 2; step *= 2", ROWS_CASE,
    ),
    Mutant(
        "rows: no barrier between the warps' sums and their joining",
        ROWS, "  leave(sums, shared);\n  dev::sync_block();\n", "  leave(sums, shared);\n",
        ROWS_CASE, "thread",
    ),
    Mutant(
        "rows: heads beyond a group's last one are written",
        ROWS, "int(group - in_group < pack ? group - in_group : pack)", "pack",
        "steps, 6/2 heads of 64",
    ),
    Mutant(
        "rows: numbers behind a head's end take part",
        ROWS, "  if (d >= dims) return out;\n", "", "masks, 3/3 heads of 18",
    ),
    Mutant(
        "keys: pages are counted from the first sequence's",
        "attention_scores.h", "c.pages[s.pages + key / kPageTokens]",
        "c.pages[key / kPageTokens]", ROWS_CASE,
    ),
    Mutant(
        "keys: scores are capped at half the cap",
        "attention_scores.h", "1.0f - 2.0f / (1.0f + e)", "1.0f - 1.5f / (1.0f + e)",
        "steps, capped",
    ),
    # Products.
    Mutant(
        "gemv: the last few inputs are left out",
        "gemv.cu", "j < count ? at[j]", "j < count - 1 ? at[j]", "linear f32 8 x 37",
    ),
    Mutant(
        "gemv: what y held is lost",
        "gemv.cu", "c.accumulate ? y[job] + value : value", "value", "linear f32 8 x 37",
    ),
    Mutant(
        "gemv: outputs behind the last one are computed",
        "gemv.cu", "  if (end > work.jobs) end = work.jobs;\n", "",
        "linear f32 1 x 64 to 5", "address",
    ),
    Mutant(
        "gemv: an odd last row is left out",
        "gemv.cu", "lane == 0 && r < work.rows)", "lane == 0 && r < work.rows / 2 * 2)",
        "linear f32 7 x 300",
    ),
    Mutant(
        "gemv: the gate stands for what it opens",
        "gemv.cu", "with_bias(c, job + work.jobs, b)", "with_bias(c, job, a)", "linear f32 gated",
    ),
    Mutant(
        "gemv: no barrier between a norm's rows and their use",
        "gemv.cu", "    dev::sync_block();\n    x = normed;", "    x = normed;",
        "layers f32 1 rows, 12 pairs", "thread",
    ),
    Mutant(
        "gemv: values are turned as keys are",
        "few_rows.h", "turn.cosine != nullptr && !of_v &&", "turn.cosine != nullptr &&",
        "layers f32 1 rows, 12 pairs",
    ),
    Mutant(
        "gemv: what is not turned lands in its neighbour's place",
        "few_rows.h", "at < turn.half ? at : 2 * at;", "at < turn.half ? at : at;",
        "layers f16 5 rows, 8 pairs",
    ),
    Mutant(
        "weights: the minimum of 4-bit groups is dropped",
        "weights.h", "0xfu) - shared.offset) + shared.min", "0xfu) - shared.offset)",
        "linear q4 1 x 64",
    ),
    Mutant(
        "weights: neighbouring nibbles swapped",
        "weights.h", "(v >> (4 * j))", "(v >> (4 * (j ^ 1)))", "linear q4 1 x 64",
    ),
    Mutant(
        "weights: the scales of K-types' groups are forgotten",
        "weights.h", "s.scale *= float(m.group_scales[group])", "s.scale *= 1.0f",
        "linear q4_k 1 x",
    ),
    Mutant(
        "some rows: no barrier before a stretch is overwritten",
        SOME, "    dev::sync_block();  // the buffer is free\n", "", SOME_CASE, "thread",
    ),
    Mutant(
        "some rows: the second pair of warps is not added",
        SOME, "c[i / 4][i % 4] + sums[in_pair * tiles * 4 + i]", "c[i / 4][i % 4]", SOME_CASE,
    ),
    Mutant(
        "some rows: no barrier before the second pair's sums are read",
        SOME, "  dev::sync_block();\n  if (part == 1) return;", "  if (part == 1) return;",
        SOME_CASE, "thread",
    ),
    Mutant(
        "some rows: one group of copies too few is waited for",
        SOME, "dev::wait_copies<1>();", "dev::wait_copies<2>();", SOME_CASE,
    ),
    Mutant(
        "linear: padding is read from the next row",
        "linear.cu", "i < w.in ? dev::to_bf16(x[row * stride + from]) : 0",
        "dev::to_bf16(x[row * stride + from])", "linear bf16 9 x 43",
    ),
    # Rows.
    Mutant(
        "norm: no barrier between the warps' sums and their use",
        NORM, "shared[warp] = v;\n  dev::sync_block();\n", "shared[warp] = v;\n", NORM_CASE,
        "thread",
    ),
    Mutant(
        "norm: the second sum overwrites the first one's parts",
        NORM, "  dev::sync_block();  // what was in `shared` has been read\n", "", NORM_CASE,
        "thread",
    ),
    Mutant(
        "norm: one lane of each warp alone meets the barrier",
        NORM,
        "threadIdx.x % dev::kWarp == 0) shared[warp] = v;\n  dev::sync_block();\n",
        "threadIdx.x % dev::kWarp == 0) {\n    shared[warp] = v;\n    dev::sync_block();\n  }\n",
        NORM_CASE, "stuck",
    ),
    Mutant(
        "norm: the variance is taken about zero",
        NORM, "const float d = x[i] - mean;", "const float d = x[i];", NORM_CASE,
    ),
    Mutant(
        "turn: no barrier between turning k and storing it",
        "turn.cu", "  dev::sync_block();  // k is turned\n", "", "turn and write", "thread",
    ),
    Mutant(
        "turn: rows are stored in the first page",
        "turn.cu", "page_offset(slot / kPageTokens,", "page_offset(0,", "write_pages float32",
    ),
    Mutant(
        "turn: the other way round",
        "turn.cu", "a * cosine[pair] - b * sine[pair]", "a * cosine[pair] + b * sine[pair]",
        "rotary of 1 axes",
    ),
    Mutant(
        "pointwise: every row adds the first one",
        "pointwise.cu", "c.x + row * c.x_stride, before", "c.x, before", "add, add_scaled",
    ),
    Mutant(
        "gather: a line of a picture's padding is shown",
        "gather.cu", "y < c.valid_height", "y <= c.valid_height", "picture 8 x 12",
    ),
    Mutant(
        "gather: rows and columns of a shuffled square swapped",
        "gather.cu", "* c.factor + place / c.factor", "* c.factor + place % c.factor",
        "pixel_shuffle",
    ),
    # Copies between the host and the device.
    Mutant(
        "staging: a full buffer is left without a mark behind its copies",
        STAGING, "  backend::record(session, *up_[at_].done);\n", "", "copies of 786437 numbers 6",
    ),
    Mutant(
        "staging: a buffer is filled while it is read",
        STAGING, "  if (up_[at_].done != nullptr) backend::wait(*up_[at_].done);\n", "",
        "copies of 5000 numbers 500",
    ),
    Mutant(
        "staging: another buffer's mark is waited for",
        STAGING, "backend::wait(*buffer.done);", "backend::wait(*buffer_at(0).done);",
        "copies of 524289 numbers",
    ),
    Mutant(
        "staging: small copies lie over one another",
        STAGING, "used_ += rounded(piece);", "used_ += piece / 2 / kAlignment * kAlignment;",
        "copies of 5000 numbers 500",
    ),
    Mutant(
        "staging: what was brought back is taken before it is there",
        STAGING, "    backend::wait(*buffer.done);\n", "", "copies of 1000 numbers",
    ),
    Mutant(
        "staging: what was brought back is written over before it is taken",
        STAGING, "asked - taken < kDown * kBufferBytes", "asked - taken <= kDown * kBufferBytes",
        "copies of 2359299 numbers",
    ),
    Mutant(
        "downloads: bytes are taken before they are there",
        DOWNLOADS, "  backend::wait(*download.done);\n", "", "copies that are taken later",
    ),
    Mutant(
        "downloads: one that waits to be taken is written over",
        DOWNLOADS, "  idle_.erase(at);\n", "", "copies that are taken later",
    ),
    Mutant(
        "downloads: the mark stands before the copy",
        DOWNLOADS,
        "  backend::download_pinned(session, download->memory, from, bytes);\n"
        "  backend::record(session, *download->done);\n",
        "  backend::record(session, *download->done);\n"
        "  backend::download_pinned(session, download->memory, from, bytes);\n",
        "copies that are taken later",
    ),
    # Tokens.
    Mutant(
        "embed: a token that could not be drawn is looked up",
        "gather.cu", "if (c.ids[row] >= 0) read8", "read8", "steps of drawn tokens", "address",
    ),
    Mutant(
        "sample: the last of equals is taken",
        "sample.cu", "b.index < a.index", "b.index > a.index", "sample of 411",
    ),
    Mutant(
        "sample: no barrier between the warps' best and the block's",
        "sample.cu", "= mine;\n  dev::sync_block();\n", "= mine;\n", "sample of 411", "thread",
    ),
    Mutant(
        "sample: no barrier between the threads' sums and their use",
        "sample.cu", "= sum;\n  dev::sync_block();\n", "= sum;\n", "sample of 411", "thread",
    ),
    Mutant(
        "sample: a thread counts from its own stretch",
        "sample.cu", "float cumulative = before;", "float cumulative = 0;", "sample of 411",
    ),
    # What tests of dev.h themselves would miss.
    Mutant(
        "intrinsics: every warp takes itself for the last one",
        "intrinsics.cu", "if (before + 1 != unsigned(call.warps)) return 0;\n", "",
        "intrinsics publish",
    ),
    # Pictures and sounds.
    Mutant(
        "resize: sums are cut off instead of rounded",
        "resize.cu", "std::int32_t sum = 1 << (axis.bits - 1);", "std::int32_t sum = 0;",
        "resize 19 x 23",
    ),
    Mutant(
        "resize: what is brighter than white begins again at black",
        "resize.cu", "sum > 255 ? 255 : sum", "sum", "resize 31 x 9",
    ),
    Mutant(
        "resize: a column's pixels are taken from its row",
        "resize.cu", "resized(c.y, c.rgb + i, stride, row)", "resized(c.y, c.rgb + i, kChannels, row)",
        "resize 31 x 9",
    ),
    Mutant(
        "resize: a line of a tile's padding is shown",
        "resize.cu", "y < c.y.count_out && x", "y <= c.y.count_out && x", "resize 19 x 23",
    ),
    Mutant(
        "resize: numbers behind a row's end are written",
        "resize.cu", "  if (i >= width * kChannels) return;\n", "", "resize 12 x 17 to 12 x 6", "address",
    ),
    Mutant(
        "log_mel: no barrier between a frame's samples and their use",
        MEL, "    odd[t] = paired ? a - b : 0.0;\n  }\n  dev::sync_block();\n",
        "    odd[t] = paired ? a - b : 0.0;\n  }\n", "log_mel cut", "thread",
    ),
    Mutant(
        "log_mel: no barrier between the spectrum and its bands",
        MEL, "imaginary * imaginary;\n  }\n  dev::sync_block();\n", "imaginary * imaginary;\n  }\n",
        "log_mel cut", "thread",
    ),
    Mutant(
        "log_mel: the sample in the middle counts twice",
        MEL, "t > 0 && t < half", "t > 0", "log_mel cut",
    ),
    Mutant(
        "log_mel: the sound is reflected one sample too late",
        MEL, "2 * (c.length - 1) - i", "2 * c.length - 1 - i", "log_mel cut",
    ),
    Mutant(
        "log_mel: samples behind the sound are read",
        MEL, "i < c.samples ? c.sound[i] : 0.0f", "c.sound[i]", "log_mel padded", "address",
    ),
    # What a library is told.
    Mutant(
        "library: sequences behind the last one repeat it",
        LIBRARY, "p.row_counts[i] = real ? s.q_count : 0;", "p.row_counts[i] = s.q_count;",
        "library packed, 4/4", "refused",
    ),
    Mutant(
        "library: queries are found where keys would be",
        LIBRARY, "p.row_offsets[i] = row * q_cols;", "p.row_offsets[i] = row * k_cols;",
        "library packed, causal",
    ),
    Mutant(
        "library: pages are counted from the first sequence's",
        LIBRARY, "page < pages ? s.pages + page : 0", "page < pages ? page : 0",
        "library pages, causal, 4/2",
    ),
    Mutant(
        "library: causal rows see all keys",
        LIBRARY, "shape.causal = f.mask == Mask::causal;", "shape.causal = false;",
        "library alike, causal, 4/2",
    ),
    Mutant(
        "library: windows are forgotten",
        LIBRARY, "shape.window = f.window;", "shape.window = 0;", "library packed, windows",
    ),
    Mutant(
        "library: plans are made for too few keys",
        LIBRARY, "bucket(c.most_keys, kLeast)", "kLeast", "library packed, causal", "refused",
    ),
    Mutant(
        "library: sequences that differ are taken for alike",
        LIBRARY, "(c.paged || c.facts.even_keys == 0)", "c.paged", "library packed, 4/4", "refused",
    ),
    Mutant(
        "library: capped scores go there",
        LIBRARY, " && c.softcap <= 0", "", "library not: capped", "refused",
    ),
    Mutant(
        "library: sizes beyond the first few are not packed",
        LIBRARY, "for (const bool packed : {false, true})", "for (const bool packed : {false})",
        "library, pictures of many sizes", "refused",
    ),
    Mutant(
        "library: its workspace is where the queries are",
        LIBRARY, "? memory + workspace_at", "? memory + q_at", "library pages, 4/2",
    ),
]  # fmt: skip
