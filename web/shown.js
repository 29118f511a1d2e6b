// Pieces of the page that are built from results.

function made(tag, text, properties = {}) {
  return Object.assign(document.createElement(tag), { textContent: text, ...properties });
}

/** Names and values. */
export function showTiles(place, tiles) {
  place.replaceChildren(
    ...tiles.map(([name, value]) => {
      const tile = made("div", "");
      tile.append(made("dt", name), made("dd", value));
      return tile;
    }),
  );
}

/** Probabilities by name, as bars. */
export function showBars(place, parts) {
  const most = Math.max(...parts.map(([, value]) => value));
  place.replaceChildren(
    ...parts.flatMap(([name, value]) => {
      const className = value === most ? "most" : "";
      const bar = made("i", "");
      bar.style.width = `${100 * value}%`;
      return [made("span", name, { className }), bar, made("span", `${(100 * value).toFixed(1)} %`, { className })];
    }),
  );
}

/** A form with a field for each name; `onSubmit` gets the names and what was typed. */
export function showForm(form, fields, onSubmit) {
  form.replaceChildren(
    ...fields.map(([name, value]) => {
      const label = made("label", name);
      label.append(made("input", "", { value, name, autocomplete: "off" }));
      return label;
    }),
    made("button", "Predict"),
  );
  form.onsubmit = (event) => {
    event.preventDefault();
    const inputs = [...form.querySelectorAll("input")];
    onSubmit([inputs.map((input) => input.name), inputs.map((input) => input.value)]);
  };
}

/** What differs here from a report that is a page of its own. */
const OWN = `.body { max-width: none; padding: 0; margin: 0; background: none; } h2 { margin: 20px 0 10px; font-size: 16px; }
  .pictures { grid-template-columns: repeat(auto-fill, minmax(min(100%, 300px), 1fr)); }
  pre { white-space: pre-wrap; overflow-wrap: anywhere; max-height: 20rem; overflow: auto; }
  table { display: block; max-width: 100%; overflow-x: auto; }`;

/** The sections of a report, with their own style sheet. */
export function showReport(host, html, style) {
  const root = host.shadowRoot ?? host.attachShadow({ mode: "open" });
  const sheet = style.replaceAll(":root", ":host").replace(/(^|\n)body \{/, "$1.body {");
  root.innerHTML = `<style>${sheet}\n${OWN}</style><div class="body">${html}</div>`;
}
