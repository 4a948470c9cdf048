// Binary messages of the server, as explorer/message.py packs them.
const TYPES = { int8: Int8Array, uint8: Uint8Array, int32: Int32Array, float32: Float32Array };
const aligned = (length) => Math.ceil(length / 8) * 8;

export function unpack(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const start = aligned(4 + length);
  const arrays = {};
  for (const [name, { type, shape, offset }] of Object.entries(head.arrays)) {
    const size = shape.reduce((product, extent) => product * extent, 1);
    arrays[name] = { shape, values: new TYPES[type](buffer, start + offset, size) };
  }
  return { ...head, arrays };
}
