// SubtleCrypto (Web Cryptography Level 2, 14 and 18 to 35, with the secure curves Ed25519 and X25519): normalization of
// algorithms, usages, formats, JSON Web Keys. What is done to bytes is the host's (realm_crypto_bindings.cc).
//
// What is quick is done at once and given as a promise that is resolved already. What is not comes later, by the hook
// `computed`; what is to follow from it is kept beside, not in promises of its own, so that no bytes of a key pass through
// objects that a worker could have changed. For the same reason no list or table that a key or its usages go through inherits
// anything, and no method or getter of JavaScript's own objects is looked up when a worker already runs.
import {
  append, apply, Bytes, bytesLength, bytesOf, bytesTag, deferred, includes, isBufferSource, isView, listOf, mapDelete, mapGet, mapSet,
  memoryLength, memoryOfBytes, NativeMap, rejected, resolved, setPrototypeOf, sliceArray, toUpperCase,
} from "./intrinsics.js";
import { isCryptoKey, keySlots, makeKey } from "./crypto_key.js";
import { DOMException } from "./dom_exception.js";
import { encodeText } from "./encoding.js";
import { nextOperation } from "./fetch.js";
import { needAwake } from "./timers.js";
import { expose, interfaceOf, required, sequenceOf, toDictionary, toEnumeration } from "./webidl.js";

const toNumber = Number;
const { isFinite } = Number;
const { ceil, trunc } = Math;

// Numbers of crypto_task.h.
const kOperations = [
  "Digest", "HmacSign", "HmacVerify", "AesGcmEncrypt", "AesGcmDecrypt", "AesCbcEncrypt", "AesCbcDecrypt", "AesCtr", "AesKwWrap",
  "AesKwUnwrap", "Hkdf", "Pbkdf2", "RsaSign", "RsaVerify", "PssSign", "PssVerify", "OaepEncrypt", "OaepDecrypt", "EcdsaSign",
  "EcdsaVerify", "Ed25519Sign", "Ed25519Verify", "Agree", "GenerateRsa", "GenerateP256", "GenerateP384", "GenerateP521",
  "GenerateEd25519", "GenerateX25519", "GenerateSecret",
];
const kDo = {};
for (let at = 0; at < kOperations.length; ++at) kDo[kOperations[at]] = at;
const kFamilies = { "RSA": 1, "P-256": 2, "P-384": 3, "P-521": 4, "Ed25519": 5, "X25519": 6 };
const kSecret = 0, kHmac = 1, kRaw = 2, kSpki = 3, kPkcs8 = 4, kJwk = 5;  // kinds of keys that come and go

const kHashes = { "SHA-1": 0, "SHA-256": 1, "SHA-384": 2, "SHA-512": 3 };
const kBlockBits = { "SHA-1": 512, "SHA-256": 512, "SHA-384": 1024, "SHA-512": 1024 };
const kHashSuffix = { "SHA-1": "1", "SHA-256": "256", "SHA-384": "384", "SHA-512": "512" };
const kCurves = ["P-256", "P-384", "P-521"];
const kGenerateCurve = { "P-256": kDo.GenerateP256, "P-384": kDo.GenerateP384, "P-521": kDo.GenerateP521 };
const kCurveAlg = { "P-256": "ES256", "P-384": "ES384", "P-521": "ES512" };
const kFormats = ["raw", "spki", "pkcs8", "jwk"];
const kUsages = ["encrypt", "decrypt", "sign", "verify", "deriveKey", "deriveBits", "wrapKey", "unwrapKey"];

const fault = (name, message) => new DOMException(message, name);
const operationError = (message) => fault("OperationError", message);
const syntaxError = (message) => fault("SyntaxError", message);
const dataError = (message) => fault("DataError", message);
const notSupported = (message) => fault("NotSupportedError", message);
const invalidAccess = (message) => fault("InvalidAccessError", message);
const kMessages = {
  OperationError: "The operation failed for an operation-specific reason",
  DataError: "The data is not a key of this algorithm",
  NotSupportedError: "This is not supported",
};

// --- What comes later

class Later {
  steps = listOf();
  settled = undefined;
}
const waiting = new NativeMap();  // number → Later

const after = (value, step) => {
  if (!(value instanceof Later)) return step(value);
  append(value.steps, step);
  return value;
};

function go(later, value) {
  const { steps, settled } = later;
  try {
    for (let at = 0; at < steps.length; ++at) {
      value = steps[at](value);
      if (value instanceof Later) {
        const next = value;
        for (let rest = at + 1; rest < steps.length; ++rest) append(next.steps, steps[rest]);
        next.settled = settled;
        return;
      }
    }
    settled.resolve(value);
  } catch (error) {
    settled.reject(error);
  }
}

const checked = (result) => {
  if (typeof result === "string") throw fault(result, kMessages[result]);
  return result;
};

export const hooks = {
  computed(id, result) {
    const later = mapGet(waiting, id);
    mapDelete(waiting, id);
    if (later !== undefined) go(later, result);
  },
};

// What the host makes of it; a Later where that takes long.
function run(what, key, hash, data, first, second, number, secondNumber, other) {
  const id = nextOperation();
  const result = host.cryptoRun(id, what, key, hash, data, first, second, number, secondNumber, other);
  if (result !== undefined) return checked(result);
  const later = new Later();
  append(later.steps, checked);
  mapSet(waiting, id, later);
  return later;
}

// A promise of what `work` gives, or throws.
function promised(work) {
  try {
    const value = work();
    if (!(value instanceof Later)) return resolved(value);
    value.settled = deferred();
    return value.settled.promise;
  } catch (error) {
    return rejected(error);
  }
}

// --- Web IDL

function enforced(value, most, name) {
  const number = toNumber(value);
  if (!isFinite(number)) throw new TypeError(`${name} is not a finite number`);
  const whole = trunc(number) + 0;
  if (whole < 0 || whole > most) throw new TypeError(`${name} is outside its range`);
  return whole;
}
const kOctet = 255, kUnsignedShort = 65535, kUnsignedLong = 4294967295;

function bufferSource(value, name) {
  if (typeof value !== "object" || value === null || !isBufferSource(value)) throw new TypeError(`${name} is not an ArrayBuffer or a view of one`);
  return value;
}
const bytesIn = (source) => bytesLength(bytesOf(source));

function needMember(object, name, type) {
  const value = object[name];
  if (value === undefined) throw new TypeError(`${type}: the member ${name} is missing`);
  return value;
}

function toUsages(value) {
  const list = sequenceOf(value, (item) => toEnumeration(item, kUsages, "KeyUsage"), "keyUsages");
  const usages = listOf();
  for (let at = 0; at < kUsages.length; ++at) if (includes(list, kUsages[at])) append(usages, kUsages[at]);
  return usages;
}

function toKey(value, name) {
  if (!isCryptoKey(value)) throw new TypeError(`${name} is not a CryptoKey`);
  return keySlots(value);
}

// --- Algorithms

const hashOf = (value) => normalize("digest", typeof value === "object" && value !== null ? value : `${value}`).name;

function exponentOf(value) {
  if (!isView(value) || bytesTag(value) !== "Uint8Array") throw new TypeError("publicExponent is not a Uint8Array");
  return new Bytes(bytesOf(value));
}

// How the members of an algorithm's dictionary are read: in the order of Web IDL.
const kReaders = {
  none() {},
  hashed(from, to) { to.hash = hashOf(needMember(from, "hash", to.name)); },
  rsaGeneration(from, to) {
    const hash = needMember(from, "hash", to.name);
    to.modulusLength = enforced(needMember(from, "modulusLength", to.name), kUnsignedLong, "modulusLength");
    to.publicExponent = exponentOf(needMember(from, "publicExponent", to.name));
    to.hash = hashOf(hash);
  },
  curve(from, to) { to.namedCurve = `${needMember(from, "namedCurve", to.name)}`; },
  length(from, to) { to.length = enforced(needMember(from, "length", to.name), kUnsignedShort, "length"); },
  hmac(from, to) {
    const hash = needMember(from, "hash", to.name);
    if (from.length !== undefined) to.length = enforced(from.length, kUnsignedLong, "length");
    to.hash = hashOf(hash);
  },
  pss(from, to) { to.saltLength = enforced(needMember(from, "saltLength", to.name), kUnsignedLong, "saltLength"); },
  oaep(from, to) { if (from.label !== undefined) to.label = bufferSource(from.label, "label"); },
  counter(from, to) {
    to.counter = bufferSource(needMember(from, "counter", to.name), "counter");
    to.length = enforced(needMember(from, "length", to.name), kOctet, "length");
  },
  vector(from, to) { to.iv = bufferSource(needMember(from, "iv", to.name), "iv"); },
  gcm(from, to) {
    if (from.additionalData !== undefined) to.additionalData = bufferSource(from.additionalData, "additionalData");
    to.iv = bufferSource(needMember(from, "iv", to.name), "iv");
    if (from.tagLength !== undefined) to.tagLength = enforced(from.tagLength, kOctet, "tagLength");
  },
  agreement(from, to) { to.public = toKey(needMember(from, "public", to.name), "public"); },
  hkdf(from, to) {
    const hash = needMember(from, "hash", to.name);
    to.info = bufferSource(needMember(from, "info", to.name), "info");
    to.salt = bufferSource(needMember(from, "salt", to.name), "salt");
    to.hash = hashOf(hash);
  },
  pbkdf2(from, to) {
    const hash = needMember(from, "hash", to.name);
    to.iterations = enforced(needMember(from, "iterations", to.name), kUnsignedLong, "iterations");
    to.salt = bufferSource(needMember(from, "salt", to.name), "salt");
    to.hash = hashOf(hash);
  },
};

const kSupported = {
  digest: { "SHA-1": "none", "SHA-256": "none", "SHA-384": "none", "SHA-512": "none" },
  sign: { "HMAC": "none", "RSASSA-PKCS1-v1_5": "none", "RSA-PSS": "pss", "ECDSA": "hashed", "Ed25519": "none" },
  encrypt: { "RSA-OAEP": "oaep", "AES-CTR": "counter", "AES-CBC": "vector", "AES-GCM": "gcm" },
  deriveBits: { "ECDH": "agreement", "X25519": "agreement", "HKDF": "hkdf", "PBKDF2": "pbkdf2" },
  wrapKey: { "AES-KW": "none" },
  generateKey: {
    "HMAC": "hmac", "RSASSA-PKCS1-v1_5": "rsaGeneration", "RSA-PSS": "rsaGeneration", "RSA-OAEP": "rsaGeneration", "ECDSA": "curve",
    "ECDH": "curve", "Ed25519": "none", "X25519": "none", "AES-CTR": "length", "AES-CBC": "length", "AES-GCM": "length", "AES-KW": "length",
  },
  importKey: {
    "HMAC": "hmac", "RSASSA-PKCS1-v1_5": "hashed", "RSA-PSS": "hashed", "RSA-OAEP": "hashed", "ECDSA": "curve", "ECDH": "curve",
    "Ed25519": "none", "X25519": "none", "AES-CTR": "none", "AES-CBC": "none", "AES-GCM": "none", "AES-KW": "none", "HKDF": "none",
    "PBKDF2": "none",
  },
  length: { "HMAC": "hmac", "AES-CTR": "length", "AES-CBC": "length", "AES-GCM": "length", "AES-KW": "length", "HKDF": "none", "PBKDF2": "none" },
};
// Name of an operation → name in upper case → [name, reader].
const kRegistered = {};
for (const operation of Object.keys(kSupported)) {
  kRegistered[operation] = Object.create(null);
  for (const name of Object.keys(kSupported[operation])) {
    kRegistered[operation][name.toUpperCase()] = [name, kReaders[kSupported[operation][name]]];
  }
}

function normalize(operation, algorithm) {
  const isObject = (typeof algorithm === "object" && algorithm !== null) || typeof algorithm === "function";
  const given = isObject ? needMember(algorithm, "name", "Algorithm") : algorithm;
  const found = kRegistered[operation][toUpperCase(`${given}`)];
  if (found === undefined) throw notSupported(`${given} is not supported here`);
  const to = { __proto__: null, name: found[0] };
  found[1](isObject ? algorithm : {}, to);
  return to;
}
// The union of an object and a string: converted first.
const toAlgorithm = (value) => ((typeof value === "object" && value !== null) || typeof value === "function" ? value : `${value}`);

const kAes = { "AES-CTR": "CTR", "AES-CBC": "CBC", "AES-GCM": "GCM", "AES-KW": "KW" };
const kRsa = { "RSASSA-PKCS1-v1_5": "RS", "RSA-PSS": "PS", "RSA-OAEP": "RSA-OAEP" };
const isAes = (name) => kAes[name] !== undefined;
const isRsa = (name) => kRsa[name] !== undefined;
const isEc = (name) => name === "ECDSA" || name === "ECDH";
const isOkp = (name) => name === "Ed25519" || name === "X25519";

const kCipher = ["encrypt", "decrypt", "wrapKey", "unwrapKey"];
// What the keys of an algorithm are for: [of public keys, of private or secret ones].
const kPurposes = {
  "HMAC": [[], ["sign", "verify"]],
  "RSASSA-PKCS1-v1_5": [["verify"], ["sign"]],
  "RSA-PSS": [["verify"], ["sign"]],
  "ECDSA": [["verify"], ["sign"]],
  "Ed25519": [["verify"], ["sign"]],
  "RSA-OAEP": [["encrypt", "wrapKey"], ["decrypt", "unwrapKey"]],
  "ECDH": [[], ["deriveKey", "deriveBits"]],
  "X25519": [[], ["deriveKey", "deriveBits"]],
  "AES-CTR": [[], kCipher],
  "AES-CBC": [[], kCipher],
  "AES-GCM": [[], kCipher],
  "AES-KW": [[], ["wrapKey", "unwrapKey"]],
  "HKDF": [[], ["deriveKey", "deriveBits"]],
  "PBKDF2": [[], ["deriveKey", "deriveBits"]],
};
const within = (usages, allowed) => {
  const some = listOf();
  for (let at = 0; at < usages.length; ++at) if (includes(allowed, usages[at])) append(some, usages[at]);
  return some;
};
function needUsages(usages, allowed) {
  if (within(usages, allowed).length !== usages.length) throw syntaxError("The key is not for such a usage");
}

function needUse(key, usage) {
  if (!includes(key.usages, usage)) throw invalidAccess(`The key is not for ${usage}`);
}
function needKey(key, algorithm, usage) {
  if (key.name !== algorithm.name) throw invalidAccess("The key is one of another algorithm");
  needUse(key, usage);
}
function needType(key, type) {
  if (key.type !== type) throw invalidAccess(`The key is not a ${type} one`);
}

// --- Sign and verify

const kSignatures = {
  "HMAC": ["HmacSign", "HmacVerify"],
  "RSASSA-PKCS1-v1_5": ["RsaSign", "RsaVerify"],
  "RSA-PSS": ["PssSign", "PssVerify"],
  "ECDSA": ["EcdsaSign", "EcdsaVerify"],
  "Ed25519": ["Ed25519Sign", "Ed25519Verify"],
};
for (const name of Object.keys(kSignatures)) kSignatures[name] = kSignatures[name].map((what) => kDo[what]);

function sign(algorithm, key, data) {
  if (key.name !== "HMAC") {
    needType(key, "private");
    if (key.name === "ECDSA" || key.name === "RSA-PSS") needAwake("crypto.subtle.sign");
  }
  return run(kSignatures[key.name][0], key.handle, kHashes[algorithm.hash ?? key.hash], data, undefined, undefined, algorithm.saltLength);
}
function verify(algorithm, key, signature, data) {
  if (key.name !== "HMAC") needType(key, "public");
  return run(kSignatures[key.name][1], key.handle, kHashes[algorithm.hash ?? key.hash], data, signature, undefined, algorithm.saltLength);
}

// --- Encrypt, decrypt, wrap, unwrap

const kTagBits = [32, 64, 96, 104, 112, 120, 128];
function cipher(encrypts, algorithm, key, data) {
  switch (algorithm.name) {
    case "RSA-OAEP":
      needType(key, encrypts ? "public" : "private");
      if (encrypts) needAwake("crypto.subtle.encrypt");
      return run(encrypts ? kDo.OaepEncrypt : kDo.OaepDecrypt, key.handle, kHashes[key.hash], data, algorithm.label);
    case "AES-CTR":
      if (bytesIn(algorithm.counter) !== 16) throw operationError("The counter has not 16 bytes");
      if (algorithm.length < 1 || algorithm.length > 128) throw operationError("The counter's length is not from 1 to 128");
      return run(kDo.AesCtr, key.handle, 0, data, algorithm.counter, undefined, algorithm.length);
    case "AES-CBC":
      if (bytesIn(algorithm.iv) !== 16) throw operationError("The initialization vector has not 16 bytes");
      return run(encrypts ? kDo.AesCbcEncrypt : kDo.AesCbcDecrypt, key.handle, 0, data, algorithm.iv);
    case "AES-GCM": {
      const bits = algorithm.tagLength ?? 128;
      if (!includes(kTagBits, bits)) throw operationError("The length of the tag is not one of AES-GCM's");
      return run(encrypts ? kDo.AesGcmEncrypt : kDo.AesGcmDecrypt, key.handle, 0, data, algorithm.iv, algorithm.additionalData, bits);
    }
    default:
      return run(encrypts ? kDo.AesKwWrap : kDo.AesKwUnwrap, key.handle, 0, data);
  }
}

// --- Derive

// `length` in bits, or null: all that there is.
function deriveBits(algorithm, key, length) {
  if (algorithm.name === "HKDF" || algorithm.name === "PBKDF2") {
    if (length === null || length % 8 !== 0) throw operationError("The length is not a multiple of 8");
    const hash = kHashes[algorithm.hash];
    if (algorithm.name === "HKDF") return run(kDo.Hkdf, key.handle, hash, undefined, algorithm.salt, algorithm.info, length / 8);
    if (algorithm.iterations === 0) throw operationError("There are no iterations");
    return run(kDo.Pbkdf2, key.handle, hash, undefined, algorithm.salt, undefined, length / 8, algorithm.iterations);
  }
  const other = algorithm.public;
  needType(key, "private");
  needType(other, "public");
  if (other.name !== key.name || other.namedCurve !== key.namedCurve) throw invalidAccess("The public key is one of another algorithm");
  return after(run(kDo.Agree, key.handle, 0, undefined, undefined, undefined, undefined, undefined, other.handle), (secret) => {
    if (length === null) return secret;
    if (ceil(length / 8) > memoryLength(secret)) throw operationError("There are not so many bits");
    return cut(new Bytes(secret), length);
  });
}

// The first `bits`, the others of the last byte 0.
function cut(bytes, bits) {
  const size = ceil(bits / 8);
  const out = new Bytes(size);
  for (let at = 0; at < size; ++at) out[at] = bytes[at];
  if (bits % 8 !== 0) out[size - 1] &= 0xFF << (8 - (bits % 8));
  return memoryOfBytes(out);
}

const kAesBits = [128, 192, 256];
function lengthOf(algorithm) {
  if (isAes(algorithm.name)) {
    if (!includes(kAesBits, algorithm.length)) throw operationError("An AES key has 128, 192 or 256 bits");
    return algorithm.length;
  }
  if (algorithm.name === "HMAC") {
    if (algorithm.length === undefined) return kBlockBits[algorithm.hash];
    if (algorithm.length === 0) throw new TypeError("The length of an HMAC key is 0");
    return algorithm.length;
  }
  return null;
}

// --- Generate

function pairOf(its, usages, extractable, handles) {
  const purposes = kPurposes[its.name];
  const mine = within(usages, purposes[1]);
  if (mine.length === 0) throw syntaxError("The private key would be for nothing");
  return {
    publicKey: makeKey({ ...its, type: "public", extractable: true, usages: within(usages, purposes[0]), handle: handles[0] }),
    privateKey: makeKey({ ...its, type: "private", extractable, usages: mine, handle: handles[1] }),
  };
}

function secretOf(its, usages, extractable, bytes) {
  if (usages.length === 0) throw syntaxError("The key would be for nothing");
  const handle = its.name === "HMAC" ? host.cryptoImport(kHmac, kHashes[its.hash], bytes) : host.cryptoImport(kSecret, 0, bytes);
  return makeKey({ ...its, type: "secret", extractable, usages, handle });
}

function generate(algorithm, extractable, usages) {
  const { name } = algorithm;
  if (within(usages, kPurposes[name][0]).length + within(usages, kPurposes[name][1]).length !== usages.length) {
    throw syntaxError("The key is not for such a usage");
  }
  needAwake("crypto.subtle.generateKey");
  if (isAes(name) || name === "HMAC") {
    let bits = algorithm.length;
    if (name === "HMAC") {
      if (bits === undefined) bits = kBlockBits[algorithm.hash];
      if (bits === 0 || bits > 1 << 20) throw operationError("An HMAC key has not so many bits");
    } else if (!includes(kAesBits, bits)) {
      throw operationError("An AES key has 128, 192 or 256 bits");
    }
    const its = { name, hash: algorithm.hash, length: bits };
    return after(run(kDo.GenerateSecret, undefined, 0, undefined, undefined, undefined, ceil(bits / 8)),
                 (bytes) => secretOf(its, usages, extractable, bits % 8 === 0 ? bytes : cut(new Bytes(bytes), bits)));
  }
  if (isEc(name)) {
    const { namedCurve } = algorithm;
    if (!includes(kCurves, namedCurve)) throw notSupported(`The curve ${namedCurve} is not supported`);
    return after(run(kGenerateCurve[namedCurve]), (handles) => pairOf({ name, namedCurve }, usages, extractable, handles));
  }
  if (isOkp(name)) {
    return after(run(name === "Ed25519" ? kDo.GenerateEd25519 : kDo.GenerateX25519), (handles) => pairOf({ name }, usages, extractable, handles));
  }
  const { modulusLength, publicExponent, hash } = algorithm;
  if (modulusLength < 512 || modulusLength > 8192) throw operationError("An RSA modulus has from 512 to 8192 bits");
  return after(run(kDo.GenerateRsa, undefined, 0, undefined, publicExponent, undefined, modulusLength),
               (handles) => pairOf({ name, modulusLength, publicExponent, hash }, usages, extractable, handles));
}

// --- Import

const kJwkTexts = ["alg", "crv", "d", "dp", "dq", "e", "k", "kty", "n", "p", "q", "qi", "use", "x", "y"];
const kJwkMembers = ["alg", "crv", "d", "dp", "dq", "e", "ext", "k", "key_ops", "kty", "n", "oth", "p", "q", "qi", "use", "x", "y"];
function toJwk(value) {
  if (value !== undefined && value !== null && typeof value !== "object" && typeof value !== "function") {
    throw new TypeError("The key is neither an ArrayBuffer nor a JSON Web Key");
  }
  const from = toDictionary(value, "JsonWebKey");
  const jwk = { __proto__: null };
  for (let at = 0; at < kJwkMembers.length; ++at) {
    const name = kJwkMembers[at];
    const member = from[name];
    if (member === undefined) continue;
    if (name === "ext") jwk.ext = !!member;
    else if (name === "key_ops") jwk.key_ops = sequenceOf(member, (item) => `${item}`, "key_ops");
    else if (name === "oth") jwk.oth = member;
    else if (includes(kJwkTexts, name)) jwk[name] = `${member}`;
  }
  return jwk;
}

function checkJwk(jwk, kty, use, usages, extractable) {
  if (jwk.kty !== kty) throw dataError(`The JSON Web Key has not the type ${kty}`);
  if (usages.length > 0 && jwk.use !== undefined && jwk.use !== use) throw dataError(`The JSON Web Key is not for "${use}"`);
  if (jwk.key_ops !== undefined) {
    const seen = listOf();
    for (let at = 0; at < jwk.key_ops.length; ++at) {
      if (includes(seen, jwk.key_ops[at])) throw dataError("key_ops names an operation twice");
      append(seen, jwk.key_ops[at]);
    }
    if (within(usages, jwk.key_ops).length !== usages.length) throw dataError("key_ops does not name each usage");
  }
  if (jwk.ext === false && extractable) throw dataError("The JSON Web Key is not to be extractable");
}
const useOf = (name) => (includes(kPurposes[name][1], "sign") ? "sig" : "enc");
const bytesOfText = (text) => {
  const bytes = text === undefined ? null : host.base64urlDecode(text);
  if (bytes === null) throw dataError("The JSON Web Key has no such member in Base64url");
  return checked(bytes);
};

function needFormat(format, formats, name) {
  if (!includes(formats, format)) throw notSupported(`Keys of ${name} do not come as ${format}`);
}
const importHandle = (...parts) => checked(apply(host.cryptoImport, host, parts));
// Of a JSON Web Key: its members `names`.
function importJwk(family, jwk, names) {
  const parts = listOf(kJwk, family);
  for (let at = 0; at < names.length; ++at) {
    const part = jwk[names[at]];
    if (part === undefined) throw dataError("A number of the key is missing");
    append(parts, part);
  }
  return checked(apply(host.cryptoImport, host, parts));
}

function importSecret(format, data, algorithm, extractable, usages) {
  const { name } = algorithm;
  needUsages(usages, kPurposes[name][1]);
  needFormat(format, name === "HKDF" || name === "PBKDF2" ? ["raw"] : ["raw", "jwk"], name);
  let bytes = data;
  if (name === "HKDF" || name === "PBKDF2") {
    if (extractable) throw syntaxError("Such a key cannot be extractable");
    return { name, type: "secret", handle: importHandle(kSecret, 0, bytes) };
  }
  if (format === "jwk") {
    checkJwk(data, "oct", useOf(name), usages, extractable);
    bytes = bytesOfText(data.k);
  }
  let bits = bytesIn(bytes) * 8;
  if (isAes(name)) {
    if (!includes(kAesBits, bits)) throw dataError("An AES key has 128, 192 or 256 bits");
    if (format === "jwk" && data.alg !== undefined && data.alg !== `A${bits}${kAes[name]}`) throw dataError("alg is another algorithm's");
    return { name, length: bits, type: "secret", handle: importHandle(kSecret, 0, bytes) };
  }
  const { hash, length } = algorithm;
  if (format === "jwk" && data.alg !== undefined && data.alg !== `HS${kHashSuffix[hash]}`) throw dataError("alg is another algorithm's");
  if (bits === 0) throw dataError("An HMAC key is not empty");
  if (length !== undefined) {
    if (length > bits || length <= bits - 8) throw dataError("The key has another length");
    if (length !== bits) bytes = cut(bytesOf(bytes), length);
    bits = length;
  }
  return { name, hash, length: bits, type: "secret", handle: importHandle(kHmac, kHashes[hash], bytes) };
}

const exponentFrom = (text) => new Bytes(bytesOfText(text));
function importRsa(format, data, algorithm, extractable, usages) {
  const { name, hash } = algorithm;
  needFormat(format, ["spki", "pkcs8", "jwk"], name);
  const isPrivate = format === "pkcs8" || (format === "jwk" && data.d !== undefined);
  needUsages(usages, kPurposes[name][isPrivate ? 1 : 0]);
  let handle;
  if (format === "jwk") {
    checkJwk(data, "RSA", useOf(name), usages, extractable);
    if (data.alg !== undefined) {
      const alg = name === "RSA-OAEP" ? (hash === "SHA-1" ? "RSA-OAEP" : `RSA-OAEP-${kHashSuffix[hash]}`) : `${kRsa[name]}${kHashSuffix[hash]}`;
      if (data.alg !== alg) throw dataError("alg is another algorithm's");
    }
    if (data.oth !== undefined) throw notSupported("Keys of more than two primes are not supported");
    handle = importJwk(kFamilies.RSA, data, isPrivate ? ["n", "e", "d", "p", "q", "dp", "dq", "qi"] : ["n", "e"]);
  } else {
    handle = importHandle(isPrivate ? kPkcs8 : kSpki, kFamilies.RSA, data);
  }
  const numbers = host.cryptoExport(kJwk, handle);
  return {
    name, hash, modulusLength: host.cryptoBits(handle), publicExponent: exponentFrom(numbers[1]),
    type: isPrivate ? "private" : "public", handle,
  };
}

function importCurve(format, data, algorithm, extractable, usages) {
  const { name } = algorithm;
  const isPrivate = format === "pkcs8" || (format === "jwk" && data.d !== undefined);
  needFormat(format, kFormats, name);
  needUsages(usages, kPurposes[name][isPrivate ? 1 : 0]);
  const isWeierstrass = isEc(name);
  const namedCurve = isWeierstrass ? algorithm.namedCurve : undefined;
  const curve = namedCurve ?? name;
  // Of an unknown curve: nothing was looked at yet.
  if (isWeierstrass && !includes(kCurves, curve)) {
    if (format === "jwk") throw dataError(`The curve ${curve} is not supported`);
    throw notSupported(`The curve ${curve} is not supported`);
  }
  const family = kFamilies[curve];
  let handle;
  if (format === "jwk") {
    checkJwk(data, isWeierstrass ? "EC" : "OKP", useOf(name), usages, extractable);
    if (data.crv !== curve) throw dataError("The JSON Web Key is one of another curve");
    if (name === "ECDSA" && data.alg !== undefined && data.alg !== kCurveAlg[curve]) throw dataError("alg is another algorithm's");
    if (name === "Ed25519" && data.alg !== undefined && data.alg !== "EdDSA" && data.alg !== "Ed25519") throw dataError("alg is another algorithm's");
    const numbers = isWeierstrass ? listOf("x", "y") : listOf("x");
    if (isPrivate) append(numbers, "d");
    handle = importJwk(family, data, numbers);
  } else {
    handle = importHandle(format === "raw" ? kRaw : format === "spki" ? kSpki : kPkcs8, family, data);
  }
  return { name, namedCurve, type: isPrivate ? "private" : "public", handle };
}

// `data`: bytes, or a JSON Web Key that was converted.
function importKey(format, data, algorithm, extractable, usages) {
  const { name } = algorithm;
  const read = isRsa(name) ? importRsa : isEc(name) || isOkp(name) ? importCurve : importSecret;
  const its = read(format, data, algorithm, extractable, usages);
  if (its.type !== "public" && usages.length === 0) throw syntaxError("The key would be for nothing");
  return makeKey({ ...its, extractable, usages });
}

// --- Export

function jwkOf(key) {
  const jwk = {};
  const numbers = key.type === "secret" ? undefined : checked(host.cryptoExport(kJwk, key.handle));
  const put = (name, value) => { if (value !== undefined) jwk[name] = value; };
  const part = (at) => (numbers === undefined ? undefined : numbers[at]);
  // In the order of Web IDL's dictionaries.
  if (isRsa(key.name)) {
    const oaep = key.hash === "SHA-1" ? "RSA-OAEP" : `RSA-OAEP-${kHashSuffix[key.hash]}`;
    put("alg", key.name === "RSA-OAEP" ? oaep : `${kRsa[key.name]}${kHashSuffix[key.hash]}`);
    put("d", part(2));
    put("dp", part(5));
    put("dq", part(6));
    put("e", part(1));
    jwk.ext = key.extractable;
    jwk.key_ops = sliceArray(key.usages);
    jwk.kty = "RSA";
    put("n", part(0));
    put("p", part(3));
    put("q", part(4));
    put("qi", part(7));
  } else if (numbers !== undefined) {
    const isWeierstrass = isEc(key.name);
    if (key.name === "Ed25519") jwk.alg = "Ed25519";
    jwk.crv = key.namedCurve ?? key.name;
    put("d", part(isWeierstrass ? 2 : 1));
    jwk.ext = key.extractable;
    jwk.key_ops = sliceArray(key.usages);
    jwk.kty = isWeierstrass ? "EC" : "OKP";
    jwk.x = numbers[0];
    if (isWeierstrass) jwk.y = numbers[1];
  } else {
    const bytes = checked(host.cryptoExport(kRaw, key.handle));
    jwk.alg = key.name === "HMAC" ? `HS${kHashSuffix[key.hash]}` : `A${key.length}${kAes[key.name]}`;
    jwk.ext = key.extractable;
    jwk.k = host.base64urlEncode(bytes);
    jwk.key_ops = sliceArray(key.usages);
    jwk.kty = "oct";
  }
  return jwk;
}

function exportKey(format, key) {
  if (key.name === "HKDF" || key.name === "PBKDF2") throw notSupported("Such a key cannot be exported");
  if (!key.extractable) throw invalidAccess("The key is not extractable");
  if (format === "jwk") return jwkOf(key);
  if (key.type === "secret") {
    needFormat(format, ["raw"], key.name);
    return checked(host.cryptoExport(kRaw, key.handle));
  }
  needFormat(format, isRsa(key.name) ? ["spki", "pkcs8"] : ["raw", "spki", "pkcs8"], key.name);
  needType(key, format === "pkcs8" ? "private" : "public");
  return checked(host.cryptoExport(format === "raw" ? kRaw : format === "spki" ? kSpki : kPkcs8, key.handle));
}

const { parse, stringify } = JSON;
function jwkFrom(bytes) {
  let value;
  try {
    value = parse(host.utf8Decode(bytes, false, false));
  } catch {
    throw dataError("What was wrapped is no JSON Web Key");
  }
  if (typeof value !== "object" || value === null) throw dataError("What was wrapped is no JSON Web Key");
  // What it has not is not asked of Object.prototype, whose getters would be given the key.
  const jwk = toJwk(setPrototypeOf(value, null));
  if (jwk.kty === undefined) throw dataError("What was wrapped is no JSON Web Key");
  return jwk;
}

// --- The interface

function normalizeWrap(algorithm, operation) {
  const wanted = toAlgorithm(algorithm);
  const isObject = typeof wanted !== "string";
  const name = toUpperCase(`${isObject ? needMember(wanted, "name", "Algorithm") : wanted}`);
  return normalize(kRegistered.wrapKey[name] !== undefined ? "wrapKey" : operation, wanted);
}

let making = false;
let brand;
class SubtleCrypto {
  #brand;
  constructor() {
    if (!making) throw new TypeError("Illegal constructor");
  }
  static { brand = (subtle) => subtle.#brand; }
  encrypt(algorithm, key, data) {
    return promised(() => {
      brand(this);
      required("encrypt", arguments.length, 3);
      const wanted = toAlgorithm(algorithm);
      const its = toKey(key, "key");
      const source = bufferSource(data, "data");
      const normalized = normalize("encrypt", wanted);
      needKey(its, normalized, "encrypt");
      return cipher(true, normalized, its, source);
    });
  }
  decrypt(algorithm, key, data) {
    return promised(() => {
      brand(this);
      required("decrypt", arguments.length, 3);
      const wanted = toAlgorithm(algorithm);
      const its = toKey(key, "key");
      const source = bufferSource(data, "data");
      const normalized = normalize("encrypt", wanted);
      needKey(its, normalized, "decrypt");
      return cipher(false, normalized, its, source);
    });
  }
  sign(algorithm, key, data) {
    return promised(() => {
      brand(this);
      required("sign", arguments.length, 3);
      const wanted = toAlgorithm(algorithm);
      const its = toKey(key, "key");
      const source = bufferSource(data, "data");
      const normalized = normalize("sign", wanted);
      needKey(its, normalized, "sign");
      return sign(normalized, its, source);
    });
  }
  verify(algorithm, key, signature, data) {
    return promised(() => {
      brand(this);
      required("verify", arguments.length, 4);
      const wanted = toAlgorithm(algorithm);
      const its = toKey(key, "key");
      const code = bufferSource(signature, "signature");
      const source = bufferSource(data, "data");
      const normalized = normalize("sign", wanted);
      needKey(its, normalized, "verify");
      return verify(normalized, its, code, source);
    });
  }
  digest(algorithm, data) {
    return promised(() => {
      brand(this);
      required("digest", arguments.length, 2);
      const wanted = toAlgorithm(algorithm);
      const source = bufferSource(data, "data");
      return run(kDo.Digest, undefined, kHashes[normalize("digest", wanted).name], source);
    });
  }
  generateKey(algorithm, extractable, keyUsages) {
    return promised(() => {
      brand(this);
      required("generateKey", arguments.length, 3);
      const wanted = toAlgorithm(algorithm);
      const usages = toUsages(keyUsages);
      return generate(normalize("generateKey", wanted), !!extractable, usages);
    });
  }
  deriveKey(algorithm, baseKey, derivedKeyType, extractable, keyUsages) {
    return promised(() => {
      brand(this);
      required("deriveKey", arguments.length, 5);
      const wanted = toAlgorithm(algorithm);
      const base = toKey(baseKey, "baseKey");
      const derived = toAlgorithm(derivedKeyType);
      const usages = toUsages(keyUsages);
      const normalized = normalize("deriveBits", wanted);
      const type = normalize("importKey", derived);
      const withLength = normalize("length", derived);
      needKey(base, normalized, "deriveKey");
      return after(deriveBits(normalized, base, lengthOf(withLength)), (bits) => importKey("raw", bits, type, !!extractable, usages));
    });
  }
  deriveBits(algorithm, baseKey, length = null) {
    return promised(() => {
      brand(this);
      required("deriveBits", arguments.length, 2);
      const wanted = toAlgorithm(algorithm);
      const base = toKey(baseKey, "baseKey");
      const bits = length === null || length === undefined ? null : toNumber(length) >>> 0;
      const normalized = normalize("deriveBits", wanted);
      needKey(base, normalized, "deriveBits");
      return deriveBits(normalized, base, bits);
    });
  }
  importKey(format, keyData, algorithm, extractable, keyUsages) {
    return promised(() => {
      brand(this);
      required("importKey", arguments.length, 5);
      const form = toEnumeration(format, kFormats, "KeyFormat");
      const isBytes = typeof keyData === "object" && keyData !== null && isBufferSource(keyData);
      const data = isBytes ? keyData : toJwk(keyData);
      const wanted = toAlgorithm(algorithm);
      const usages = toUsages(keyUsages);
      const normalized = normalize("importKey", wanted);
      if (isBytes === (form === "jwk")) throw new TypeError(isBytes ? "A JSON Web Key is an object" : "The key is not an ArrayBuffer or a view of one");
      return importKey(form, data, normalized, !!extractable, usages);
    });
  }
  exportKey(format, key) {
    return promised(() => {
      brand(this);
      required("exportKey", arguments.length, 2);
      return exportKey(toEnumeration(format, kFormats, "KeyFormat"), toKey(key, "key"));
    });
  }
  wrapKey(format, key, wrappingKey, wrapAlgorithm) {
    return promised(() => {
      brand(this);
      required("wrapKey", arguments.length, 4);
      const form = toEnumeration(format, kFormats, "KeyFormat");
      const its = toKey(key, "key");
      const wrapping = toKey(wrappingKey, "wrappingKey");
      const normalized = normalizeWrap(wrapAlgorithm, "encrypt");
      needKey(wrapping, normalized, "wrapKey");
      const exported = exportKey(form, its);
      return cipher(true, normalized, wrapping, form === "jwk" ? encodeText(stringify(exported)) : exported);
    });
  }
  unwrapKey(format, wrappedKey, unwrappingKey, unwrapAlgorithm, unwrappedKeyAlgorithm, extractable, keyUsages) {
    return promised(() => {
      brand(this);
      required("unwrapKey", arguments.length, 7);
      const form = toEnumeration(format, kFormats, "KeyFormat");
      const source = bufferSource(wrappedKey, "wrappedKey");
      const unwrapping = toKey(unwrappingKey, "unwrappingKey");
      const unwrap = toAlgorithm(unwrapAlgorithm);
      const wanted = toAlgorithm(unwrappedKeyAlgorithm);
      const usages = toUsages(keyUsages);
      const normalized = normalizeWrap(unwrap, "encrypt");
      const type = normalize("importKey", wanted);
      needKey(unwrapping, normalized, "unwrapKey");
      return after(cipher(false, normalized, unwrapping, source),
                   (bytes) => importKey(form, form === "jwk" ? jwkFrom(bytes) : bytes, type, !!extractable, usages));
    });
  }
  // Not the standard's: as workerd has it.
  timingSafeEqual(a, b) {
    brand(this);
    required("timingSafeEqual", arguments.length, 2);
    const one = bufferSource(a, "a");
    const other = bufferSource(b, "b");
    if (bytesIn(one) !== bytesIn(other)) throw new TypeError("timingSafeEqual: both have to be of the same length");
    return host.timingSafeEqual(one, other);
  }
}
interfaceOf(SubtleCrypto);
expose({ SubtleCrypto });
making = true;
export const subtle = new SubtleCrypto();
making = false;

export const digestNumber = (algorithm) => kHashes[normalize("digest", toAlgorithm(algorithm)).name];
