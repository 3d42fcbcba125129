"""Small pictures of every kind that the decoders must read, for make_vision_golden.py.

`pictures()` yields (file name, bytes). Pillow writes what it can; the writers below make what it
cannot: interlaced and 16-bit PNG, planar and tiled TIFF, run-length coded BMP, odd GIFs.
"""
import io
import struct
import zlib

import numpy as np
from PIL import Image, TiffImagePlugin


def photo(width, height, channels=3, bits=8):
    """Smooth colours with edges and some noise: [height, width, channels]."""
    y, x, c = np.mgrid[0:height, 0:width, 0:channels].astype(np.int64)
    wave = 96 * np.sin(x / 5.0 + c) + 80 * np.cos(y / 7.0 + 2 * c)
    edge = np.where((x // 11 + y // 9) % 2 == 0, 30, -30)
    noise = np.random.default_rng(width * 1000 + height).integers(-6, 7, x.shape)
    level = np.clip(128 + wave + edge + noise, 0, 255)
    return level.astype(np.uint8) if bits == 8 else (level * 257 - noise * 19).clip(0, 65535).astype(np.uint16)


def encode(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def rgb(width=37, height=29):
    return Image.fromarray(photo(width, height))


def exif(orientation, prefix=b"Exif\0\0", order=">"):
    mark = b"MM\0*" if order == ">" else b"II*\0"
    return (prefix + mark + struct.pack(order + "IHHHIHHI", 8, 1, 274, 3, 1, orientation, 0, 0))


XMP = ('<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="r"><rdf:Description '
       'xmlns:tiff="t" tiff:Orientation="%d"/></rdf:RDF></x:xmpmeta>')


# --- JPEG -----------------------------------------------------------------------------------------
def jpegs():
    for name, sampling in (("444", 0), ("422", 1), ("420", 2)):
        yield f"rgb_{name}.jpg", encode(rgb(), "JPEG", quality=85, subsampling=sampling)
    for name, sampling in (("440", "4:4:0"), ("411", "4:1:1")):
        yield f"rgb_{name}.jpg", resampled(encode(rgb(48, 32), "JPEG", subsampling=0), sampling)
    yield "grey.jpg", encode(rgb().convert("L"), "JPEG", quality=80)
    yield "progressive.jpg", encode(rgb(65, 50), "JPEG", progressive=True, quality=70)
    yield "restarts.jpg", encode(rgb(65, 50), "JPEG", restart_marker_blocks=2, quality=40)
    yield "keep_rgb.jpg", encode(rgb(), "JPEG", keep_rgb=True, quality=90)
    yield "low_quality.jpg", encode(rgb(100, 75), "JPEG", quality=3)
    cmyk = Image.fromarray(photo(33, 21, 4), "CMYK")
    yield "cmyk.jpg", encode(cmyk, "JPEG", quality=90)
    yield "ycck.jpg", with_adobe_transform(encode(cmyk, "JPEG", quality=90), 2)
    yield "one_pixel.jpg", encode(rgb(1, 1), "JPEG")
    for orientation in range(1, 9):
        order = "<" if orientation % 2 else ">"
        yield f"exif_{orientation}.jpg", encode(rgb(31, 18), "JPEG", exif=exif(orientation, order=order))
    yield "exif_9.jpg", encode(rgb(31, 18), "JPEG", exif=exif(9))
    yield "exif_broken.jpg", encode(rgb(31, 18), "JPEG", exif=exif(6)[:20])
    yield "xmp_8.jpg", encode(rgb(31, 18), "JPEG", xmp=(XMP % 8).encode())
    yield "exif_1_xmp_8.jpg", encode(rgb(31, 18), "JPEG", exif=exif(1), xmp=(XMP % 8).encode())
    yield "no_eoi.jpg", encode(rgb(), "JPEG")[:-2]


def with_adobe_transform(jpeg, transform):
    at = jpeg.index(b"Adobe") + 11
    return jpeg[:at] + bytes([transform]) + jpeg[at + 1:]


def resampled(jpeg, sampling):
    """Claims another sampling for the first channel of a 4:4:4 file whose size it keeps divisible: the
    picture is then nonsense, but the same nonsense for every decoder."""
    at = jpeg.index(b"\xff\xc0")
    factors = {"4:4:0": 0x12, "4:1:1": 0x41}[sampling]
    return jpeg[:at + 11] + bytes([factors]) + jpeg[at + 12:]


# --- PNG ------------------------------------------------------------------------------------------
PNG_KIND = {1: 0, 3: 2, 2: 4, 4: 6}
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_rows(samples, bits):
    """Filtered with none and sub in turn (whole bytes only)."""
    out = b""
    for y, row in enumerate(samples.reshape(samples.shape[0], -1)):
        if bits == 16:
            data = row.astype(">u2").tobytes()
        elif bits == 8:
            data = row.astype(np.uint8).tobytes()
        else:
            expanded = (row[:, None] >> np.arange(bits - 1, -1, -1)) & 1
            data = np.packbits(expanded.reshape(-1)).tobytes()
        step = samples.shape[2] * bits // 8
        if y % 2 and step:
            left = bytes(step) + data[:-step]
            data = bytes((a - b) & 255 for a, b in zip(data, left))
            out += b"\1" + data
        else:
            out += b"\0" + data
    return out


def png(samples, bits=8, palette=None, interlaced=False, before=b"", after=b""):
    """samples: [height, width, channels] of `bits` bits; a palette makes them indices."""
    height, width, channels = samples.shape
    kind = 3 if palette is not None else PNG_KIND[channels]
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, int(interlaced))
    if interlaced:
        parts = [samples[y::dy, x::dx] for x, y, dx, dy in ADAM7]
        rows = b"".join(png_rows(p, bits) for p in parts if p.size)
    else:
        rows = png_rows(samples, bits)
    colors = chunk(b"PLTE", bytes(palette)) if palette is not None else b""
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + colors + before
            + chunk(b"IDAT", zlib.compress(rows, 9)) + after + chunk(b"IEND", b""))


def pngs():
    random = np.random.default_rng(7)
    for bits in (1, 2, 4):
        levels = random.integers(0, 1 << bits, (13, 19, 1))
        yield f"grey_{bits}.png", png(levels, bits)
        palette = random.integers(0, 256, 3 << bits).astype(np.uint8)
        yield f"palette_{bits}.png", png(levels, bits, palette)
        yield f"palette_{bits}_interlaced.png", png(levels, bits, palette, interlaced=True)
    for channels, name in ((1, "grey"), (2, "grey_alpha"), (3, "rgb"), (4, "rgba")):
        yield f"{name}_8.png", png(photo(23, 17, channels))
        yield f"{name}_8_interlaced.png", png(photo(23, 17, channels), interlaced=True)
        wide = photo(21, 15, channels, 16)
        if channels == 1:
            wide[::2] //= 200  # around 255, where Pillow cuts off
        yield f"{name}_16.png", png(wide, 16)
        yield f"{name}_16_interlaced.png", png(wide, 16, interlaced=True)
    indices = random.integers(0, 200, (17, 23, 1))
    palette = random.integers(0, 256, 600).astype(np.uint8)
    yield "palette_8.png", png(indices, 8, palette)
    alpha = chunk(b"tRNS", bytes(random.integers(0, 256, 200).astype(np.uint8)))
    yield "palette_8_alpha.png", png(indices, 8, palette, before=alpha)
    yield "palette_short.png", png(random.integers(0, 60, (9, 9, 1)), 8, palette[:90])
    yield "grey_key.png", png(photo(9, 9, 1), before=chunk(b"tRNS", b"\0\x80"))
    yield "rgb_key.png", png(photo(9, 9), before=chunk(b"tRNS", b"\0\x80\0\x10\0\x20"))
    yield "gamma.png", png(photo(9, 9), before=chunk(b"gAMA", struct.pack(">I", 100000)))
    yield "exif_6.png", png(photo(31, 18), before=chunk(b"eXIf", exif(6, b"")))
    yield "exif_after_3.png", png(photo(31, 18), after=chunk(b"eXIf", exif(3, b"")))
    profile = ("\nexif\n%8d\n" % len(exif(5)) + exif(5).hex() + "\n").encode()
    yield "raw_profile_5.png", png(
        photo(31, 18), before=chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(profile)))
    yield "raw_text_7.png", png(
        photo(31, 18), before=chunk(b"tEXt", b"Raw profile type exif\0" + profile.replace(
            exif(5).hex().encode(), exif(7).hex().encode())))
    packet = b"XML:com.adobe.xmp\0\0\0\0\0" + (XMP % 2).encode()
    yield "xmp_2.png", png(photo(31, 18), before=chunk(b"iTXt", packet))
    packet = b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress((XMP % 4).encode())
    yield "xmp_packed_4.png", png(photo(31, 18), before=chunk(b"iTXt", packet))
    frames = [Image.fromarray(photo(20, 14)), Image.fromarray(255 - photo(20, 14))]
    yield "animated.png", encode(frames[0], "PNG", save_all=True, append_images=frames[1:])
    blocks = (np.mgrid[0:7000, 0:9000].sum(0) // 1500 % 2).astype(np.uint8)
    yield "huge.png", encode(Image.fromarray(blocks * 255).convert("1"), "PNG", optimize=True)


# --- GIF and WebP ---------------------------------------------------------------------------------
def gif(screen, parts, global_palette=None, trailer=b";"):
    """parts: (x, y, indices [h, w], palette or None, transparent or None, interlaced)."""
    def table(palette):
        return bytes(palette) if palette is not None else b""

    def flags(palette):
        return 0x80 | (len(palette) // 3).bit_length() - 2 if palette is not None else 0

    out = b"GIF89a" + struct.pack("<HHBBB", *screen, flags(global_palette), 1, 0) + table(global_palette)
    for x, y, indices, palette, transparent, interlaced in parts:
        if transparent is not None:
            out += b"!\xf9\4\1\0\0" + bytes([transparent, 0])
        h, w = indices.shape
        out += b"," + struct.pack("<HHHHB", x, y, w, h, flags(palette) | (0x40 if interlaced else 0))
        out += table(palette)
        rows = indices
        if interlaced:
            rows = np.concatenate([indices[s::d] for s, d in ((0, 8), (4, 8), (2, 4), (1, 2))])
        out += lzw(rows.reshape(-1))
    return out + trailer


def lzw(indices):
    """Eight-bit GIF data: literal codes of nine bits, with a clear code before they would grow."""
    bits = []
    for i, index in enumerate(indices):
        if i % 250 == 0:
            bits.append(256)
        bits.append(int(index))
    bits.append(257)
    stream = sum(code << (9 * i) for i, code in enumerate(bits))
    data = stream.to_bytes((9 * len(bits) + 7) // 8, "little")
    blocks = [data[i:i + 255] for i in range(0, len(data), 255)]
    return b"\x08" + b"".join(bytes([len(b)]) + b for b in blocks) + b"\0"


def gifs():
    random = np.random.default_rng(9)
    colors = random.integers(0, 256, 768).astype(np.uint8)
    others = random.integers(0, 256, 48).astype(np.uint8)
    grey = np.repeat(np.arange(256, dtype=np.uint8), 3)
    part = random.integers(0, 256, (11, 15)).astype(np.uint8)
    yield "plain.gif", gif((15, 11), [(0, 0, part, None, None, False)], colors)
    yield "interlaced.gif", gif((15, 11), [(0, 0, part, None, None, True)], colors)
    yield "grey.gif", gif((15, 11), [(0, 0, part, None, None, False)], grey)
    yield "no_palette.gif", gif((15, 11), [(0, 0, part, None, None, False)])
    yield "local.gif", gif((15, 11), [(0, 0, part % 16, others, None, False)], colors)
    yield "short_palette.gif", gif((15, 11), [(0, 0, part % 40, others, None, False)], None)
    yield "offset.gif", gif((30, 20), [(7, 5, part, None, None, False)], colors)
    yield "offset_clear.gif", gif((30, 20), [(7, 5, part, None, 77, False)], colors)
    yield "offset_local.gif", gif((30, 20), [(7, 5, part % 16, others, 3, True)], colors)
    yield "wider_than_screen.gif", gif((10, 8), [(2, 1, part, None, None, False)], colors)
    two = [(0, 0, part, None, None, False), (3, 2, part[::-1], None, 1, False)]
    yield "animated.gif", gif((18, 13), two, colors)
    yield "pillow.gif", encode(rgb(60, 40).quantize(64), "GIF")
    yield "no_trailer.gif", gif((15, 11), [(0, 0, part, None, None, False)], colors, b"")


def webps():
    yield "lossy.webp", encode(rgb(45, 31), "WEBP", quality=60)
    yield "lossless.webp", encode(rgb(45, 31), "WEBP", lossless=True)
    clear = Image.fromarray(photo(45, 31, 4))
    yield "lossy_alpha.webp", encode(clear, "WEBP", quality=60)
    yield "lossless_alpha.webp", encode(clear, "WEBP", lossless=True, exact=True)
    yield "exif_6.webp", encode(rgb(31, 18), "WEBP", exif=exif(6))
    yield "exif_8_bare.webp", encode(rgb(31, 18), "WEBP", exif=exif(8, b""))
    yield "xmp_3.webp", encode(rgb(31, 18), "WEBP", xmp=(XMP % 3).encode())
    small = Image.new("RGBA", (40, 30), (0, 0, 0, 0))
    small.paste(Image.fromarray(photo(12, 10, 4)), (6, 8))
    frames = [small, Image.fromarray(photo(40, 30, 4))]
    yield "animated.webp", encode(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)


# --- BMP and PNM ----------------------------------------------------------------------------------
def bmp(width, height, bits, pixels, palette=b"", compression=0, masks=b"", colors=0, header=40):
    if header == 12:
        info = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        info = struct.pack("<IiiHHIIiiII", header, width, height, 1, bits, compression, len(pixels), 0, 0,
                           colors, 0) + masks
        if header > 40:
            info += bytes(header - len(info))
    offset = 14 + len(info) + len(palette)
    return b"BM" + struct.pack("<IHHI", offset + len(pixels), 0, 0, offset) + info + palette + pixels


def rows_of_4(data, height):
    row = len(data) // height
    return b"".join(data[i * row:(i + 1) * row] + bytes(-row % 4) for i in range(height))


def bmps():
    random = np.random.default_rng(11)
    bgrx = random.integers(0, 256, (256, 4)).astype(np.uint8)
    for mode in ("1", "L", "P", "RGB", "RGBA"):
        image = rgb(19, 13).quantize(50) if mode == "P" else rgb(19, 13).convert(mode)
        yield f"pillow_{mode.lower()}.bmp", encode(image, "BMP")
    nibbles = random.integers(0, 256, (7, 7)).astype(np.uint8)
    yield "palette_4.bmp", bmp(13, 7, 4, rows_of_4(nibbles.tobytes(), 7), bgrx[:16].tobytes(), colors=16)
    yield "core.bmp", bmp(13, 7, 4, rows_of_4(nibbles.tobytes(), 7), bgrx[:16, :3].tobytes(), header=12)
    words = random.integers(0, 65536, (6, 9)).astype("<u2").tobytes()
    yield "555.bmp", bmp(9, 6, 16, rows_of_4(words, 6))
    yield "565.bmp", bmp(9, 6, 16, rows_of_4(words, 6), compression=3,
                         masks=struct.pack("<III", 0xF800, 0x7E0, 0x1F))
    wide = random.integers(0, 256, 9 * 6 * 4).astype(np.uint8).tobytes()
    yield "32.bmp", bmp(9, 6, 32, wide)
    yield "32_masks.bmp", bmp(9, 6, 32, wide, compression=3, header=124,
                              masks=struct.pack("<IIII", 0xFF, 0xFF00, 0xFF0000, 0xFF000000))
    yield "top_down.bmp", bmp(9, -6, 32, wide)
    runs = (bytes([5, 3, 0, 5, 9, 8, 7, 6, 5, 0]) + b"\0\0" + bytes([10, 200]) + b"\0\0"
            + bytes([2, 1]) + b"\0\2\3\0" + bytes([5, 77]) + b"\0\1")
    yield "rle8.bmp", bmp(10, 3, 8, runs, bgrx.tobytes(), compression=1, colors=256)
    runs = bytes([7, 0x3A, 0, 3, 0x12, 0x30]) + b"\0\0" + bytes([10, 0xF0]) + b"\0\1"
    yield "rle4.bmp", bmp(10, 2, 4, runs, bgrx[:16].tobytes(), compression=2, colors=16)


def pnms():
    random = np.random.default_rng(13)
    yield "bits.pbm", b"P4\n# a comment\n19 5\n" + random.integers(0, 256, 15).astype(np.uint8).tobytes()
    yield "grey.pgm", b"P5 17 5 255\n" + photo(17, 5, 1).tobytes()
    yield "grey_100.pgm", b"P5 17 5 100\n" + (photo(17, 5, 1) // 2).tobytes()
    yield "grey_16.pgm", b"P5 17 5 65535\n" + (photo(17, 5, 1, 16) // 100).astype(">u2").tobytes()
    yield "grey_1000.pgm", b"P5 17 5 1000\n" + (photo(17, 5, 1, 16) // 8000).astype(">u2").tobytes()
    yield "rgb.ppm", b"P6\n17\n5\n255\n" + photo(17, 5).tobytes()
    yield "rgb_1000.ppm", b"P6 17 5 1000\n" + (photo(17, 5, 3, 16) // 66).astype(">u2").tobytes()


# --- TIFF -----------------------------------------------------------------------------------------
def tiff(samples, photometric, order="<", planar=False, tile=None, extra=None, colormap=None,
         orientation=None):
    """Uncompressed. samples: [height, width, channels] of 8, 16 or 32 bits."""
    height, width, channels = samples.shape
    swapped = samples.astype(samples.dtype.newbyteorder(order))
    planes = [swapped[:, :, c:c + 1] for c in range(channels)] if planar else [swapped]
    blocks = []
    for plane in planes:
        th, tw = tile or (7, width)  # strips of seven rows
        for y in range(0, height, th):
            for x in range(0, width, tw):
                part = plane[y:y + th, x:x + tw]
                if tile:
                    part = np.pad(part, ((0, th - part.shape[0]), (0, tw - part.shape[1]), (0, 0)))
                blocks.append(part.tobytes())
    kind = {"u": 1, "i": 2, "f": 3}[samples.dtype.kind]
    tags = {256: width, 257: height, 258: [8 * samples.itemsize] * channels, 259: 1, 262: photometric,
            277: channels, 284: 2 if planar else 1, 339: [kind] * channels, 274: orientation, 338: extra,
            320: colormap}
    tags.update({322: tile[1], 323: tile[0]} if tile else {278: 7})
    position, offsets = 8, []
    for block in blocks:
        offsets.append(position)
        position += len(block) + len(block) % 2
    tags[324 if tile else 273] = ("I", offsets)
    tags[325 if tile else 279] = ("I", [len(b) for b in blocks])
    entries, tail = b"", b""
    live = {k: v for k, v in sorted(tags.items()) if v is not None}
    tail_at = position + 2 + 12 * len(live) + 4
    for tag, value in live.items():
        letter, values = value if isinstance(value, tuple) else ("H", value)
        values = values if isinstance(values, list) else [values]
        data = struct.pack(f"{order}{len(values)}{letter}", *values)
        entries += struct.pack(f"{order}HHI", tag, {"H": 3, "I": 4}[letter], len(values))
        if len(data) <= 4:
            entries += data.ljust(4, b"\0")
        else:
            entries += struct.pack(order + "I", tail_at + len(tail))
            tail += data + bytes(len(data) % 2)
    body = b"".join(b + bytes(len(b) % 2) for b in blocks)
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return (mark + struct.pack(order + "I", position) + body + struct.pack(order + "H", len(live)) + entries
            + bytes(4) + tail)


def tiffs():
    random = np.random.default_rng(15)
    for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"):
        yield f"rgb_{compression}.tif", encode(rgb(19, 13), "TIFF", compression=compression)
    yield "ycbcr_jpeg.tif", encode(rgb(48, 40), "TIFF", compression="jpeg", quality=80)
    yield "ycbcr_lzw.tif", encode(rgb(19, 13).convert("YCbCr"), "TIFF", compression="tiff_lzw")
    yield "fax.tif", encode(rgb(35, 21).convert("1"), "TIFF", compression="group4")
    for mode in ("1", "L", "LA", "RGBA", "CMYK"):
        image = Image.fromarray(photo(19, 13, 4), "CMYK") if mode == "CMYK" else rgb(19, 13).convert(mode)
        yield f"pillow_{mode.lower()}.tif", encode(image, "TIFF", compression="tiff_lzw")
    yield "palette.tif", encode(rgb(19, 13).quantize(40), "TIFF")
    yield "rgb_planar.tif", tiff(photo(21, 17), 2, planar=True)
    yield "rgb_tiled.tif", tiff(photo(41, 35), 2, tile=(16, 16))
    yield "rgb_tiled_planar.tif", tiff(photo(41, 35), 2, ">", planar=True, tile=(16, 32))
    yield "rgb_16.tif", tiff(photo(21, 17, 3, 16), 2)
    yield "rgb_16_big.tif", tiff(photo(21, 17, 3, 16), 2, ">")
    yield "rgba_premultiplied.tif", tiff(photo(21, 17, 4), 2, extra=[1])
    yield "rgbx.tif", tiff(photo(21, 17, 4), 2, extra=[0])
    yield "grey_white_is_0.tif", tiff(photo(21, 17, 1), 0)
    wide = photo(21, 17, 1, 16)
    wide[::2] //= 200
    yield "grey_16.tif", tiff(wide, 1)
    yield "grey_16_big.tif", tiff(wide, 1, ">")
    yield "grey_i16.tif", tiff((wide.astype(np.int32) - 100).astype(np.int16), 1)
    yield "grey_i32.tif", tiff(random.integers(-200, 500, (9, 11, 1)).astype(np.int32), 1)
    yield "grey_f32.tif", tiff((random.random((9, 11, 1)) * 400 - 60).astype(np.float32), 1)
    colormap = random.integers(0, 65536, 768).tolist()
    yield "palette_big.tif", tiff(random.integers(0, 256, (9, 11, 1)).astype(np.uint8), 3, ">",
                                  colormap=colormap)
    yield "cmyk_16.tif", tiff(photo(21, 17, 4, 16), 5)
    for orientation in (3, 6, 7):
        yield f"orientation_{orientation}.tif", tiff(photo(21, 17), 2, orientation=orientation)
    pages = [rgb(19, 13), rgb(30, 20)]
    yield "pages.tif", encode(pages[0], "TIFF", save_all=True, append_images=pages[1:])


def pictures():
    TiffImagePlugin.WRITE_LIBTIFF = False
    for make in (jpegs, pngs, gifs, webps, bmps, pnms, tiffs):
        yield from make()
    from skimage import data  # a real photograph

    astronaut = Image.fromarray(data.astronaut()).resize((160, 120), Image.Resampling.LANCZOS)
    yield "astronaut.jpg", encode(astronaut, "JPEG", quality=85)
