"""Trees of files with which post-processing has something to do, or a key its difficulties."""

from __future__ import annotations

import gzip
import random
import unicodedata

MEGABYTE = 1024 * 1024
# S3 takes no smaller parts.
PART = 5 * MEGABYTE
THRESHOLD = 2 * MEGABYTE
NOISE = random.Random(0).randbytes(PART + 1)
TEXT = b"body { color: red }\n" * 100

ODD_NAMES = (
    " leading and trailing ",
    "!*'()|^`.css",
    "%",
    "%2F%20%00.css",
    "-rf",
    ".hidden/.css",
    "a b  c.css",
    "a+b.css",
    "a&b=c;d:e@f$g,h.css",
    "hash#hash.css",
    "question?.css",
    "quotes'\".css",
    "tilde~.css",
    "[]{}<>.css",
    "\u2026/\u00fc\u00a0.css",
    "\U0001f600.png",
    "\u65e5\u672c/\u8a9e.js",
    unicodedata.normalize("NFC", "\u00e9.css"),
    unicodedata.normalize("NFD", "\u00e9.css"),
    "x" * 200 + "/" + "y" * 200,
)
ODD_KEYS = {name: name.encode() for name in ODD_NAMES}
COMPRESSIBLE = {
    "a.css": TEXT,
    "b/b.js": b"alert(1);\n" * 100,
    "c.svg": b"<svg/>" * 100,
    "compressed.svgz": gzip.compress(b"<svg/>" * 50, mtime=0),
    "compressed.css.gz": gzip.compress(TEXT, mtime=0),
    "empty.css": b"",
    "image.png": b"\x89PNG" + bytes(500),
    "plain.txt": TEXT,
}
# What differs in what a storage does with it: types, an encoding, sizes from nothing to much.
KINDS = {
    "a.css": TEXT,
    "b c+d%2F~#\u00fc.js": TEXT + b"js",
    "e.svg": TEXT + b"svg",
    "empty.css": b"",
    "f.unknown": TEXT + b"unknown",
    "g.css.gz": TEXT + b"gz",
    "h/i": TEXT + b"i",
    "j.png": TEXT + b"png",
    "large.txt": TEXT * 1500,
}
# Around the limits of what is held in memory, and of what is sent in parts from `THRESHOLD` on.
SIZES = {
    "empty": b"",
    "empty.bin": b"",
    "one.bin": NOISE[:1],
    "small.bin": NOISE[: MEGABYTE - 1],
    "at once.bin": NOISE[:MEGABYTE],
    "by file.bin": NOISE[: MEGABYTE + 1],
    "below.bin": NOISE[: THRESHOLD - 1],
    "one part.bin": NOISE[:THRESHOLD],
    "two parts.bin": NOISE,
    "mid.css": NOISE[: MEGABYTE // 2].hex().encode(),
    "large.css": NOISE[: MEGABYTE + MEGABYTE // 2].hex().encode(),
}

IMAGES = {"img/a.png": b"\x89PNG\r\n\x1a\n\x00\xff", "img/b.svg": b"<svg/>"}
MODULES = {
    "js/app.js": (
        b'import lib from "./lib.js";\nimport { a, b } from "./sub/lib.js";\n'
        b'import * as all from "./sub/lib.js";\nimport "./lib.js";\n'
        b'export { c } from "./sub/lib.js";\nconst later = import("./lib.js");\n'
        b'// import old from "./commented.js";\n'
        b'import react from "react";\n//# sourceMappingURL=app.js.map\n'
    ),
    "js/app.js.map": b'{"version": 3}',
    "js/commented.js": b"// Up to Django 5.2 references in comments count.\n",
    "js/lib.js": b"export default 1;\n",
    "js/sub/lib.js": b'import lib from "../lib.js";\nexport const a = 1, b = 2, c = 3;\n',
}
SOURCE_MAPS = {
    "a.js": b"var a;\n//# sourceMappingURL=a.js.map\n",
    "a.js.map": b"{}",
    "maps/a.css": b"a {}\n/*# sourceMappingURL=a.css.map */",
    "maps/a.css.map": b"{}",
    "maps/no.css": b"a {}\n/* sourceMappingURL=gone.css.map */",
}
IMPORTS = {
    "css/a.css": b"@import 'b.css';\n@import url(\"sub/c.css\");\n",
    "css/b.css": b"@import 'sub/c.css';\n",
    "css/sub/c.css": b'@import "../d.css" screen;\n',
    "css/d.css": b"d { background: url(../img/a.png) }",
    "css/round.css": b"@import 'about.css';\n",
    "css/about.css": b"/* turns */ a { background: url('round.svg') }\n",
    "css/round.svg": b"<svg/>",
    **IMAGES,
}
FONTS = {
    "css/font.css": (
        b"@font-face { font-family: 'a';\n src: url('../fonts/a.eot');\n"
        b" src: url('../fonts/a.eot?#iefix') format('embedded-opentype'),\n"
        b"  url('../fonts/a.svg#webfontregular') format('svg'),\n"
        b"  url('../fonts/a.woff?v=1.2') format('woff'),\n"
        b"  url('../fonts/a.woff?v=1.2#x') format('woff'), url('#local'); }\n"
    ),
    "fonts/a.eot": b"eot",
    "fonts/a.svg": b"<svg/>",
    "fonts/a.woff": b"woff",
}
NESTED = {
    "a.css": b"a { background: url(one/two/three/deep.png) }",
    "one/two/a.css": b"a { background: url('../../img/a.png'); color: url(./three/../../up.png) }",
    "one/two/three/deep.png": b"deep",
    "one/two/three/a.css": b"@import '../a.css';",
    "one/up.png": b"up",
    **IMAGES,
}
# Of a site whose location is "static".
LOCATED = {
    "vendor/static/app.js": b"var app;",
    "vendor/static/app.css": b"a { background: url('../../static/static/a.png') }",
    "static/static/a.png": b"a",
    "static.css": b"@import 'vendor/static/app.css'; a { src: url(vendor/static/app.js) }",
    "static/static.css": b"a { background: url(/static/static/static/a.png) }",
}
# Azure's storage leaves the slash out of a folder's URL, so that only S3 agrees with a directory.
FOLDERS = {"folders/a.css": b"a { src: url(../img/) }", **IMAGES}
ODD_REFERENCES = {
    "odd/a.css": (
        b"a { background: url(/static/img/a.png) } b { background: url(/other/a.png) }\n"
        b"c { background: url(//example.com/a.png) } d { background: url(https://e.com/a.png) }\n"
        b"e { background: url('data:image/gif;base64,R0lGODlhAQABAAAAACw=') }\n"
        b"/* f { background: url(commented.png) } */ g { background: url(' ../img/b.svg') }\n"
        b"h { background: URL(../img/a.png) } i { background: url() }\n"
    ),
    "odd/commented.png": b"Up to Django 5.2 references in comments count.",
    "empty.css": b"",
    "empty.js": b"",
    "empty.bin": b"",
    "plain.css": b"a { color: red }",
    "crlf.css": b"a {\r\n  background: url(img/a.png)\r\n}\r\n",
    "bom.css": b"\xef\xbb\xbfa { background: url(img/a.png) }",
    "all.bin": bytes(range(256)) * 20,
    "archive.css.gz": b"\x1f\x8b not really",
    "no-extension": b"x",
    ".well-known-not-hidden": b"ignored by Django",
    "same/a.txt": b"the same content",
    "same/b.txt": b"the same content",
    **IMAGES,
}
REFERRED_NAMES = {
    "css/gr\u00f6\u00dfe.css": "a { background: url('../bilder/gr\u00f6\u00dfe.png') }".encode(),
    "css/quoted.css": b"a { background: url('../bilder/gr%C3%B6%C3%9Fe.png') }",
    "bilder/gr\u00f6\u00dfe.png": b"NFC",
    "bilder/gro\u0308sse.png": b"NFD",
    "bilder/\u6f22\u5b57.svg": b"<svg/>",
    "with space/a b.css": b"a { background: url('c d.png') } b { background: url(c%20d.png) }",
    "with space/c d.png": b"space",
    "plus+and~tilde/a+b.png": b"plus",
    "dots/a.b.c.min.js": b"var a;",
    "percent/100%.png": b"percent",
    "percent/a%20b.png": b"quoted",
}
EVERYTHING = {
    **SOURCE_MAPS,
    **MODULES,
    **IMPORTS,
    **FONTS,
    **NESTED,
    **LOCATED,
    **ODD_REFERENCES,
    **REFERRED_NAMES,
}
HOOKED = {
    "css/a.css": b"@import 'b.css';\na { background: url(../img/a.png) }\n",
    "css/b.css": b"b { background: url('../img/a.png') }\n",
    "img/a.png": b"\x89PNG",
    "page.html": b'<img src="img/a.png">',
    "other/README.txt": b"text",
    "nfd/o\u0308.txt": b"NFD",
}
