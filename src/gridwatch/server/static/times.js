// Times of the pages: always UTC, in the address as ISO 8601.

const pad = (value, size = 2) => String(value).padStart(size, "0");

/** Epoch ms as `2024-05-01 12:30:00`, as short as it can be without losing anything. */
export function shown(ms) {
  const at = new Date(ms);
  const day = `${pad(at.getUTCFullYear(), 4)}-${pad(at.getUTCMonth() + 1)}-${pad(at.getUTCDate())}`;
  const rest = ms - Date.UTC(at.getUTCFullYear(), at.getUTCMonth(), at.getUTCDate());
  if (rest === 0) return day;
  const minute = `${day} ${pad(at.getUTCHours())}:${pad(at.getUTCMinutes())}`;
  if (rest % 60000 === 0) return minute;
  const second = `${minute}:${pad(at.getUTCSeconds())}`;
  return rest % 1000 === 0 ? second : `${second}.${pad(at.getUTCMilliseconds(), 3)}`;
}

/** Epoch ms as an address or a field keeps it: `2024-05-01T12:30`, and no more than is needed. */
export const kept = (ms) => new Date(ms).toISOString().replace(/(:00)?\.000Z$|Z$/, "");

/** A text that a person wrote, or an address kept, as epoch ms; NaN when it is none. UTC where it says no offset. */
export function read(text) {
  const told = text.trim().replace(" ", "T");
  if (/^\d{9,15}$/.test(told)) return Number(told);
  if (/^\d{4}-\d\d-\d\d$/.test(told)) return Date.parse(`${told}T00:00Z`);
  return Date.parse(/(Z|[+-]\d\d:?\d\d)$/i.test(told) ? told : `${told}Z`);
}

/** A number for people: as many digits as matter. */
export function number(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e9)) return value.toExponential(3);
  const digits = size >= 1000 ? 1 : size >= 1 ? 2 : 4;
  return value.toLocaleString("en-US", { maximumFractionDigits: digits });
}
