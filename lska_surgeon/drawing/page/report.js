"use strict";
(() => {
  document.documentElement.classList.add("with-script");
  const value = (row, column) => {
    const key = row.cells[column].dataset.key;
    const number = Number.parseFloat(key);
    return key !== "" && !Number.isNaN(number) && String(key).match(/^[-+]?[\d.]/) ? number : key;
  };
  const order = (one, two) => {
    if (one === "" || two === "") return (one === "") - (two === "");
    return typeof one === "number" && typeof two === "number" ? one - two : String(one).localeCompare(String(two));
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    table.querySelectorAll("thead th").forEach((heading, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = heading.textContent;
      heading.replaceChildren(button);
      button.addEventListener("click", () => {
        const down = heading.getAttribute("aria-sort") === "ascending";
        table.querySelectorAll("thead th").forEach((other) => other.removeAttribute("aria-sort"));
        heading.setAttribute("aria-sort", down ? "descending" : "ascending");
        const rows = [...table.tBodies[0].rows];
        rows.sort((one, two) => {
          const [a, b] = [value(one, column), value(two, column)];
          return a === "" || b === "" ? order(a, b) : (down ? -1 : 1) * order(a, b);
        });
        table.tBodies[0].append(...rows);
      });
    });
  }
  const said = document.getElementById("said");
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.addEventListener("click", async () => {
      const source = document.getElementById(button.dataset.copy);
      try {
        await navigator.clipboard.writeText(source.value);
      } catch {
        source.hidden = false;
        source.select();
        document.execCommand("copy");
        source.hidden = true;
      }
      said.textContent = button.dataset.done;
    });
  }
})();
