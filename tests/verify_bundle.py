#!/usr/bin/env python3
"""verify_bundle.py ADDRESS FILE... checks bundles by docs/BUNDLE.md alone; shares no code with the signer. It prints VALID or
INVALID and why; exit code 4 if any is not valid. With - as the only FILE, names come line by line on standard input."""
import base64, functools, hashlib, re, sys
from datetime import datetime, timezone

P, L = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
ROOT, NEUTRAL = pow(2, (P - 1) // 4, P), (0, 1, 1, 0)
BASE_TEXT = (b"(15112221349535400772501151409588531511454012693041857206046113283949847762202, "
             b"46316835694926478169428394003475163141307993866256225615783033603165251855960)")

def need(holds, why):
    if not holds: raise ValueError(why)

def add(p, q):
    (x1, y1, z1, t1), (x2, y2, z2, t2) = p, q
    a, b, c, d = (y1 - x1) * (y2 - x2), (y1 + x1) * (y2 + x2), 2 * t1 * t2 * D % P, 2 * z1 * z2
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P

def mul(*pairs):  # the sum of scalar times point
    total = NEUTRAL
    for bit in range(max(s.bit_length() for s, _ in pairs) - 1, -1, -1):
        total = add(total, total)
        for s, point in pairs:
            total = add(total, point) if s >> bit & 1 else total
    return total

def decode(octets):
    y, sign = int.from_bytes(octets, "little") & (1 << 255) - 1, octets[31] >> 7
    need(len(octets) == 32 and y < P, "a point is not canonical")
    u, v = (y * y - 1) % P, (D * y * y + 1) % P
    x = u * v**3 * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    x = x if v * x * x % P == u else x * ROOT % P
    x = P - x if x & 1 != sign else x
    need(v * x * x % P == u and x < P, "a point is none")
    return x, y, 1, x * y % P

def encode(point):
    x, y = (n * pow(point[2], -1, P) % P for n in point[:2])
    return (y | (x & 1) << 255).to_bytes(32, "little")

def same(p, q):
    return (p[0] * q[2] - q[0] * p[2]) % P == 0 and (p[1] * q[2] - q[1] * p[2]) % P == 0

BASE = decode((4 * pow(5, -1, P) % P).to_bytes(32, "little"))

@functools.lru_cache(None)
def key(octets):  # a point of prime order
    point = decode(octets)
    need(not same(point, NEUTRAL) and same(mul((L, point)), NEUTRAL), "a key is not of prime order")
    return point

@functools.lru_cache(None)
def verify(public, text, signature):
    a, r, s = key(public), decode(signature[:32]), int.from_bytes(signature[32:], "little")
    need(s < L and not same(mul((8, r)), NEUTRAL), "a signature is not canonical")
    k = int.from_bytes(hashlib.sha512(signature[:32] + public + text).digest(), "little") % L
    minus_a = (P - a[0], a[1], 1, P - a[3])
    need(encode(mul((s, BASE), (k, minus_a))) == signature[:32], "a signature does not verify")

def identity(address):
    need(re.fullmatch(r"[a-z2-7]{56}\.onion", address), "that is no onion address")
    octets = base64.b32decode(address[:56].upper())
    check = hashlib.sha3_256(b".onion checksum" + octets[:32] + b"\x03").digest()[:2]
    need(octets[32:34] == check and octets[34] == 3, "the address has another checksum")
    return key(octets[:32]) and octets[:32]

@functools.lru_cache(None)
def blinded(public, period, minutes):
    h = bytearray(hashlib.sha3_256(b"Derive temporary signing key\0" + public + BASE_TEXT + b"key-blind"
                                   + period.to_bytes(8, "big") + minutes.to_bytes(8, "big")).digest())
    h[0], h[31] = h[0] & 248, h[31] & 63 | 64
    return encode(mul((int.from_bytes(h, "little") % L, key(public))))

def number(text, limit=2**64):
    need(re.fullmatch(r"0|[1-9][0-9]*", text) and int(text) < limit, "a number is not written as one")
    return int(text)

def binary(text, length):
    octets = base64.b64decode(text, validate=True)
    need(len(octets) == length and base64.b64encode(octets).decode() == text, "base64 is not good")
    return octets

def up(seconds, step):
    return -(-max(seconds, 0) // step) * step

def time(seconds):
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ") if seconds < 253402300800 else ""

def bundle(address, file):
    need(re.fullmatch(rb"(?:[!-~]+(?: [!-~]+)*\n)+", file), "it is no canonical text")
    signed, _, last = file.decode()[:-1].rpartition("\n")
    need(signed.startswith("onionkeep-bundle 1\n") and last.startswith("signature "), "it is no bundle, or cut short")
    lines = iter([line for line in signed.split("\n")[1:] if not line.startswith("may-")])
    line = next(lines, "")
    need(line != "must-rehearsal this file was made to practise and is worth nothing", "it was made to practise")
    def take(form, line=None):
        found = re.fullmatch(form, next(lines, "") if line is None else line)
        return need(found, "wanted is " + form) or found.groups()
    hexes, num, iso = "([0-9a-f]{64})", "([0-9]+)", "([0-9-]{10}T[0-9:]{8}Z)"
    take("kind (?:main|emergency)", line)
    take("onion " + re.escape(address))
    take(f"request [0-9a-f]{{32}} {hexes}")
    number(take("sequence " + num)[0], 2**32)
    take(f"previous (?:first|{hexes})")
    made = take("created " + iso)[0]
    need(time(int(datetime.strptime(made, "%Y-%m-%dT%H:%M:%S%z").timestamp())) == made, "no such time")
    minutes, offset = (number(n, 2**32) for n in take(f"period {num} {num}"))
    run = number(take("run " + num)[0])
    need(1 <= minutes <= 14400 and 1 <= run <= 31 * 86400, "the network has no such clockwork")
    number(take(f"ledger {num} {hexes}")[0])
    auditor = bytes.fromhex(take("auditor ed25519:" + hexes)[0])
    counts = tuple(number(n) for n in take(f"slots {num} {num}"))
    public, made, before = identity(address), 0, need(1 <= counts[0] <= 400, "too few or too many slots")
    for _ in range(counts[0]):
        period, start, end, desc, count = take(f"slot {num} from {iso} to {iso} key {hexes} {num}")
        period, count, desc = number(period), number(count), bytes.fromhex(desc)
        need(before is None or period == before + 1, "there is a gap")
        begin, length, before = period * minutes * 60 + offset * 60, minutes * 60, period
        first, final = min(up(begin - length, run), begin), min(up(begin + length, run), begin + 2 * length)
        need((time(first), time(final)) == (start, end), "the span is another")
        key(desc)
        rungs = range(up(first - 3600, 3600) // 3600 + 54, up(final + 3 * 3600, 3600) // 3600 + 54 + 1)
        need(count == len(rungs), "the ladder has another length")
        signer = blinded(public, period, minutes)
        for expiry in rungs:
            expires, text = take(f"cert {num} (.*)")
            cert = binary(text, 140)
            body = b"\x01\x08" + expiry.to_bytes(4, "big") + b"\x01" + desc + b"\x01\x00\x20\x04\x00" + signer
            need(expires == str(expiry) and cert[:76] == body, "a certificate says something else")
            verify(signer, body, cert[76:])
        made += count
    need(take(f"end {num} {num}") == tuple(map(str, counts)) and made == counts[1], "the counts differ")
    need(next(lines, None) is None, "something follows the end")
    verify(auditor, signed.encode() + b"\n", binary(last[10:], 64))

def main(address, names):
    worst = 0
    for name in map(str.strip, sys.stdin) if names == ["-"] else names:
        try:
            bundle(address, open(name, "rb").read())
            print("VALID", name, flush=True)
        except (ValueError, OSError, OverflowError) as why:
            worst = print("INVALID", name, why, flush=True) or 4
    return worst

if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]) if len(sys.argv) > 2 else print(__doc__) or 2)
