/** The printable stand-in of each byte in byte-level vocabularies. Source: GPT-2. */
export const BYTE_SYMBOLS: readonly string[] = (() => {
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    return String.fromCodePoint(printable ? byte : next++);
  });
})();

const BYTE_OF = new Map(BYTE_SYMBOLS.map((symbol, byte) => [symbol, byte]));

export const toByteSymbols = (text: string): string =>
  Array.from(Buffer.from(text), (byte) => BYTE_SYMBOLS[byte]).join("");

/** A token without one foreign character stands for bytes; any other one for itself. */
export function fromByteSymbols(token: string): Uint8Array {
  const bytes = Array.from(token, (symbol) => BYTE_OF.get(symbol));
  return bytes.every((byte) => byte !== undefined) ? Uint8Array.from(bytes) : Buffer.from(token);
}
