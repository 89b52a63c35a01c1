// Numbers as people read them: few digits, always the same width, a unit.

/** Language of the pages. */
export type Language = 'en' | 'ko';

const formats = new Map<string, Intl.NumberFormat>();

function digits(language: Language, value: number, most: number): string {
  const key = language + most;
  let format = formats.get(key);
  if (!format) {
    format = new Intl.NumberFormat(language, { minimumFractionDigits: most, maximumFractionDigits: most });
    formats.set(key, format);
  }
  return format.format(value);
}

/** A whole number: 12,345. */
export function count(language: Language, value: number): string {
  return digits(language, Math.round(value), 0);
}

/** A rate: 0, 0.4, 12.3, 1,234. */
export function rate(language: Language, value: number): string {
  if (Number.isInteger(value) || value >= 99.95) return digits(language, value, 0);
  return digits(language, Math.max(value, 0.1), 1);
}

/** A share in percent without its sign: 0, 0.02, 3.1, 100. What is not nothing never reads as 0, what is not all never as 100. */
export function percent(language: Language, value: number): string {
  if (value <= 0) return '0';
  if (value >= 100) return '100';
  if (value < 0.01) return digits(language, 0.01, 2);
  if (value < 0.995) return digits(language, value, 2);
  if (value < 99.95) return digits(language, value, value < 9.95 && !Number.isInteger(value) ? 1 : 0);
  return digits(language, 99.9, 1);
}

/** Milliseconds with their unit: "0.4 ms", "12 ms", "1.2 s". A negative or missing value is a dash. */
export function duration(language: Language, ms: number | undefined): string {
  if (ms === undefined || !(ms >= 0)) return '–';
  if (ms === 0) return '0 ms';
  if (ms < 0.1) return digits(language, Math.max(ms, 0.01), 2) + ' ms';
  if (ms < 9.95) return digits(language, ms, Number.isInteger(ms) ? 0 : 1) + ' ms';
  if (ms < 999.5) return digits(language, ms, 0) + ' ms';
  return digits(language, ms / 1000, ms % 1000 === 0 ? 0 : ms < 9950 ? 2 : 1) + ' s';
}

/** Seconds as an age in its largest unit: "12 s", "3 min", "2 h", "5 d". */
export function age(language: Language, seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  const units = language === 'ko' ? ['초', '분', '시간', '일'] : [' s', ' min', ' h', ' d'];
  if (s < 120) return s + units[0]!;
  if (s < 7200) return Math.floor(s / 60) + units[1]!;
  if (s < 172800) return Math.floor(s / 3600) + units[2]!;
  return Math.floor(s / 86400) + units[3]!;
}

/** The time of day, 24 hours: 14:03:05. */
export function clock(at: number | string | Date): string {
  const d = new Date(at);
  const two = (n: number) => String(n).padStart(2, '0');
  return `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
}

/** Date and time of day, for what may be older than today. */
export function moment(language: Language, at: number | string): string {
  const d = new Date(at);
  if (d.toDateString() === new Date().toDateString()) return clock(d);
  return d.toLocaleDateString(language, { month: 'short', day: 'numeric' }) + ' ' + clock(d);
}
