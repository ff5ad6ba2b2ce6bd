"use strict";
(() => {
  const said = document.createElement("p");
  said.className = "aside";
  said.setAttribute("role", "status");
  document.body.append(said);

  const exact = (cell) => (cell.dataset.n ? cell.dataset.n.split(" ") : null);
  const words = (cell) => {
    const small = cell.querySelector("small");
    const mark = cell.querySelector(".mark");
    let text = cell.textContent;
    if (small) text = text.slice(0, text.length - small.textContent.length);
    if (mark) text = text.slice(mark.textContent.length);
    return text.trim();
  };
  const number = (cell) => {
    const n = exact(cell);
    if (n) return n[0] === "-" ? NaN : Number(n[0]);
    const text = words(cell).replace(/[,%]/g, "").replace(/\u2212/g, "-").replace(/^[<>+]|^p\u00a0<?/, "");
    return text === "" ? NaN : Number(text);
  };

  function sorter(table, heading, column) {
    const body = table.tBodies[0];
    const original = [...body.rows];
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const next = { ascending: "descending", descending: "none" }[heading.getAttribute("aria-sort")] || "ascending";
      for (const other of table.tHead.querySelectorAll("[aria-sort]")) other.removeAttribute("aria-sort");
      let rows = [...original];
      if (next !== "none") {
        const keys = new Map(rows.map((row) => [row, [number(row.cells[column]), words(row.cells[column])]]));
        const numeric = rows.some((row) => !Number.isNaN(keys.get(row)[0]));
        const sign = next === "ascending" ? 1 : -1;
        rows.sort((a, b) => {
          const [x, s] = keys.get(a);
          const [y, t] = keys.get(b);
          if (!numeric) return sign * s.localeCompare(t, undefined, { numeric: true });
          if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
          return sign * (x - y);
        });
        heading.setAttribute("aria-sort", next);
      }
      body.append(...rows);
      said.textContent = next === "none" ? "In the order of the run" : `Sorted by ${button.textContent.trim()}, ${next}`;
    });
  }

  function csv(table) {
    const rows = [...table.tBodies[0].rows];
    const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells].map(words);
    const wide = heads.map((_, i) => rows.some((row) => row.cells[i].dataset.n));
    const quote = (text) => (/[",\n\r]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text);
    const line = (fields) => fields.map(quote).join(",");
    const out = [line(heads.flatMap((h, i) => (wide[i] ? [h, `${h} low`, `${h} high`] : [h])))];
    for (const row of rows) {
      out.push(line([...row.cells].flatMap((cell, i) => {
        if (!wide[i]) return [words(cell)];
        const n = exact(cell) || [words(cell), "", ""];
        return [0, 1, 2].map((k) => (n[k] === undefined || n[k] === "-" ? "" : n[k]));
      })));
    }
    return out.join("\n") + "\n";
  }

  async function copy(text) {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
  }

  for (const table of document.querySelectorAll(".scroll > table")) {
    if (table.tBodies[0].rows.length > 1) {
      [...table.tHead.rows[table.tHead.rows.length - 1].cells].forEach((heading, i) => sorter(table, heading, i));
    }
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "Copy as CSV";
    button.setAttribute("aria-label", `Copy as CSV: ${table.caption.textContent}`);
    button.addEventListener("click", async () => {
      await copy(csv(table));
      said.textContent = "Copied";
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy as CSV"; }, 1500);
    });
    table.parentElement.after(button);
  }

  function reveal() {
    const place = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!place) return;
    let closed = false;
    for (let up = place.parentElement; up; up = up.parentElement) {
      if (up.tagName === "DETAILS" && !up.open) closed = up.open = true;
    }
    if (closed) place.scrollIntoView();
  }
  addEventListener("hashchange", reveal);
  reveal();
})();
