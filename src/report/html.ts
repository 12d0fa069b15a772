/** @file The page of a report: one file, no requests, readable in light and in dark. */

export interface Section {
  readonly title: string;
  /** HTML that is safe: made of escaped text. */
  readonly body: string;
  /** What one sees, in a sentence. */
  readonly caption?: string;
}

const ENTITIES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
export const escapeHtml = (text: string): string => text.replaceAll(/[&<>"']/g, (character) => ENTITIES[character]!);

const isNumber = (text: string): boolean => text === "" || /^[-\d.]/.test(text);

/** Columns of numbers stand to the right. */
export function tableHtml(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const isNumeric = header.map((title, i) => title !== "" && rows.every((row) => isNumber(row[i] ?? "")));
  const line = (tag: "td" | "th", cells: readonly string[]) =>
    `<tr>${cells.map((text, i) => `<${tag}${isNumeric[i] ? ' class="n"' : ""}>${escapeHtml(text)}</${tag}>`).join("")}</tr>`;
  return `<table><thead>${line("th", header)}</thead><tbody>${rows.map((row) => line("td", row)).join("")}</tbody></table>`;
}

const STYLE = `
:root { color-scheme: light dark; --line: #8884; --muted: #8a8f98; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; background: Canvas; color: CanvasText; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
table { border-collapse: collapse; } th, td { padding: .25rem .8rem .25rem 0; border-bottom: 1px solid var(--line); text-align: left; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
figcaption, .muted { color: var(--muted); } figure { margin: .5rem 0; overflow-x: auto; } svg { overflow: visible; }
`;

export function pageHtml(title: string, subtitle: string, sections: readonly Section[]): string {
  const parts = sections.map(({ title: heading, body, caption }) => {
    const note = caption ? `<figcaption>${escapeHtml(caption)}</figcaption>` : "";
    return `<section><h2>${escapeHtml(heading)}</h2><figure>${body}${note}</figure></section>`;
  });
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title><style>${STYLE}</style></head>
<body><h1>${escapeHtml(title)}</h1><p class="muted">${escapeHtml(subtitle)}</p>
${parts.join("\n")}
</body></html>
`;
}
