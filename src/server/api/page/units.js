// Numbers as people read them.

const SCALES = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];

// Three digits that matter: 0.512, 12.3, 456.
function digits(value) {
  const size = Math.abs(value);
  if (size === 0 || size >= 100) return Math.round(value).toString();
  return size >= 10 ? value.toFixed(1) : size >= 1 ? value.toFixed(2) : value.toPrecision(2);
}

// [number, unit]: 1234567 is ["1.23", "M"].
function scaled(value, unit = "") {
  for (const [size, letter] of SCALES)
    if (Math.abs(value) >= size) return [digits(value / size), letter + unit];
  return [Number.isInteger(value) ? `${value}` : digits(value), unit];
}

function duration(seconds) {
  if (seconds === 0) return ["0", ""];
  if (seconds >= 1) return [digits(seconds), "s"];
  return seconds >= 1e-3 ? [digits(seconds * 1e3), "ms"] : [digits(seconds * 1e6), "µs"];
}

const percent = (share) => [share === 0 ? "0" : digits(share * 100), "%"];
const bytes = (value) => scaled(value, "B");
const bytesPerSecond = (value) => scaled(value, "B/s");
const tick = ([number, unit]) => plain([number.replace(/\.0+$|(\.\d*?)0+$/, "$1"), unit]);
const plain = ([number, unit]) => (unit ? `${number} ${unit}` : number);
const whole = (value) => Math.round(value).toLocaleString("en");
