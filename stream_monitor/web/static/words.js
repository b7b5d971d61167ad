// Numbers and times for a person, as stream_monitor/board/words.py has them. A dash where there is none.

export const DASH = "–";
const UNITS = ["", "k", "M", "G", "T", "P"];

export function short(value) {
  if (value === null || value === undefined) return DASH;
  if (value < 0) return `-${short(-value)}`;
  if (value === 0) return "0";
  if (value < 0.095) return value >= 0.001 ? String(Number(value.toPrecision(2))) : "0";
  let unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return (value < 9.95 && !Number.isInteger(value) ? value.toFixed(1) : value.toFixed(0)) + UNITS[unit];
}

export function percent(ratio) {
  if (ratio === null || ratio === undefined) return DASH;
  const value = ratio * 100;
  if (value >= 9.95 || value === 0) return `${value.toFixed(0)}%`;
  return value >= 0.05 ? `${value.toFixed(1)}%` : "<0.1%";
}

const two = (value) => String(value).padStart(2, "0");

export function span(ms) {
  if (ms === null || ms === undefined) return DASH;
  if (ms > 0 && ms < 0.05) return "<0.1 ms";
  if (ms < 999.5) return ms < 9.95 && !Number.isInteger(ms) ? `${ms.toFixed(1)} ms` : `${ms.toFixed(0)} ms`;
  if (ms < 59950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${two(seconds % 60)} s`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h ${two(Math.floor((seconds % 3600) / 60))} min`;
  return `${Math.floor(seconds / 86400)} d`;
}

export const fixed = (value, digits) => (value === null || value === undefined ? DASH : value.toFixed(digits));

/** `2026-01-15 10:30`. */
export function moment(text) {
  return text ? text.slice(0, 16).replace("T", " ") : DASH;
}

/** `10:30:05`, with the day where it is not the day of `beside`. */
export function clock(text, beside = text) {
  if (!text) return DASH;
  const time = text.slice(11, 19);
  return text.slice(0, 10) === beside.slice(0, 10) ? time : `${text.slice(0, 10)} ${time}`;
}
