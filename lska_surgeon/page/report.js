"use strict";
(() => {
  document.documentElement.classList.add("with-script");

  // Tables that sort: a number by its value, a text by its letters; what is not known comes last either way.
  const keyOf = (row, column) => {
    const text = row.cells[column].textContent.trim();
    if (!row.cells[column].classList.contains("number")) return text;
    const number = text.match(/^\[?([+-]?[\d,]*\.?\d+)/);
    return number ? Number(number[1].replaceAll(",", "")) : "";
  };
  const order = (a, b) =>
    typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), undefined, { numeric: true });
  for (const table of document.querySelectorAll("table.sortable")) {
    const headings = [...table.tHead.rows[0].cells];
    headings.forEach((heading, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = heading.textContent;
      heading.replaceChildren(button);
      button.addEventListener("click", () => {
        const sign = heading.getAttribute("aria-sort") === "ascending" ? -1 : 1;
        headings.forEach((other) => other.removeAttribute("aria-sort"));
        heading.setAttribute("aria-sort", sign < 0 ? "descending" : "ascending");
        const rows = [...table.tBodies[0].rows].map((row) => [keyOf(row, column), row]);
        rows.sort(([a], [b]) => (a === "" || b === "" ? (a === "") - (b === "") : sign * order(a, b)));
        table.tBodies[0].append(...rows.map(([, row]) => row));
      });
    });
  }

  // Buttons that copy what stands in the page.
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.addEventListener("click", async () => {
      const source = document.getElementById(button.dataset.copy);
      try {
        await navigator.clipboard.writeText(source.textContent);
      } catch {
        const box = document.createElement("textarea");
        box.value = source.textContent;
        document.body.append(box);
        box.select();
        document.execCommand("copy");
        box.remove();
        button.focus();
      }
      button.parentElement.querySelector(".said").textContent = document.body.dataset.copied;
    });
  }

  // What a point stands for, below its plot, for those who do not hover.
  for (const chart of document.querySelectorAll("figure.chart")) {
    const told = chart.querySelector(".told");
    for (const title of chart.querySelectorAll("svg.plot title")) {
      for (const event of ["mouseenter", "focusin"]) {
        title.parentElement.addEventListener(event, () => (told.textContent = title.textContent));
      }
    }
  }
})();
