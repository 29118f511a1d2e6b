// Small things: tables as text, figures, downloads.

/** The cells of a CSV file with commas, of at most `most` lines. */
export function cells(bytes, most = Infinity) {
  const text = new TextDecoder().decode(bytes);
  const rows = [];
  let [row, cell, quoted] = [[], "", false];
  for (let i = 0; i < text.length && rows.length < most; i++) {
    const c = text[i];
    if (quoted) {
      if (c === '"' && text[i + 1] === '"') [cell, i] = [cell + c, i + 1];
      else if (c === '"') quoted = false;
      else cell += c;
    } else if (c === '"') {
      quoted = true;
    } else if (c === ",") {
      row.push(cell);
      cell = "";
    } else if (c === "\n") {
      row.push(cell.replace(/\r$/, ""));
      rows.push(row);
      [row, cell] = [[], ""];
    } else {
      cell += c;
    }
  }
  if (rows.length < most && (cell || row.length > 0)) rows.push([...row, cell]);
  return rows;
}

/** Rows as CSV. */
export function csvOf(rows) {
  const cell = (value) => (/[",\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : String(value));
  return rows.map((row) => row.map(cell).join(",")).join("\n") + "\n";
}

/** A number with four significant digits; anything else as it is. */
export function figure(value) {
  const number = Number(value);
  if (value === null || value === "" || !Number.isFinite(number)) return String(value);
  return Math.abs(number) >= 1000 ? Math.round(number).toLocaleString("en") : String(Number(number.toPrecision(4)));
}

/** Gives the visitor a file. */
export function download(name, bytes) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([bytes]));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
