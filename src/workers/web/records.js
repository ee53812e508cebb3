// Records of connections that the host carries for a worker (isolates/socket_records.h, isolates/tcp_records.h): u8 type,
// u32 length, little-endian, payload.
import { Bytes, bytesSet } from "./intrinsics.js";

export const kHead = 5;

export function record(type, payload) {
  const { length } = payload;
  const made = new Bytes(kHead + length);
  made[0] = type;
  made[1] = length;
  made[2] = length >>> 8;
  made[3] = length >>> 16;
  made[4] = length >>> 24;
  bytesSet(made, payload, kHead);
  return made;
}
