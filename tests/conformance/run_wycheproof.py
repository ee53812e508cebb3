#!/usr/bin/env python3
"""Runs the vectors of C2SP Wycheproof against crypto.subtle and prints how many of each algorithm pass.

    run_wycheproof.py --suite DIR [--only ecdsa] [--failures]

DIR is a checkout of github.com/C2SP/wycheproof (or a bare clone of it, of which HEAD is read). It is not part of this
repository; without one the run is skipped. For each file of vectors a script is made and run by `verge worker run`.

What "valid" and "invalid" mean is the suite's. "acceptable" passes whatever is done, but what is accepted has to be the
result that the vector names: those are weak hashes and small keys, which Web Cryptography has or leaves to the caller, and
points of small order of X25519, which are refused. A key that is refused at import counts as refused.
"""
import argparse
import base64
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Each file whose algorithm is offered: pattern → how it is run.
FILES = [
    (r"aes_gcm_test", "gcm"), (r"aes_cbc_pkcs5_test", "cbc"), (r"aes_wrap_test", "kw"),
    (r"hmac_sha(1|256|384|512)_test", "hmac"), (r"hkdf_sha(1|256|384|512)_test", "hkdf"),
    (r"pbkdf2_hmacsha(1|256|384|512)_test", "pbkdf2"),
    (r"rsa_oaep_\d+_sha(1|256|384|512)_mgf1sha\1_test", "oaep"), (r"rsa_oaep_misc_test", "oaep"),
    (r"rsa_pss_\d+_sha(1|256|384|512)_mgf1_\d+_test", "pss"), (r"rsa_pss_misc_test", "pss"),
    (r"rsa_signature_\d+_sha(1|256|384|512)_test", "pkcs1"), (r"rsa_pkcs1_\d+_sig_gen_test", "pkcs1_sign"),
    (r"ecdsa_secp(256|384|521)r1_sha(256|384|512)_p1363_test", "ecdsa"),
    (r"ecdh_secp(256|384|521)r1_webcrypto_test", "ecdh_jwk"), (r"ecdh_secp(256|384|521)r1_test", "ecdh_spki"),
    (r"ecdh_secp(256|384|521)r1_ecpoint_test", "ecdh_raw"),
    (r"ed25519_test", "ed25519"), (r"x25519_test", "x25519"), (r"x25519_asn_test", "x25519_asn"), (r"x25519_jwk_test", "x25519_jwk"),
]
# Hash functions and combinations that Web Cryptography has not, in files of many.
HASHES = {"SHA-1", "SHA-256", "SHA-384", "SHA-512"}
P256 = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}

# A test gives {accepted, matches}: whether the operation was done, and whether it gave what the vector says.
SCRIPT = r"""
const subtle = crypto.subtle;
const bytes = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
const hex = (buffer) => Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, "0")).join("");
const refused = { accepted: false, matches: false };
const gives = (buffer, wanted) => ({ accepted: true, matches: hex(buffer) === wanted });
const verdict = (good) => ({ accepted: good, matches: good });

const kRuns = {
  async gcm(group, test) {
    const key = await subtle.importKey("raw", bytes(test.key), "AES-GCM", false, ["encrypt", "decrypt"]);
    const how = { name: "AES-GCM", iv: bytes(test.iv), additionalData: bytes(test.aad), tagLength: group.tagSize };
    const text = await subtle.decrypt(how, key, bytes(test.ct + test.tag));
    const back = await subtle.encrypt(how, key, bytes(test.msg));
    return { accepted: true, matches: hex(text) === test.msg && hex(back) === test.ct + test.tag };
  },
  async cbc(group, test) {
    const key = await subtle.importKey("raw", bytes(test.key), "AES-CBC", false, ["encrypt", "decrypt"]);
    const how = { name: "AES-CBC", iv: bytes(test.iv) };
    const text = await subtle.decrypt(how, key, bytes(test.ct));
    const back = await subtle.encrypt(how, key, bytes(test.msg));
    return { accepted: true, matches: hex(text) === test.msg && hex(back) === test.ct };
  },
  async kw(group, test) {
    const key = await subtle.importKey("raw", bytes(test.key), "AES-KW", false, ["wrapKey", "unwrapKey"]);
    const any = { name: "HMAC", hash: "SHA-256" };
    const unwrapped = await subtle.unwrapKey("raw", bytes(test.ct), key, "AES-KW", any, true, ["sign"]);
    const back = await subtle.wrapKey("raw", unwrapped, key, "AES-KW");
    return { accepted: true, matches: hex(await subtle.exportKey("raw", unwrapped)) === test.msg && hex(back) === test.ct };
  },
  async hmac(group, test) {
    const key = await subtle.importKey("raw", bytes(test.key), { name: "HMAC", hash: group.hash }, false, ["sign", "verify"]);
    const code = hex(await subtle.sign("HMAC", key, bytes(test.msg))).slice(0, group.tagSize / 4);
    if (code.length === group.hashBytes * 2) {
      const good = await subtle.verify("HMAC", key, bytes(test.tag), bytes(test.msg));
      if (good !== (code === test.tag)) throw new Error("sign and verify disagree");
    }
    return verdict(code === test.tag);
  },
  async hkdf(group, test) {
    const key = await subtle.importKey("raw", bytes(test.ikm), "HKDF", false, ["deriveBits"]);
    const how = { name: "HKDF", hash: group.hash, salt: bytes(test.salt), info: bytes(test.info) };
    return gives(await subtle.deriveBits(how, key, test.size * 8), test.okm);
  },
  async pbkdf2(group, test) {
    const key = await subtle.importKey("raw", bytes(test.password), "PBKDF2", false, ["deriveBits"]);
    const how = { name: "PBKDF2", hash: group.hash, salt: bytes(test.salt), iterations: test.iterationCount };
    return gives(await subtle.deriveBits(how, key, test.dkLen * 8), test.dk);
  },
  async oaep(group, test) {
    const key = await subtle.importKey("pkcs8", bytes(group.privateKeyPkcs8), { name: "RSA-OAEP", hash: group.sha }, false, ["decrypt"]);
    return gives(await subtle.decrypt({ name: "RSA-OAEP", label: bytes(test.label) }, key, bytes(test.ct)), test.msg);
  },
  async pss(group, test) {
    const key = await subtle.importKey("spki", bytes(group.publicKeyDer), { name: "RSA-PSS", hash: group.sha }, false, ["verify"]);
    return verdict(await subtle.verify({ name: "RSA-PSS", saltLength: group.sLen }, key, bytes(test.sig), bytes(test.msg)));
  },
  async pkcs1(group, test) {
    const how = { name: "RSASSA-PKCS1-v1_5", hash: group.sha };
    const key = await subtle.importKey("spki", bytes(group.publicKeyDer), how, false, ["verify"]);
    return verdict(await subtle.verify(how.name, key, bytes(test.sig), bytes(test.msg)));
  },
  async pkcs1_sign(group, test) {
    const how = { name: "RSASSA-PKCS1-v1_5", hash: group.sha };
    const key = await subtle.importKey("pkcs8", bytes(group.privateKeyPkcs8), how, false, ["sign"]);
    return gives(await subtle.sign(how.name, key, bytes(test.msg)), test.sig);
  },
  async ecdsa(group, test) {
    const how = { name: "ECDSA", namedCurve: group.curve, hash: group.sha };
    const key = await subtle.importKey("spki", bytes(group.publicKeyDer), how, false, ["verify"]);
    return verdict(await subtle.verify(how, key, bytes(test.sig), bytes(test.msg)));
  },
  async ecdh(group, test, importPublic) {
    const how = { name: "ECDH", namedCurve: group.curve };
    const mine = await subtle.importKey("jwk", { kty: test.private.kty, crv: test.private.crv, x: test.private.x, y: test.private.y, d: test.private.d }, how, false, ["deriveBits"]);
    const other = await importPublic(how);
    return gives(await subtle.deriveBits({ name: "ECDH", public: other }, mine, null), test.shared);
  },
  ecdh_jwk: (group, test) => kRuns.ecdh(group, test, (how) => subtle.importKey("jwk", test.public, how, false, [])),
  ecdh_spki: (group, test) => kRuns.ecdh(group, test, (how) => subtle.importKey("spki", bytes(test.public), how, false, [])),
  ecdh_raw: (group, test) => kRuns.ecdh(group, test, (how) => subtle.importKey("raw", bytes(test.public), how, false, [])),
  async ed25519(group, test) {
    const key = await subtle.importKey("spki", bytes(group.publicKeyDer), "Ed25519", false, ["verify"]);
    return verdict(await subtle.verify("Ed25519", key, bytes(test.sig), bytes(test.msg)));
  },
  async agree(test, mine, other) {
    return gives(await subtle.deriveBits({ name: "X25519", public: await other }, await mine, null), test.shared);
  },
  x25519: (group, test) => kRuns.agree(test,
    subtle.importKey("pkcs8", bytes("302e020100300506032b656e04220420" + test.private), "X25519", false, ["deriveBits"]),
    subtle.importKey("raw", bytes(test.public), "X25519", false, [])),
  x25519_asn: (group, test) => kRuns.agree(test,
    subtle.importKey("pkcs8", bytes(test.private), "X25519", false, ["deriveBits"]),
    subtle.importKey("spki", bytes(test.public), "X25519", false, [])),
  x25519_jwk: (group, test) => kRuns.agree(test,
    subtle.importKey("jwk", test.private, "X25519", false, ["deriveBits"]),
    subtle.importKey("jwk", test.public, "X25519", false, [])),
};

for (const group of GROUPS) {
  for (const test of group.tests) {
    let got = refused, why = "";
    try {
      got = await kRuns[HOW](group, test);
    } catch (error) {
      why = `${error.name}: ${error.message}`;
      if (!(error instanceof DOMException)) throw error;
    }
    const good = test.result === "valid" ? got.accepted && got.matches
      : test.result === "invalid" ? !got.accepted : !got.accepted || got.matches;
    console.log(`TEST ${good ? "pass" : "FAIL"} ${test.result} ${test.tcId} ${got.accepted ? "accepted" : "refused"} ${got.matches} ${test.comment} ${why}`);
  }
}
"""


def scalar_jwk(test, curve):
    """The suite's private scalars without their point, as a JSON Web Key: Web Cryptography wants both."""
    script = ["openssl", "pkey", "-inform", "DER", "-outform", "DER", "-pubout"]
    size = {"P-256": 32, "P-384": 48, "P-521": 66}[curve]
    scalar = int(test["private"], 16).to_bytes(size, "big")
    oid = {"P-256": "06082a8648ce3d030107", "P-384": "06052b81040022", "P-521": "06052b81040023"}[curve]
    body = b"\x02\x01\x01\x04" + bytes([size]) + scalar + b"\xa0" + bytes([len(oid) // 2]) + bytes.fromhex(oid)
    der = b"\x30" + (b"\x81" if len(body) > 127 else b"") + bytes([len(body)]) + body
    spki = subprocess.run(script, input=der, capture_output=True, check=True).stdout
    point = spki[-2 * size:]
    text = lambda data: base64.urlsafe_b64encode(data).decode().rstrip("=")
    return {"kty": "EC", "crv": curve, "x": text(point[:size]), "y": text(point[size:]), "d": text(scalar)}


def groups_of(how, text):
    """The groups that are offered, and how many tests are of others."""
    vectors = json.loads(text)
    algorithm = vectors.get("algorithm", "")
    groups, others = [], 0
    for group in vectors["testGroups"]:
        sha = group.get("sha")
        mgf = group.get("mgfSha", sha)
        if (sha is not None and sha not in HASHES) or mgf != sha:
            others += len(group["tests"])
            continue
        if how in ("hmac", "hkdf", "pbkdf2"):
            digits = re.search(r"SHA-?(\d+)$", algorithm)[1]
            group["hash"] = f"SHA-{digits}"
            group["hashBytes"] = {"1": 20, "256": 32, "384": 48, "512": 64}[digits]
        if how == "ecdsa":
            group["curve"] = P256[group["publicKey"]["curve"]]
        if how in ("ecdh_spki", "ecdh_raw"):
            group["curve"] = P256[group["curve"]]
            known = {}
            for test in group["tests"]:
                scalar = test["private"]
                if scalar not in known:
                    known[scalar] = scalar_jwk(test, group["curve"])
                test["private"] = known[scalar]
        groups.append(group)
    return groups, others


def read(suite, name):
    path = suite / "testvectors_v1" / name
    if path.is_file():
        return path.read_text()
    return subprocess.run(["git", "-C", suite, "show", f"HEAD:testvectors_v1/{name}"], capture_output=True, check=True, text=True).stdout


def names(suite):
    if (suite / "testvectors_v1").is_dir():
        return sorted(path.name for path in (suite / "testvectors_v1").glob("*.json"))
    listed = subprocess.run(["git", "-C", suite, "ls-tree", "--name-only", "HEAD", "testvectors_v1/"], capture_output=True, text=True)
    return sorted(pathlib.Path(line).name for line in listed.stdout.split())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", type=pathlib.Path)
    parser.add_argument("--verge", default=str(ROOT / "build/verge"))
    parser.add_argument("--only", default="", help="only files whose name begins with it")
    parser.add_argument("--failures", action="store_true", help="print each test that fails")
    options = parser.parse_args()
    all_names = names(options.suite) if options.suite and options.suite.is_dir() else []
    if not all_names:
        print("skipped: no checkout of github.com/C2SP/wycheproof is here (--suite)", file=sys.stderr)
        return 0
    passed = wanted = unsuitable = 0
    for name in all_names:
        how = next((how for pattern, how in FILES if re.fullmatch(pattern + r"\.json", name)), None)
        if how is None or not name.startswith(options.only):
            continue
        groups, others = groups_of(how, read(options.suite, name))
        unsuitable += others
        count = sum(len(group["tests"]) for group in groups)
        with tempfile.TemporaryDirectory() as scratch:
            script = pathlib.Path(scratch, "vectors.mjs")
            script.write_text(f"const HOW = {json.dumps(how)}; const GROUPS = {json.dumps(groups)};\n{SCRIPT}")
            done = subprocess.run([options.verge, "worker", "run", script, "--cpu-ms", "60000", "--wall-ms", "600000"],
                                  capture_output=True, text=True, timeout=600, env=os.environ)
        rows = [line.split(" ", 2) for line in done.stdout.splitlines() if line.startswith("TEST ")]
        good = sum(row[1] == "pass" for row in rows)
        passed, wanted = passed + good, wanted + count
        print(f"{name}: {good} of {count}" + (f", {others} of hashes that are not offered" if others else ""), flush=True)
        if done.returncode != 0 or len(rows) != count:
            print(f"  {len(rows)} were run; exit status {done.returncode}: {done.stderr.strip()[:300]}")
        if options.failures:
            for row in rows:
                if row[1] != "pass":
                    print(f"  {row[2]}")
    print(f"all: {passed} of {wanted}")
    return 0 if passed == wanted and wanted > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
